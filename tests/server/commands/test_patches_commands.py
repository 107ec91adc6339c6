"""`fettle patches`, `compliance`, `library` and `build`: the documented shapes, and machines' words as text."""

from __future__ import annotations

import hashlib
import json
import zlib

import pytest
from fettle_server.change.library.rules import LibraryError
from fettle_server.change.patches import actions
from fettle_server.commands import library, patches
from typer.testing import CliRunner

OFFER = {"provider": "apt", "name": "openssl", "version": "1.1", "installed": "1.0", "title": "TLS", "security": True,
         "severity": "critical", "cves": ["CVE-2026-1"], "released_on": "2026-11-01", "state": "offered"}  # fmt: skip
BUILD = """
name = "Classroom"
version = "2026.2"
system = "linux"
packages = ["scratch", { name = "libreoffice", version = "7.4" }]
absent = ["telnetd"]
checklist = ["It prints"]
"""
only_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def data(store, tmp_path, now):
    """A data directory over a store with a PC that lacks an update."""
    (tmp_path / "fettle.toml").write_text(f'database = "{store.url}"\n')
    pk = store.endpoint(school="Harbour\x1b[2J", connected=True, last_seen=now)
    document = {"reboot_pending": False, "providers": [{"provider": "apt", "error": None}], "offers": [OFFER]}
    with store.begin() as tx:
        actions.take(tx, [(pk, now, zlib.compress(json.dumps(document).encode()))], now)
    return tmp_path


def run(app, *arguments):
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@only_sqlite
def test_patches_have_the_documented_shape(data):
    (one,) = json.loads(run(patches.app, "patches", data, "--json"))["updates"]
    assert (one["name"], one["due_on"], one["clock"], one["lacking"]) == ("openssl", "2026-11-15", "the vendor's release", 1)
    assert "openssl" in run(patches.app, "patches", data, "--security", "--overdue")


@only_sqlite
def test_compliance_is_by_school_and_machines_words_are_text(data):
    (one,) = json.loads(run(patches.app, "compliance", data, "--json"))["schools"]
    assert (one["endpoints"], one["overdue"] + one["unknown"], one["warnings"]) == (1, 1, [])
    assert "\x1b" not in run(patches.app, "compliance", data)


@only_sqlite
def test_library_and_builds_from_the_command_line(data):
    script = data / "queue.sh"
    script.write_text("lpstat -o\n")
    said = run(library.app, "library", "add-script", data, "clear-queue", "1", script, "--interpreter", "sh")
    assert hashlib.sha256(b"lpstat -o\n").hexdigest() in said
    run(library.app, "library", "add-package", data, "apt", "openssl", "1.1", "--file", script, "--licences", "30")
    items = json.loads(run(library.app, "library", "list", data, "--json"))["items"]
    assert [(one["kind"], one["licences"], one["installed"]) for one in items] == [("package", 30, 0), ("script", None, None)]
    run(library.app, "library", "withdraw", data, "1")
    assert "clear-queue" not in run(library.app, "library", "list", data)
    (data / "build.toml").write_text(BUILD)
    run(library.app, "build", "create", data, data / "build.toml")
    run(library.app, "build", "assign", data, "1", "--class", "fixed suite")
    shown = json.loads(run(library.app, "build", "show", data, "1", "--json"))
    assert (shown["packages"][1]["version"], shown["places"]) == ("7.4", ["fixed suite PCs of every school"])
    assert "must not  telnetd" in run(library.app, "build", "show", data, "1")
    assert "Classroom" in run(library.app, "build", "list", data)
    assert json.loads(run(library.app, "build", "drift", data, "--json")) == {"drift": []}


@only_sqlite
@pytest.mark.parametrize("text", ["name = ", 'nam = "x"', "name = 3", "packages = [3]", "\udcff"])
def test_file_that_documents_no_build_is_refused_in_words(data, text):
    (data / "build.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(LibraryError):
        run(library.app, "build", "create", data, data / "build.toml")
