"""People change rules: each deed is a new version with who and why, on both stores."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_protocol import packing, policy
from fettle_protocol.policy import Policy
from fettle_server.estate import history
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role
from fettle_server.estate.tables import Endpoint, EndpointEvent
from fettle_server.journal.tables import Entry
from fettle_server.proactive.actions import publish_shipped
from fettle_server.proactive.policies import newest, shipped
from fettle_server.proactive.rulebook import actions, queries
from fettle_server.proactive.rulebook.preview import preview
from fettle_server.proactive.rulebook.rules import Edit, NoSuchRule, Overtaken, RuleBookError

ADA = Person(7, "ada", Role.ADMINISTRATOR, None)
TOM = Person(8, "tom", Role.TECHNICIAN, frozenset({1}))
FULL = "disk-full"


@pytest.fixture
def book(store, now):
    """The store with the shipped rules in force as version 1."""
    with store.begin() as tx:
        publish_shipped(tx, now)
    return store


def edit(store, now, who=ADA, key=FULL, seen=None, **changes):
    with store.begin() as tx:
        return actions.edit_rule(tx, who, key, Edit("too loud in July", seen, changes), now)


def in_force(store):
    with store.begin() as tx:
        return newest(tx)


def test_an_edit_is_a_new_version_with_who_and_why(book, now):
    assert edit(book, now, raise_level=3) == 2
    assert in_force(book).policy.rule(FULL).raise_level == 3
    assert in_force(book).own == {FULL}
    with book.begin() as tx:
        (change,) = queries.history(tx, FULL)
    assert (change.version, change.kind, change.actor, change.why) == (2, "edited", "user:ada", "too loud in July")
    assert change.words == ("The raise level is 3 % (it was 4 %).",)
    assert book.value(sa.select(Entry.detail).where(Entry.kind == "policy.published").order_by(Entry.id.desc()))["changed"] == [
        FULL
    ]


def test_what_changes_nothing_makes_no_version(book, now):
    assert edit(book, now, raise_level=4) == 1


def test_switching_is_told_as_such(book, now):
    edit(book, now, enabled=False)
    edit(book, now, enabled=True)
    with book.begin() as tx:
        assert [change.kind for change in queries.history(tx, FULL)] == ["switched on", "switched off"]


def test_only_people_of_all_schools_may_edit(book, now):
    with pytest.raises(Forbidden, match="all schools"):
        edit(book, now, who=TOM, raise_level=3)
    with pytest.raises(Forbidden, match="role"):
        edit(book, now, who=Person(9, "vera", Role.VIEWER, None), raise_level=3)
    assert actions.may_edit(ADA) is None
    assert "all schools" in actions.may_edit(TOM)


def test_the_second_of_two_editors_is_told_what_the_first_did(book, now):
    edit(book, now, seen=1, raise_level=3)
    with pytest.raises(Overtaken, match="raise level is 3 %"):
        edit(book, now, seen=1, raise_level=2)
    assert edit(book, now, seen=1, key="disk-low", raise_level=9) == 3


def test_a_reason_is_asked_for(book, now):
    with book.begin() as tx, pytest.raises(RuleBookError, match="why"):
        actions.edit_rule(tx, ADA, FULL, Edit("", None, {"raise_level": 3}), now)


def test_a_rule_of_ones_own_comes_and_goes(book, now):
    row = policy.to_mapping(Policy(1, (dataclasses.replace(shipped().rule(FULL), key="own-tiny"),)))["rules"][0]
    with book.begin() as tx:
        actions.add_rule(tx, ADA, row, "tiny disks", now)
        with pytest.raises(RuleBookError, match="switch it off"):
            actions.remove_rule(tx, ADA, FULL, Edit("away"), now)
        assert actions.remove_rule(tx, ADA, "own-tiny", Edit("away"), now) == 3
    assert in_force(book).policy.rules == shipped().rules
    assert in_force(book).own == frozenset()


def test_a_rule_is_restored_as_it_ships(book, now):
    edit(book, now, raise_level=3)
    with book.begin() as tx:
        actions.restore_rule(tx, ADA, FULL, Edit("it was right"), now)
        with pytest.raises(NoSuchRule):
            actions.restore_rule(tx, ADA, "nothing", Edit("it was right"), now)
    assert in_force(book).policy.rules == shipped().rules
    assert in_force(book).own == frozenset()


def test_a_roll_back_is_a_new_version_of_the_old_rules(book, now):
    edit(book, now, raise_level=3)
    edit(book, now, raise_level=2)
    with book.begin() as tx:
        assert actions.roll_back(tx, ADA, 2, Edit("too quiet", 3), now) == 4
        with pytest.raises(Overtaken):
            actions.roll_back(tx, ADA, 1, Edit("too quiet", 3), now)
        with pytest.raises(NoSuchRule):
            actions.roll_back(tx, ADA, 77, Edit("too quiet", 4), now)
        assert queries.history(tx, FULL)[0].why == "to version 2: too quiet"
    assert in_force(book).policy.rule(FULL).raise_level == 3


def test_an_update_of_fettle_leaves_what_people_changed(book, now, monkeypatch):
    edit(book, now, raise_level=3)
    edit(book, now, who=SYSTEM, key="zombies", enabled=False)
    newer = tuple(dataclasses.replace(rule, source="measured") for rule in shipped().rules)
    monkeypatch.setattr("fettle_server.proactive.actions.shipped", lambda version=1: Policy(version, newer, shipped().services))
    with book.begin() as tx:
        assert publish_shipped(tx, now) == 4
        assert publish_shipped(tx, now) == 4
        assert queries.history(tx, "hot")[0].kind == "shipped"
    present = in_force(book)
    assert (present.policy.rule(FULL).raise_level, present.policy.rule(FULL).source) == (3, shipped().rule(FULL).source)
    assert not present.policy.rule("zombies").enabled
    assert present.policy.rule("hot").source == "measured"
    assert present.own == {FULL, "zombies"}


def test_an_exported_book_is_taken_over(book, now):
    document = policy.to_mapping(shipped())
    document["rules"][0]["raise_level"] = 2
    with book.begin() as tx:
        assert actions.take_over(tx, ADA, document, "from the other town", now) == 2
        assert queries.history(tx, FULL)[0].kind == "imported"


def test_versions_are_listed_with_what_each_changed(book, now):
    for level in (3, 2, 1):
        edit(book, now, raise_level=level)
    with book.begin() as tx:
        page = queries.versions(tx, ADA, limit=2)
        rest = queries.versions(tx, ADA, after=page.after, limit=2)
    assert [row.version for row in page.rows] == [4, 3]
    assert [row.version for row in rest.rows] == [2, 1]
    assert (page.rows[0].changes[0].rule, rest.rows[1].changes, rest.after) == (FULL, (), None)


def test_who_has_it_tells_confirmed_from_under_way_and_away(book, now):
    edit(book, now, raise_level=3)
    book.endpoint(policy_version=2, connected=True)
    refuser = book.endpoint(policy_version=1, connected=True, name="odd")
    book.endpoint(policy_version=1)
    book.endpoint(policy_version=2, revoked_at=now)
    with book.begin() as tx:
        detail = {"subject": "2", "text": "it cannot be read"}
        tx.execute(sa.insert(EndpointEvent).values(endpoint_pk=refuser, at=now, kind="policy refused", detail=detail))
        found = queries.spreading(tx, ADA)
        assert queries.spreading(tx, Person(3, "x", Role.VIEWER, frozenset({99}))).endpoints == 0
    assert (found.version, found.endpoints, found.confirmed, found.under_way, found.away) == (2, 3, 1, 1, 1)
    assert [(one.version, one.endpoints, one.connected) for one in found.holdings] == [(2, 1, 1), (1, 2, 1)]
    assert (found.schools[0].confirmed, found.schools[0].endpoints) == (1, 3)
    assert [(one.name, one.text) for one in found.refusals] == [("odd", "it cannot be read")]


def test_the_book_is_listed_in_words_with_what_people_changed(book, now):
    edit(book, now, raise_level=3)
    with book.begin() as tx:
        version, rows = queries.book(tx, ADA)
        assert queries.book(tx, TOM)[0] == 2
    assert (version, len(rows)) == (2, len(shipped().rules))
    assert [row.rule.key for row in rows if row.own] == [FULL]
    assert rows[0].raises == "at or below 3 % for 30 seconds"


def hours(store, pk, now, values):
    pack = packing.pack({(20, "C:"): values})
    with store.begin() as tx:
        history.store(tx, [(pk, history.hour_of(now) - 5, pack)], set())


def test_the_preview_says_what_an_edit_would_have_raised(book, now):
    low, well = (book.endpoint(system="windows", id=letter * 32, name=f"pc-{letter}") for letter in "ab")
    hours(book, low, now, [20.0] * 10 + [7.0] * 30 + [20.0] * 20)
    hours(book, well, now, [50.0] * 60)
    rule = shipped().rule(FULL)
    edited = dataclasses.replace(rule, raise_level=8, clear_level=10)
    with book.begin() as tx:
        found = preview(tx, ADA, rule, edited, now=now)
    assert (found.present.faults, found.edited.faults, found.edited.endpoints, found.edited.schools) == (0, 1, 1, 1)
    assert (found.looked, found.endpoints, found.is_sample, found.recorded) == (2, 2, False, 0)
    assert found.edited.examples[0].name == "pc-a"
    assert found.edited.examples[0].since == now.replace(minute=0) - dt.timedelta(hours=5) + dt.timedelta(minutes=10)
    assert sum(count for _, count in found.edited.days) == 1


def test_the_preview_stops_in_time_and_says_how_far_it_came(book, now):
    for _ in range(3):
        book.endpoint(system="windows")
    rule = shipped().rule(FULL)
    with book.begin() as tx:
        found = preview(tx, ADA, rule, rule, now=now, budget_s=0)
    assert (found.looked, found.endpoints, found.is_sample) == (1, 3, True)


def test_the_past_of_a_rule_that_the_server_judges_cannot_be_replayed(book, now):
    rule = shipped().rule("absent")
    with book.begin() as tx:
        found = preview(tx, ADA, rule, rule, now=now)
    assert (found.present, found.edited) == (None, None)
    assert "cannot be replayed" in found.note


def test_endpoints_of_other_classes_are_not_looked_at(book, now):
    book.endpoint(system="windows", endpoint_class="trolley")
    rule = shipped().rule("battery-worn")
    with book.begin() as tx:
        assert preview(tx, ADA, rule, rule, now=now).endpoints == 1
        tx.execute(sa.update(Endpoint).values(endpoint_class="server"))
        assert preview(tx, ADA, rule, rule, now=now).endpoints == 0
