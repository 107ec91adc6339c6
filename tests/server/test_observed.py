"""How the server's processes log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from fettle_server import db

SCRIPT = """
import logging
from fettle_server import observed
observed.set_up("ingest", level="info", form={form!r})
observed.log().info("endpoint connected", endpoint_id="ab")
observed.log().debug("not at this level")
logging.getLogger("somebody.else").warning("theirs %s", 1)
try:
    password = "hun" + "ter2"
    1 / 0
except ZeroDivisionError:
    observed.log().exception("it broke")
"""


def lines(form: str) -> list[str]:
    command = [sys.executable, "-c", SCRIPT.format(form=form)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr.splitlines()


def test_every_line_is_one_json_object_with_its_part() -> None:
    said = [json.loads(line) for line in lines("json")]
    assert [line["event"] for line in said] == ["endpoint connected", "theirs 1", "it broke"]
    assert {line["part"] for line in said} == {"ingest"}
    assert said[0]["endpoint_id"] == "ab"
    assert said[2]["exception"][0]["exc_type"] == "ZeroDivisionError"


def test_text_is_for_people() -> None:
    assert "endpoint connected" in lines("text")[0]


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_variables_held_when_it_broke_is_not_told(form: str) -> None:
    said = "\n".join(lines(form))
    assert "ZeroDivisionError" in said
    assert "hunter2" not in said


def test_a_failed_statement_does_not_tell_its_values(tmp_path: Path) -> None:
    engine = db.open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(db.StoreFailure) as failed, engine.begin() as tx:
        tx.execute(sa.text("INSERT INTO nowhere VALUES (:secret)"), {"secret": "hunter2"})
    engine.dispose()
    assert "hunter2" not in str(failed.value)
