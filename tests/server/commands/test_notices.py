"""`fettle notices` and `fettle prove`, as a person types them."""

from __future__ import annotations

import json

import pytest
from fettle_server import clock
from fettle_server.commands.notices import app
from fettle_server.notify import editing
from fettle_server.notify.rules import NoticeError
from fettle_server.proactive.proofs.actions import ProofError
from typer.testing import CliRunner


@pytest.fixture
def typed(tmp_path, sqlite_store):
    """The store, and a way to type a command at it."""
    (tmp_path / "fettle.toml").touch()
    for store in sqlite_store():
        yield store, lambda command, *words: CliRunner().invoke(app, [*command.split(), str(tmp_path), *words])


def test_a_channel_is_tested_and_the_log_says_so(typed):
    store, type_in = typed
    with store.begin() as tx:
        editing.add_channel(tx, "system", "the log", "log", "", now=clock.utc_now())
    assert type_in("notices test", "the log").output == "The test was sent: in the log.\n"
    log = json.loads(type_in("notices log", "--json").output)
    assert (log["configured"], [row["state"] for row in log["deliveries"]]) == (False, ["sent"])
    assert "nobody is told anything" in type_in("notices log").output


def test_an_unknown_channel_is_refused_in_words(typed):
    assert isinstance(typed[1]("notices test", "nobody").exception, NoticeError)


def test_a_proof_is_asked_for_by_the_name_of_a_school(typed):
    store, type_in = typed
    store.endpoint(connected=True)
    asked = json.loads(type_in("prove", "--school", "Harbour School", "--json").output)
    assert (asked["state"], asked["raised_at"]) == ("running", None)
    assert isinstance(type_in("prove", "--school", "Harbour School").exception, ProofError)
