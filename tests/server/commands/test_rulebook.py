"""`fettle rules`: what it prints, and what it changes."""

from __future__ import annotations

import json

import pytest
from fettle_server import db, migrations
from fettle_server.commands import rulebook
from fettle_server.proactive.actions import publish_shipped
from fettle_server.proactive.rulebook.rules import NoSuchRule, RuleBookError
from typer.testing import CliRunner


@pytest.fixture
def rules(tmp_path, now):
    """Runs `fettle rules WORD DIR ...` on a store with the shipped rules."""
    (tmp_path / "fettle.toml").touch()
    engine = db.open_engine(f"sqlite:///{tmp_path / 'fettle.db'}")
    migrations.upgrade(engine)
    with engine.begin() as tx:
        publish_shipped(tx, now)
    engine.dispose()

    def run(command, *words):
        answer = CliRunner().invoke(rulebook.app, ["rules", command, str(tmp_path), *words])
        if answer.exception and not isinstance(answer.exception, SystemExit):
            raise answer.exception
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.output) if "--json" in words or command == "export" else answer.output

    return run


def test_the_book_is_listed(rules):
    assert "disk-full" in rules("list")
    listed = rules("list", "--json")
    assert (listed["version"], listed["rules"][0]["rule"]["key"]) == (1, "disk-full")


def test_an_exported_book_comes_back_and_is_rolled_back(rules, tmp_path):
    document = rules("export")
    document["rules"][0]["raise_level"] = 3
    file = tmp_path / "book.json"
    file.write_text(json.dumps(document))
    assert rules("import", str(file), "--why", "from the other town", "--json") == {"version": 2}
    shown = rules("show", "disk-full", "--json")
    assert (shown["rule"]["raise_level"], shown["own"], shown["history"][0]["kind"]) == (3, True, "imported")
    assert "at or below 3 %" in rules("show", "disk-full")
    assert rules("roll-back", "1", "--why", "too quiet", "--json") == {"version": 3}
    assert [row["version"] for row in rules("versions", "--json")["versions"]] == [3, 2, 1]
    assert "disk-full: rolled back" in rules("versions")


def test_what_is_not_there_is_said_in_words(rules, tmp_path):
    with pytest.raises(NoSuchRule, match="no rule nix"):
        rules("show", "nix")
    (tmp_path / "book.json").write_text("{")
    with pytest.raises(RuleBookError, match="not JSON"):
        rules("import", str(tmp_path / "book.json"), "--why", "to see")
