"""`fettle endpoints`, `incidents`, `incident` and `user`: their shapes, their words, their exit status."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server.commands import listing
from fettle_server.commands.people import app as people_app
from fettle_server.commands.settings_table import page
from fettle_server.estate.people import queries as people
from fettle_server.estate.people.rules import PeopleError
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import Incident, IncidentEntry
from typer.testing import CliRunner

DOCS = Path(__file__).parents[3] / "docs"
HOSTILE = "pc\x1b[2J\n<b>\u202e"


@pytest.fixture
def data(store: Any, tmp_path: Path, now: dt.datetime) -> Path:
    """A data directory whose setting points at the store, with one PC that is ill."""
    (tmp_path / "fettle.toml").write_text(f'database = "{store.url}"\n')
    pk = store.endpoint(HOSTILE, state="ill", connected=True, last_seen=now, open_incidents=1)
    common = {
        "impact": "user",
        "urgency": "high",
        "priority": 3,
        "school_id": store.school(),
        "endpoint_pk": pk,
        "rule": "disk-full",
    }
    times = {"opened_at": now, "updated_at": now}
    fault = {
        "endpoint_pk": pk, "rule": "disk-full", "severity": "ill", "since_at": now, "raised_at": now, "value": 3.0,
        "clear_reason": "", "detail": "", "evidence": {"raised": [[0, 3.0]]}, "time_adjusted": False, "policy_version": 1,
    }  # fmt: skip
    with store.begin() as tx:
        for number, state, resolved in ((1, "new", None), (2, "resolved", now), (3, "closed", now)):
            row = {"number": number, "cause": f"c{number}", "title": "Disk C: is full", "state": state, "resolved_at": resolved}
            tx.execute(sa.insert(Incident).values(**row, **common, **times))
            tx.execute(sa.insert(Fault).values(**fault, instance=f"{number}", incident_number=number, cleared_at=resolved))
        entry = {"incident_number": 1, "at": now, "kind": "comment", "actor": "user:anna", "text": HOSTILE, "detail": {}}
        tx.execute(sa.insert(IncidentEntry).values(**entry))
    return tmp_path


def _run(*arguments: object, app: Any = listing.app) -> str:
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_endpoints_have_the_documented_shape(data: Path) -> None:
    assert json.loads(_run("endpoints", data, "--json")) == {
        "endpoints": [
            {
                "id": f"{1:032x}",
                "name": HOSTILE,
                "school": "Harbour School",
                "state": "ill",
                "connected": True,
                "last_seen": "2026-11-23T09:00:00.000Z",
                "open_incidents": 1,
            }
        ]
    }


def test_incidents_have_the_documented_shape(data: Path) -> None:
    (one,) = json.loads(_run("incidents", data, "--json"))["incidents"]
    fault = {"rule": "disk-full", "instance": "1", "severity": "ill", "cleared_at": None, "value": 3.0, "detail": ""}
    assert one == {
        "number": 1,
        "state": "new",
        "priority": 3,
        "title": "Disk C: is full",
        "school": "Harbour School",
        "endpoint": HOSTILE,
        "rule": "disk-full",
        "scope": "endpoint",
        "endpoints": 0,
        "merged_into": None,
        "is_test": False,
        "opened_at": "2026-11-23T09:00:00.000Z",
        "resolved_at": None,
        "faults": [fault | {"raised_at": "2026-11-23T09:00:00.000Z"}],
    }


@pytest.mark.parametrize(("state", "numbers"), [("open", [1]), ("resolved", [3, 2]), ("all", [3, 2, 1])])
def test_resolved_takes_the_closed_ones_in(data: Path, state: str, numbers: list[int]) -> None:
    found = json.loads(_run("incidents", data, "--state", state, "--json"))["incidents"]
    assert [one["number"] for one in found] == numbers


def test_one_incident_tells_all(data: Path) -> None:
    one = json.loads(_run("incident", data, 1, "--json"))
    assert (one["endpoint_id"], one["impact"], one["urgency"], one["assignee"]) == (f"{1:032x}", "user", "high", None)
    assert one["timeline"][0]["text"] == HOSTILE
    raised = {"rule": "disk-full", "instance": "1", "at": "1970-01-01T00:00:00.000Z", "value": 3.0, "around": "raised"}
    assert one["evidence"] == [raised]


def test_lists_go_on_past_one_page(data: Path, monkeypatch: pytest.MonkeyPatch, store: Any) -> None:
    for number in range(4):
        store.endpoint(f"pc-{number}")
    monkeypatch.setattr(listing, "LIMIT", 2)
    assert len(json.loads(_run("endpoints", data, "--json"))["endpoints"]) == 5
    assert len(json.loads(_run("incidents", data, "--state", "all", "--json"))["incidents"]) == 3


@pytest.mark.parametrize("command", [["endpoints"], ["incidents"], ["incident", 1]])
def test_hostile_text_is_only_shown(data: Path, command: list[object]) -> None:
    shown = _run(command[0], data, *command[1:])
    assert not set(shown) & set("\x1b\u202e")
    assert "pc\ufffd[2J\ufffd<b>\ufffd" in shown


def test_an_incident_that_is_not_there_says_how_to_find_one(data: Path) -> None:
    result = CliRunner().invoke(listing.app, ["incident", str(data), "99"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no incident 99" in result.stderr


def test_a_user_is_added_for_a_school_and_signs_in(data: Path, store: Any) -> None:
    made = json.loads(
        _run("user", "add", data, "anna", "--role", "viewer", "--school", "Harbour School", "--json", app=people_app)
    )
    with store.begin() as tx:
        person = people.check_sign_in(tx, "anna", made["password"])
    assert person is not None
    assert person.schools is not None
    (row,) = json.loads(_run("user", "list", data, "--json", app=people_app))["users"]
    assert (row["name"], row["role"], row["schools"]) == ("anna", "viewer", ["Harbour School"])


def test_a_disabled_user_no_longer_signs_in(data: Path, store: Any) -> None:
    _run("user", "add", data, "anna", "--role", "viewer", app=people_app)
    fresh = json.loads(_run("user", "password", data, "anna", "--json", app=people_app))["password"]
    _run("user", "disable", data, "anna", app=people_app)
    with store.begin() as tx:
        assert people.check_sign_in(tx, "anna", fresh) is None


def test_an_unknown_school_or_person_is_said(data: Path) -> None:
    for arguments in (["add", str(data), "anna", "--role", "viewer", "--school", "Nowhere"], ["disable", str(data), "carl"]):
        with pytest.raises(PeopleError, match=r"Nowhere|carl"):
            CliRunner().invoke(people_app, ["user", *arguments], catch_exceptions=False)


def test_the_table_of_settings_is_in_step() -> None:
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == page()
