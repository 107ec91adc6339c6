"""Changes in the console: proposed from a filled form, decided by a head, subscribed to, and text from people as text."""

from __future__ import annotations

import datetime as dt

import icalendar
import pytest
import sqlalchemy as sa
from fettle_server import clock
from fettle_server.change.patches.tables import EndpointUpdate, Update
from fettle_server.change.tables import Change, SchoolChange
from fettle_server.estate.people.rules import Role

HOSTILE = "<script>alert(1)</script>"
FORM = {
    "title": f"Tree {HOSTILE}", "why": f"Because {HOSTILE}", "whom": "some", "school": "1", "provider": "apt",
    "packages": "tree=2.1",
    "do": "install", "deed": "propose",
}  # fmt: skip


@pytest.fixture
def with_head(staffed):
    """The staffed console, another technician and the head of Harbour School, which has the last word itself."""
    staffed.person("tina", Role.TECHNICIAN)
    staffed.person("head", Role.APPROVER, "Harbour School")
    with staffed.begin() as tx:
        tx.execute(sa.insert(SchoolChange).values(school_id=1, needs_final=True))
    return staffed


def test_a_change_walks_from_the_form_to_the_heads_yes(with_head):
    tom, tina, ada, head = (with_head.client(name) for name in ("tom", "tina", "ada", "head"))
    seen = tom.post("/changes/new", FORM | {"deed": "preview"}).get_data(as_text=True)
    assert "Final approval of the school of Harbour School" in seen
    assert with_head.value(sa.select(sa.func.count()).select_from(Change)) == 0
    assert tom.post("/changes/new", FORM).headers["Location"] == "/changes/1"
    for client, step in ((tina, "peer review"), (ada, "implement")):
        assert client.post("/changes/1/decide", {"step": step, "answer": "yes"}).status_code == 303
    page = head.get("/changes/1/decide").get_data(as_text=True)
    for words in ("What could go wrong", "It has not been proven here.", "What we do then", "Yes, go ahead"):
        assert words in page
    assert head.post("/changes/1/decide", {"step": "final", "answer": "no", "school": "1"}).status_code == 409
    assert head.post("/changes/1/decide", {"step": "final", "answer": "yes", "school": "1"}).status_code == 303
    assert with_head.value(sa.select(Change.state)) == "approved"
    story = head.get("/changes/1").get_data(as_text=True)
    parts = [story.index(f'id="{name}"') for name in ("story", "decisions", "record")]
    assert parts == sorted(parts)  # on a phone the decisions stand above the record
    assert "ada" in tom.get("/changes/1?part=record").get_data(as_text=True)


def test_what_people_wrote_is_shown_as_text_everywhere(with_head):
    tom = with_head.client("tom")
    tom.post("/changes/new", FORM)
    for path in ("/changes", "/changes/1", "/changes/1/decide", "/changes/calendar", "/changes/statistics"):
        assert HOSTILE not in tom.get(path).get_data(as_text=True), path


def test_an_update_that_pcs_lack_is_proposed_without_typing(with_head):
    now = clock.utc_now()
    with with_head.begin() as tx:
        update = {"provider": "apt", "name": "tree", "version": "2.1", "security": True, "severity": "critical"}
        tx.execute(sa.insert(Update).values(id=7, cves=["CVE-2026-1"], first_seen_at=now, released_on=now.date(), **update))
        late = now.date() - dt.timedelta(days=1)
        lacks = {"endpoint_pk": 1, "update_id": 7, "school_id": 1, "state": "offered", "offered_at": now, "due_on": late}
        tx.execute(sa.insert(EndpointUpdate).values(lacks))
    tom = with_head.client("tom")
    assert 'href="#s-ill"' in tom.get("/patches/7?part=list").get_data(as_text=True)  # what is past its day is ill
    page = tom.get("/changes/new?update=7").get_data(as_text=True)
    assert 'value="Update tree"' in page
    assert "CVE-2026-1" in page
    answer = tom.post("/changes/new", {"title": "Update tree", "why": "w", "update": "7", "whom": "lacking", "deed": "propose"})
    assert answer.headers["Location"] == "/changes/1"
    assert with_head.value(sa.select(Change.reach)) == "1 PC of Harbour School"


def test_a_calendar_program_reads_the_schedule_by_its_address_until_the_token_is_revoked(with_head):
    ada = with_head.client("ada")
    page = ada.post("/changes/calendar/address").get_data(as_text=True)
    address = page.split('value="http://localhost')[1].split('"')[0]
    stranger = with_head.client()
    assert icalendar.Calendar.from_ical(stranger.get(address).get_data())
    token = with_head.value(sa.text("SELECT max(id) FROM api_tokens"))
    ada.post(f"/account/tokens/{token}/revoke")
    assert stranger.get(address).status_code == 404
