"""`fettle calendar` and `fettle room`, from a data directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from fettle_server import db
from fettle_server.commands import places
from fettle_server.commands import store as store_commands
from fettle_server.config import load
from fettle_server.estate.tables import Endpoint, School
from typer.testing import CliRunner

NOW_MS = db.from_ms(1_790_000_000_000)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "fettle.toml").touch()
    store_commands.migrate(load(tmp_path))
    engine = db.open_engine(load(tmp_path).database_url)
    with engine.begin() as tx:
        tx.execute(sa.insert(School).values(id=1, name="Harbour", created_at=NOW_MS))
        tx.execute(sa.insert(Endpoint).values(id="a" * 32, name="pc", search="", school_id=1, enrolled_at=NOW_MS))
    engine.dispose()
    return tmp_path


def run(*words: object) -> str:
    answer = CliRunner().invoke(places.app, [str(word) for word in words], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_a_calendar_goes_in_and_out(data: Path) -> None:
    file = data / "terms.ics"
    event = "BEGIN:VEVENT\nUID:1\nSUMMARY:INSET\nDTSTART;VALUE=DATE:20261127\nEND:VEVENT\n"
    file.write_text(f"BEGIN:VCALENDAR\n{event}END:VCALENDAR\n")
    assert "not kept: 1 entry" in run("calendar", "import", data, file, "--school", "Harbour", "--dry-run")
    assert "1 entry taken in, 0 replaced" in run("calendar", "import", data, file, "--school", "Harbour")
    assert json.loads(run("calendar", "show", data, "--school", "Harbour", "--json"))["entries"][0]["title"] == "INSET"
    assert "SUMMARY:INSET" in run("calendar", "export", data, "--school", "Harbour")


def test_an_endpoint_is_put_into_a_room(data: Path) -> None:
    run("room", "create", data, "Blue", "--school", "Harbour", "--trolley")
    assert "1 endpoint is in Blue now" in run("room", "assign", data, "Blue", "a" * 32, "--school", "Harbour")
    rooms = json.loads(run("room", "list", data, "--school", "Harbour", "--json"))["rooms"]
    assert [(room["name"], room["kind"], room["endpoints"]) for room in rooms] == [("Blue", "trolley", 1)]
