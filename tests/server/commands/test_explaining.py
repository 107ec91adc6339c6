"""`fettle explain` and `fettle held`: their shapes, which endpoint is meant, and what cannot be."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server.commands.explaining import app
from fettle_server.proactive.tables import Fault
from typer.testing import CliRunner


@pytest.fixture
def data(sqlite_only: Any, tmp_path: Path, now: dt.datetime) -> Path:
    """A data directory with PCs of one name in two schools, and one of its own name with a fault that is held back."""
    (tmp_path / "fettle.toml").write_text(f'database = "{sqlite_only.url}"\n')
    sqlite_only.endpoint("twin", "Harbour School")
    sqlite_only.endpoint("twin", "Hilltop College")
    pk = sqlite_only.endpoint("Lone\x1b[2J", state="watch", watch_faults=1, connected=True, last_seen=now, system="linux")
    fault = {"rule": "disk-low", "instance": "/", "severity": "watch", "since_at": now, "raised_at": now, "value": 9.0}
    with sqlite_only.begin() as tx:
        held = {"stage": "silence", "stage_reason": "Being mended", "evidence": {}}
        tx.execute(sa.insert(Fault).values(endpoint_pk=pk, **fault, **held))
    return tmp_path


@pytest.fixture
def sqlite_only(sqlite_store: Any) -> Any:
    """Nothing here is about SQL: one engine is enough."""
    yield from sqlite_store()


def _run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)


def test_explanation_has_the_documented_shape(data: Path) -> None:
    found = json.loads(_run("explain", data, f"{3:032x}", "--json").stdout)
    assert (found["state"], found["why"][0]["rule"], found["why"][0]["steps"][-1]["kind"]) == ("watch", "disk-low", "stage")
    assert set(found) == {
        "endpoint_id", "endpoint", "school", "state", "sentence", "at", "read_at", "why", "rules", "presence", "messages",
    }  # fmt: skip
    assert {line["rule"]: line["standing"] for line in found["rules"]}["disk-low"] == "raised"


def test_explanation_for_people_moves_no_cursor(data: Path) -> None:
    shown = _run("explain", data, "lone\x1b[2J").stdout
    assert "\x1b" not in shown
    assert "Being mended" in shown


@pytest.mark.parametrize(("name", "says"), [("twin", "2 endpoints are called twin"), ("nobody", "no endpoint is called")])
def test_name_must_mean_one_endpoint(data: Path, name: str, says: str) -> None:
    result = _run("explain", data, name)
    assert (result.exit_code, says in result.stderr) == (1, True)


def test_held_lists_stages_in_their_order_and_what_they_hold(data: Path) -> None:
    found = json.loads(_run("held", data, "--json").stdout)
    assert [stage["stage"] for stage in found["stages"]][:3] == ["window", "freeze", "silence"]
    assert [stage["holding"] for stage in found["stages"]] == [0, 0, 1, 0, 0, 0, 0, 0]
    assert [(row["endpoint"], row["stage_name"]) for row in found["held"]] == [("Lone\x1b[2J", "silence")]
    assert "Being mended" in _run("held", data).stdout
