"""`fettle forecasts` and `fettle tasks`: the documented shapes, and machines' words as text."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import sqlalchemy as sa
from fettle_server.commands import coming
from fettle_server.proactive.forecasts.tables import Forecast
from fettle_server.proactive.maintenance import actions
from fettle_server.proactive.maintenance.rules import Task
from typer.testing import CliRunner


@pytest.fixture
def data(store, tmp_path, now):
    """A data directory over a store with one forecast and one task."""
    (tmp_path / "fettle.toml").write_text(f'database = "{store.url}"\n')
    pk = store.endpoint("pc\x1b[2J", system="windows")
    row = {
        "endpoint_pk": pk, "school_id": store.school(), "rule": "disk-will-fill", "instance": "C:", "made_on": now.date(),
        "value": 9.2, "low": 6.0, "high": 14.0, "sure_percent": 86, "sentence": "Disk C: will be full in 9 days",
        "due_at": now + dt.timedelta(days=9), "phase": "raised", "since_ms": 0, "seen_ms": 0, "is_raised": True,
    }  # fmt: skip
    with store.begin() as tx:
        tx.execute(sa.insert(Forecast).values(**row))
        task = Task("battery", "b/1", "Replace a battery", "Worn", store_school(tx), pk, None, dt.date(2026, 12, 14))
        actions.propose(tx, task, now)
    return tmp_path


def store_school(tx):
    return tx.exec_driver_sql("SELECT id FROM schools").scalar_one()


def run(*arguments):
    result = CliRunner().invoke(coming.app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


only_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@only_sqlite
def test_forecasts_have_the_documented_shape(data):
    (one,) = json.loads(run("forecasts", data, "--json"))["forecasts"]
    assert (one["rule"], one["value"], one["low"], one["high"], one["sure_percent"]) == ("disk-will-fill", 9.2, 6.0, 14.0, 86)
    assert (one["due_at"], one["state"], one["makes"]) == ("2026-12-02T09:00:00.000Z", "raised", "incident")


@only_sqlite
def test_tasks_have_the_documented_shape(data):
    (one,) = json.loads(run("tasks", data, "--json"))["tasks"]
    assert (one["kind"], one["due_on"], one["state"], one["school"]) == ("battery", "2026-12-14", "open", "Harbour School")
    assert json.loads(run("tasks", data, "--state", "done", "--json")) == {"tasks": []}


@only_sqlite
@pytest.mark.parametrize("command", ["forecasts", "tasks"])
def test_lists_for_people_show_hostile_names_as_text(data, command):
    said = run(command, data)
    assert "\x1b" not in said
    assert "2026-12-" in said
