"""Calendars' and rooms' pages and their API: what people enter is there, a file is shown before it is kept."""

from __future__ import annotations

import io
import re

import pytest
import sqlalchemy as sa
from fettle_server.estate.calendars.tables import CalendarEntry
from fettle_server.estate.people.rules import Role
from fettle_server.estate.tables import Endpoint, Room

ICS = b"""BEGIN:VCALENDAR
BEGIN:VEVENT
UID:1
SUMMARY:INSET <script>
DTSTART;VALUE=DATE:20261127
END:VEVENT
BEGIN:VEVENT
UID:2
SUMMARY:Half term
DTSTART;VALUE=DATE:20261026
DTEND;VALUE=DATE:20261031
END:VEVENT
BEGIN:VEVENT
UID:3
SUMMARY:Trip to the zoo
DTSTART;VALUE=DATE:20261130
END:VEVENT
END:VCALENDAR
"""
PC = "1" * 32


@pytest.fixture
def console(open_console):
    opened = open_console()
    opened.person("ada", Role.ADMINISTRATOR)
    return opened


def titles(console) -> list[str]:
    with console.begin() as tx:
        return list(tx.scalars(sa.select(CalendarEntry.title).order_by(CalendarEntry.title)))


def test_a_calendar_file_is_shown_first_and_taken_in_as_ticked(console):
    client = console.client("ada")
    shown = client.post("/schools/1/calendar/import", {"file": (io.BytesIO(ICS), "terms.ics")}).get_data(as_text=True)
    assert titles(console) == []
    assert "<script>" not in shown.split("</head>")[1].split("</main>")[0].replace("&lt;script&gt;", "")
    assert "Trip to the zoo" in shown
    entries = [text.replace("&#34;", '"').replace("&lt;", "<").replace("&gt;", ">")
               for text in re.findall(r'name="entry" value="([^"]+)"', shown)]  # fmt: skip
    form = {"entry": entries, "take": ["2"], "series": "[]", "source": "terms.ics"}
    assert client.post("/schools/1/calendar/import/confirm", form).status_code == 303
    assert titles(console) == ["Half term"]


@pytest.mark.parametrize("entry", ["{", "[]", '{"uid": "1"}', '{"uid":"1","from":"x","to":null,"room":null}'])
def test_a_preview_that_nobody_was_shown_is_refused(console, entry):
    assert console.client("ada").post("/schools/1/calendar/import/confirm", {"entry": entry, "take": "1"}).status_code == 400


def test_no_calendar_is_refused_in_words(console):
    answer = console.client("ada").post("/schools/1/calendar/import", {"file": (io.BytesIO(b"%PDF"), "terms.pdf")})
    assert answer.status_code == 400
    assert "not a calendar file" in answer.get_data(as_text=True)


def test_an_entry_shows_on_the_year_and_in_the_file(console):
    client = console.client("ada")
    form = {"kind": "closure", "title": "Burst <b>pipe", "starts_on": "2026-11-30", "where": "all"}
    assert client.post("/schools/1/calendar/entries", form).status_code == 303
    page = client.get("/schools/2/calendar?year=2026").get_data(as_text=True)
    assert "Monday 30 November: Burst &lt;b&gt;pipe" in page
    assert b"SUMMARY:Burst <b>pipe" in client.get("/schools/2/calendar.ics").get_data()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("entries", {"kind": "party", "starts_on": "2026-11-30"}),
        ("entries", {"kind": "inset", "starts_on": "soon"}),
        ("entries", {"kind": "exam", "starts_on": "2026-11-30", "from": "9 o'clock"}),
        ("bells", {"opens0": "08:30"}),
        ("bells", {"opens0": "08:30", "closes0": "15:30", "lessons0": "maths at nine"}),
    ],
)
def test_what_cannot_be_entered_is_refused_in_words(console, path, form):
    answer = console.client("ada").post(f"/schools/1/calendar/{path}", form)
    assert answer.status_code == 400
    assert "notice-refused" in answer.get_data(as_text=True)


def test_a_pc_is_put_into_a_room_and_a_class_on_its_own_page(console):
    client = console.client("ada")
    client.post("/schools/1/rooms", {"name": "Lab", "kind": "room"})
    room = console.value(sa.select(Room.id))
    assert client.post(f"/pcs/{PC}/place", {"room": str(room), "class": "loan"}).status_code == 303
    with console.begin() as tx:
        row = tx.execute(sa.select(Endpoint.room_id, Endpoint.endpoint_class, Endpoint.class_source).where(Endpoint.id == PC))
        assert row.one() == (room, "loan", "set")
    assert f"/pcs/{PC}" in client.get(f"/pcs?school=1&room={room}&class=loan").get_data(as_text=True)
    assert f"/pcs/{PC}" not in client.get(f"/pcs?school=1&room={room}&class=server").get_data(as_text=True)


def test_what_names_say_is_proposed_and_done_only_when_asked(console):
    with console.begin() as tx:
        for number in range(3):
            values = {"id": f"{number + 7:032x}", "name": f"R12-PC0{number}", "school_id": 1, "enrolled_at": _now()}
            tx.execute(sa.insert(Endpoint).values(**values, search=""))
    client = console.client("ada")
    assert "a new room, <strong>Room 12</strong>" in client.get("/schools/1/rooms").get_data(as_text=True)
    assert console.value(sa.select(sa.func.count()).select_from(Room)) == 0
    client.post("/schools/1/rooms/proposals", {"prefix": "R12"})
    assert console.value(sa.select(sa.func.count()).where(Endpoint.room_id.is_not(None))) == 3


def _now():
    from fettle_server import clock

    return clock.utc_now()


def test_a_calendar_put_by_the_api_comes_back(console):
    client, bearer = console.app.test_client(), console.token("ada")
    bells = [{"weekday": 0, "opens": 500, "closes": 900, "lessons": [{"name": "One", "starts": 540, "ends": 600}]}]
    entry = {"kind": "exam", "title": "Mocks", "starts_on": "2026-12-07", "ends_on": "2026-12-11", "from_minute": 540,
             "to_minute": 690}  # fmt: skip
    answer = client.put("/api/v1/schools/1/calendar", json={"entries": [entry], "bells": bells}, headers=bearer)
    assert answer.status_code == 200
    got = client.get("/api/v1/schools/1/calendar", headers=bearer).get_json()
    assert got["bells"] == bells
    assert entry.items() <= got["entries"][0].items()


def test_a_file_put_by_the_api_is_taken_in(console):
    answer = console.app.test_client().put("/api/v1/schools/1/calendar.ics", data=ICS, headers=console.token("ada"))
    assert [entry["kind"] for entry in answer.get_json()["entries"]] == ["half_term", "inset"]


def test_a_room_of_another_school_is_refused_by_the_api(console):
    client, bearer = console.app.test_client(), console.token("ada")
    made = client.post("/api/v1/schools/2/rooms", json={"name": "Lab"}, headers=bearer).get_json()["rooms"][0]
    answer = client.put(f"/api/v1/endpoints/{PC}/place", json={"room_id": made["id"]}, headers=bearer)
    assert answer.status_code == 409
    assert "another school" in answer.get_json()["detail"]
