"""The pages of notices and proofs: what they say when nothing is set, what they never show, what a test answers."""

from __future__ import annotations

import html

import pytest
import sqlalchemy as sa
from fettle_server import clock
from fettle_server.notify import editing
from fettle_server.notify.rules import Wanted
from fettle_server.proactive.proofs.tables import Proof

NOTICES = "/settings/notices"
ROUTE = {"channel": "1", "priority": ["1", "2"], "all_schools": "1", "when": "working hours", "resolved": "1"}


@pytest.fixture
def ada(staffed):
    return staffed.client("ada")


def page(client, path=NOTICES) -> str:
    return html.unescape(client.get(path).get_data(as_text=True))


def add(client, kind="log", target="", name="the log"):
    return client.post(f"{NOTICES}/channels", {"name": name, "kind": kind, "target": target})


def test_where_nothing_is_set_it_says_that_nobody_is_told(ada):
    assert "nobody is told anything" in page(ada)
    assert "Nobody is told of incidents yet" in page(ada, "/")
    add(ada)
    ada.post(f"{NOTICES}/routes", ROUTE)
    assert "nobody is told anything" not in page(ada)
    assert "Nobody is told of incidents yet" not in page(ada, "/")


def test_a_route_is_shown_as_a_sentence(ada):
    add(ada)
    ada.post(f"{NOTICES}/routes", ROUTE)
    assert "Priority 1 and 2 of all schools, in working hours, in the console only, without tests." in page(ada)


def test_a_webhooks_key_is_shown_once_and_its_address_never(ada):
    made = html.unescape(add(ada, "webhook", "https://hooks.example.org/secret-path", "hook").get_data(as_text=True))
    assert "shown only now" in made
    again = page(ada)
    assert "shown only now" not in again
    assert "secret-path" not in again + made
    assert "by webhook to https://hooks.example.org" in again


def test_hostile_names_are_text(ada):
    add(ada, name='<script>alert("x")</script>')
    shown = ada.get(NOTICES).get_data(as_text=True)
    assert "<script>alert" not in shown
    assert "&lt;script&gt;" in shown


@pytest.mark.parametrize(
    ("path", "form", "words"),
    [
        ("channels", {"name": "", "kind": "log"}, "1 to 80 characters"),
        ("channels", {"name": "x", "kind": "fax"}, "one of the kinds"),
        ("channels", {"name": "x", "kind": "email", "target": "nobody"}, "not an e-mail address"),
        ("routes", ROUTE | {"channel": "77"}, "no such channel"),
        ("routes", ROUTE | {"priority": []}, "at least one priority"),
        ("routes", ROUTE | {"quiet_from": "22:00"}, "beginning and an end"),
        ("routes", ROUTE | {"digest": "sometimes"}, "words of the list"),
        ("routes/9", ROUTE, "no such"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(ada, path, form, words):
    answer = ada.post(f"{NOTICES}/{path}", form)
    assert answer.status_code == 400
    assert words in html.unescape(answer.get_data(as_text=True))


def test_a_test_shows_the_receivers_words(ada):
    add(ada)
    ada.post(f"{NOTICES}/channels/1/test")
    shown = page(ada)
    assert "The test was sent: in the log." in shown
    assert "asked for by a person" in shown


def test_a_test_that_is_not_taken_says_why(ada):
    add(ada, "email", "desk@example.org", "desk")
    answer = ada.post(f"{NOTICES}/channels/1/test")
    assert answer.status_code == 502
    assert "no mail server is set" in html.unescape(answer.get_data(as_text=True))


def test_a_proof_begins_at_the_press_of_a_button(staffed):
    tom = staffed.client("tom")
    assert "never proved" in page(tom, "/proactive/proofs")
    tom.post("/proactive/proofs/1")
    shown = page(tom, "/proactive/proofs")
    assert "harbour-pc" in shown
    assert "hilltop" not in shown.lower()
    assert "running" in shown
    assert staffed.value(sa.select(Proof.asked_by)) == "user:tom"


def test_a_proof_that_cannot_begin_says_why(staffed):
    with staffed.begin() as tx:
        tx.execute(sa.text("UPDATE endpoints SET connected = 0"))
    tom = staffed.client("tom")
    tom.post("/proactive/proofs/1")
    assert "No PC of this school is connected" in page(tom, "/proactive/proofs")


def test_the_api_makes_what_the_page_shows(staffed):
    ada = staffed.token("ada")
    client = staffed.app.test_client()
    made = client.post("/api/v1/notices/channels", json={"name": "log", "kind": "log"}, headers=ada)
    route = {"channel_id": made.json["id"], "priorities": [1], "digest": "daily"}
    client.post("/api/v1/notices/routes", json=route, headers=ada)
    (found,) = client.get("/api/v1/notices/routes", headers=ada).json["routes"]
    assert found["sentence"] == "Priority 1 of all schools, in a digest at 07:30, in the console only."
    assert client.post("/api/v1/notices/channels/1/test", headers=ada).json == {"sent": True, "answer": "in the log"}
    (delivery,) = client.get("/api/v1/notices/deliveries", headers=ada).json["deliveries"]
    assert (delivery["state"], delivery["is_test"]) == ("sent", True)


def test_the_log_keeps_its_pages_and_its_filter(staffed):
    now = clock.utc_now()
    with staffed.begin() as tx:
        channel, _ = editing.add_channel(tx, "system", "log", "log", "", now=now)
        editing.set_route(tx, "system", None, channel, Wanted(), now=now)
    ada = staffed.client("ada")
    assert "Nothing stands here" in page(ada, f"{NOTICES}?state=failed")
    assert ada.get(f"{NOTICES}?after=nonsense").status_code == 400
