"""`fettle change ...`: a change from its proposal to its approval by named people, and what is printed of it."""

from __future__ import annotations

import json

import icalendar
import pytest


@pytest.fixture
def estate(store, fettle, tmp_path):
    """A data directory over a store with a PC, an administrator and two technicians."""
    (tmp_path / "fettle.toml").write_text(f'database = "{store.url}"\n')
    store.endpoint("pc-1")
    for name, role in (("ada", "administrator"), ("tom", "technician"), ("tina", "technician"), ("hal", "approver")):
        assert fettle("user", "add", tmp_path, name, "--role", role).status == 0
    return tmp_path


def _propose(fettle, estate, *more):
    words = ("--title", "Update tree", "--why", "CVE", "--provider", "apt", "--package", "tree=2.1-1")
    return fettle("change", "propose", estate, *words, *more)


def test_a_change_is_proposed_decided_by_named_people_and_shown(estate, fettle):
    made = _propose(fettle, estate, "--endpoint", "pc-1", "--as", "tom", "--json")
    assert made.status == 0, made.err
    found = json.loads(made.out)
    assert (found["id"], found["state"], found["waits_for"], found["proposer"]) == (1, "proposed", "peer review", "user:tom")
    assert found["steps"] == [{"kind": "upgrade", "provider": "apt", "packages": [{"name": "tree", "version": "2.1-1"}]}]
    own = fettle("change", "approve", estate, 1, "--step", "peer review", "--as", "tom")
    assert (own.status, "You proposed this change" in own.err) == (1, True)
    assert fettle("change", "approve", estate, 1, "--step", "implement").status == 2
    assert "Change 1 is proposed" in fettle("change", "approve", estate, 1, "--step", "peer review", "--as", "tina").out
    assert "Change 1 is approved" in fettle("change", "approve", estate, 1, "--step", "implement", "--as", "ada").out
    shown = fettle("change", "show", estate, 1).out
    assert "peer review: approved by user:tina" in shown
    assert [row["state"] for row in json.loads(fettle("change", "list", estate, "--json").out)["changes"]] == ["approved"]
    assert json.loads(fettle("change", "stats", estate, "--json").out)["statistics"][0]["approved"] == 1
    assert icalendar.Calendar.from_ical(fettle("change", "calendar", estate, "--ics").out)


def test_a_template_makes_a_standard_change_that_needs_nobody(estate, fettle):
    words = ("--why", "Routine", "--plan", "Rings", "--back-out", "Put back", "--limits", '{"pcs": 5}')
    added = fettle("change", "template", "add", estate, "--name", "Monthly", "--as", "ada", *words, "--json")
    number = json.loads(added.out)["id"]
    made = _propose(fettle, estate, "--school", "Harbour School", "--kind", "standard", "--template", number, "--yes")
    assert "Change 1 is approved" in made.out
    assert fettle("change", "template", "withdraw", estate, number, "--as", "ada", "--why", "No more").status == 0
    again = _propose(fettle, estate, "--school", "Harbour School", "--kind", "standard", "--template", number, "--yes")
    assert (again.status, "was withdrawn" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), "Say whom it reaches"),
        (("--school", "Nowhere"), "no school named Nowhere"),
        (("--endpoint", "pc-9"), "No pc is named pc-9"),
        (("--everywhere", "--as", "nobody"), "nobody active named nobody"),
    ],
)
def test_what_cannot_be_proposed_is_said_in_one_line(estate, fettle, more, says):
    refused = _propose(fettle, estate, *more, "--yes")
    assert refused.status == 1
    assert says.casefold() in refused.err.casefold()
    assert refused.err.count("\n") == 1
