"""How the server's processes log."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging
from fettle_server import observed
observed.set_up("ingest", level="info", form={form!r})
observed.log().info("endpoint connected", endpoint_id="ab")
observed.log().debug("not at this level")
logging.getLogger("somebody.else").warning("theirs %s", 1)
try:
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
