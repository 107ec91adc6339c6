"""The REST API: its answers, its refusals, its description."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2
from fettle_server import db
from fettle_server.estate.people.rules import Role
from fettle_server.estate.tables import ApiToken, Endpoint, Vitals
from fettle_server.reactive.tables import Incident, IncidentEntry
from openapi_spec_validator import validate

HARBOUR_PC, HILLTOP_PC = "1" * 32, "2" * 32


@pytest.fixture
def tom(staffed):
    """Requests by a script of a technician of Harbour School."""
    client, headers = staffed.app.test_client(), staffed.token("tom")

    def ask(method, path, **more):
        return client.open(f"/api/v1{path}", method=method, headers=headers | more.pop("headers", {}), **more)

    return ask


def test_endpoints_are_listed_with_the_fields_of_the_command_line(tom):
    body = tom("GET", "/endpoints").json
    assert [endpoint["name"] for endpoint in body["endpoints"]] == ["harbour-pc"]
    assert {"id", "name", "school", "state", "connected", "last_seen", "open_incidents"} <= set(body["endpoints"][0])
    assert body["endpoints"][0]["last_seen"].endswith("Z")
    assert body["after"] is None
    assert body["total"] == 1


def test_endpoint_pages_follow_each_other_to_the_end(staffed, tom):
    with staffed.begin() as tx:
        for n in range(3, 8):
            row = {"id": f"{n}" * 32, "name": f"pc-{n}", "search": f"pc-{n}", "school_id": 1, "state": "well"}
            tx.execute(sa.insert(Endpoint).values(pk=n, enrolled_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), **row))
    seen, after = [], ""
    while after is not None:
        body = tom("GET", f"/endpoints?limit=2&after={after}" if after else "/endpoints?limit=2").json
        seen += [endpoint["name"] for endpoint in body["endpoints"]]
        after = body["after"]
    assert sorted(seen) == ["harbour-pc", "pc-3", "pc-4", "pc-5", "pc-6", "pc-7"]


@pytest.mark.parametrize("list_of", ["endpoints", "incidents"])
def test_a_mark_that_no_page_gave_out_is_refused(tom, list_of):
    answer = tom("GET", f"/{list_of}?after=nonsense")
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"
    assert "begin again" in answer.json["detail"]


@pytest.mark.parametrize(
    "query", ["state=sick", "limit=0", "limit=501", "sort=size", "school=harbour", "colour=red", "system=beos"]
)
def test_a_filter_that_there_is_not_is_refused_by_its_name(tom, query):
    answer = tom("GET", f"/endpoints?{query}")
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.json["detail"]


def test_an_endpoint_is_told_with_its_sentence_and_faults(tom):
    body = tom("GET", f"/endpoints/{HARBOUR_PC}").json
    assert body["serial"] == "serial-harbour-pc"
    assert body["sentence"]
    assert body["faults"][0]["instance"] == "/harbour-pc"
    assert body["faults"][0]["incident"] == 1


def test_readings_are_the_newest_that_the_endpoint_told(staffed, tom):
    vitals = link_pb2.Vitals()
    reading = vitals.readings.add()
    reading.key = 1
    reading.value = 42.0
    now = dt.datetime(2026, 11, 23, 9, tzinfo=dt.UTC)
    vitals.at_ms = db.to_ms(now)
    with staffed.begin() as tx:
        tx.execute(sa.update(Vitals).where(Vitals.endpoint_pk == 1).values(at=now, body=vitals.SerializeToString()))
    body = tom("GET", f"/endpoints/{HARBOUR_PC}/readings").json
    assert body["at"] == "2026-11-23T09:00:00.000Z"
    assert [reading["value"] for reading in body["readings"]] == [42.0]


def test_history_answers_for_the_readings_that_were_asked_for(tom):
    answer = tom(
        "GET", f"/endpoints/{HARBOUR_PC}/history?key=cpu.busy_percent&start=2026-11-22T09:00:00Z&end=2026-11-23T09:00:00Z"
    )
    assert answer.status_code == 200
    assert answer.json == {"series": []}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("key=no.such&start=2026-11-22T09:00:00Z&end=2026-11-23T09:00:00Z", 400),
        ("key=cpu.busy_percent&start=2026-11-23T09:00:00Z&end=2026-11-22T09:00:00Z", 400),
        ("key=cpu.busy_percent&start=2026-01-01T09:00:00Z&end=2026-11-22T09:00:00Z", 400),
        ("key=cpu.busy_percent&start=yesterday", 422),
        ("key=cpu.busy_percent&start=2026-11-22T09:00:00", 422),
        ("start=2026-11-22T09:00:00Z", 422),
    ],
)
def test_history_that_cannot_be_had_is_refused(tom, query, status):
    answer = tom("GET", f"/endpoints/{HARBOUR_PC}/history?{query}")
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"


def test_incidents_are_listed_with_the_fields_of_the_command_line(tom):
    body = tom("GET", "/incidents").json
    fields = {"number", "state", "priority", "title", "school", "endpoint", "rule", "opened_at", "resolved_at", "faults"}
    assert fields <= set(body["incidents"][0])
    assert [incident["number"] for incident in body["incidents"]] == [1]
    assert set(body["incidents"][0]["faults"][0]) == {
        "rule",
        "instance",
        "severity",
        "value",
        "detail",
        "raised_at",
        "cleared_at",
    }


def test_an_incident_is_worked_from_opened_to_closed(staffed, tom):
    for deed, text, state in (
        ("acknowledge", None, "new"),
        ("assign", {"assignee": "tom"}, "assigned"),
        ("start", None, "in progress"),
        ("wait", {"text": "for a new disk"}, "waiting"),
        ("comment", {"text": "ordered"}, "waiting"),
        ("resolve", {"text": "new disk"}, "resolved"),
        ("reopen", {"text": "still full"}, "assigned"),
        ("resolve", {"text": "really"}, "resolved"),
        ("close", None, "closed"),
    ):
        answer = tom("POST", f"/incidents/1/{deed}", **({"json": text} if text else {}))
        assert (deed, answer.status_code, answer.json.get("state", answer.json)) == (deed, 200, state)
    story = tom("GET", "/incidents/1").json["timeline"]
    assert {"for a new disk", "ordered", "new disk", "still full", "really"} <= {line["text"] for line in story}
    assert staffed.value(sa.select(sa.func.count()).where(IncidentEntry.actor == "token:script of tom")) >= 9


def test_a_deed_that_the_state_does_not_allow_is_a_conflict_with_its_reason(tom):
    answer = tom("POST", "/incidents/1/close")
    assert answer.status_code == 409
    assert answer.json == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "This incident is new: resolve it before it can be closed.",
    }


def test_a_deed_that_is_refused_leaves_nothing_behind(staffed, tom):
    assert tom("POST", "/incidents/1/assign", json={"assignee": "nobody at all"}).status_code == 409
    assert staffed.value(sa.select(Incident.state).where(Incident.number == 1)) == "new"
    assert staffed.value(sa.select(sa.func.count()).select_from(IncidentEntry)) == 0


def test_an_incident_of_another_school_is_as_if_it_were_not_there(tom):
    there_is_none = tom("POST", "/incidents/99/acknowledge")
    another = tom("POST", "/incidents/2/acknowledge")
    assert (another.status_code, another.json) == (there_is_none.status_code, there_is_none.json)
    assert another.status_code == 404


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "x" * 4001}, {"text": 7}, {"text": "well", "more": 1}])
def test_a_comment_that_is_none_is_refused(tom, body):
    assert tom("POST", "/incidents/1/comment", json=body).status_code == 422


def test_schools_are_those_that_the_person_sees(tom):
    (school,) = tom("GET", "/schools").json["schools"]
    assert school["name"] == "Harbour School"
    assert (school["ill"], school["unknown"], school["endpoints"]) == (1, 0, 1)


def test_a_person_lists_and_revokes_their_own_tokens(staffed, tom):
    (token,) = tom("GET", "/tokens").json["tokens"]
    assert token["name"] == "script of tom"
    assert "secret" not in str(token)
    assert tom("DELETE", f"/tokens/{token['id']}").status_code == 204
    assert tom("GET", "/tokens").status_code == 401


def test_nobody_revokes_the_token_of_another(staffed, tom):
    staffed.token("ada")
    other = staffed.value(sa.select(ApiToken.id).where(ApiToken.name == "script of ada"))
    assert tom("DELETE", f"/tokens/{other}").status_code == 404


@pytest.mark.parametrize("header", ["Bearer fettle_pat_unknown", "Bearer ", "Basic dG9tOnRvbQ==", "nonsense"])
def test_a_token_that_is_none_is_told_how_to_get_one(staffed, header):
    client = staffed.client("ada").flask
    answer = client.get("/api/v1/endpoints", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "account page" in answer.json["detail"]


def test_a_token_acts_at_most_in_its_role(staffed):
    headers = staffed.token("ada", Role.VIEWER)
    answer = staffed.app.test_client().post("/api/v1/incidents/1/acknowledge", headers=headers)
    assert answer.status_code == 403
    assert "needs the role technician" in answer.json["detail"]


def test_an_expired_token_is_of_no_use(staffed, tom):
    with staffed.begin() as tx:
        tx.execute(sa.update(ApiToken).values(expires_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)))
    assert tom("GET", "/endpoints").status_code == 401


def test_the_consoles_own_sign_in_reads_and_needs_the_form_token_to_write(staffed):
    client = staffed.client("tom")
    assert client.get("/api/v1/incidents/1").status_code == 200
    refused = client.flask.post("/api/v1/incidents/1/acknowledge")
    assert refused.status_code == 400
    assert refused.mimetype == "application/problem+json"
    headers = {"X-CSRFToken": client.token()}
    assert client.flask.post("/api/v1/incidents/1/acknowledge", headers=headers).status_code == 200


def test_a_token_opens_no_page(staffed):
    answer = staffed.app.test_client().get("/pcs", headers=staffed.token("ada"))
    assert answer.status_code == 303


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("PUT", "/endpoints", 405)])
def test_what_is_not_there_is_a_problem_document_too(tom, method, path, status):
    answer = tom(method, path)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert (answer.headers.get("Allow") is not None) == (status == 405)


def test_an_accident_is_a_problem_document_without_its_particulars(staffed, tom, monkeypatch):
    staffed.app.testing = False
    monkeypatch.setattr("fettle_web.api.incidents.queries.incidents", lambda *_, **__: 1 / 0)
    answer = tom("GET", "/incidents")
    assert answer.status_code == 500
    assert "division" not in answer.get_data(as_text=True)


def test_too_many_requests_wait(staffed, tom, monkeypatch):
    monkeypatch.setattr("fettle_web.api.blueprint.LIMIT", "3 per minute")
    codes = [tom("GET", "/schools").status_code for _ in range(3)]
    last = tom("GET", "/schools")
    assert (codes, last.status_code) == ([200] * 3, 429)
    assert int(last.headers["Retry-After"]) > 0


def test_the_description_is_good_openapi_and_names_every_route(staffed):
    spec = staffed.app.test_client().get("/api/v1/openapi.json").json
    validate(spec)
    described = {
        (path.replace("{", "<").replace("}", ">"), method.upper()) for path, item in spec["paths"].items() for method in item
    }
    served = {
        (rule.rule.replace("int:", ""), method)
        for rule in staffed.app.url_map.iter_rules()
        if rule.endpoint.startswith("api.") and rule.endpoint != "api.openapi"
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert described == served
    assert all("401" in operation["responses"] for item in spec["paths"].values() for operation in item.values())
