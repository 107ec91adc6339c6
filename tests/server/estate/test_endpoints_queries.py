"""Lists of endpoints: order, filters, scope, pages; and schools in numbers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server import paging
from fettle_server.estate.endpoints import actions, queries
from fettle_server.estate.endpoints.queries import EndpointFilter, EndpointQueryError
from fettle_server.estate.endpoints.rules import Health, search_text, search_words
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role
from fettle_server.estate.tables import Certificate, Endpoint, Watch
from fettle_server.journal.tables import Entry

STATES = ("well", "ill", "unknown", "watch", "well", "ill", "watch")


def _names(store: Any, person: Person = SYSTEM, **wanted: Any) -> list[str]:
    """Every page of two, one after another."""
    names: list[str] = []
    after: str | None = None
    with store.begin() as tx:
        while True:
            page = queries.endpoints(tx, person, EndpointFilter(**wanted), after, 2)
            names += [row.name for row in page.rows]
            assert page.total is not None
            after = page.after
            if after is None:
                assert page.total == len(names)
                return names


@pytest.fixture
def seven(store: Any, now: dt.datetime) -> Any:
    for number, state in enumerate(STATES):
        seen = now - dt.timedelta(minutes=number) if number != 3 else None
        school = "Here" if number % 2 else "There"
        system = "windows" if number < 4 else "linux"
        name = f"pc-{9 - number}"
        search = search_text(name, "OptiPlex" if number == 2 else "ProDesk")
        store.endpoint(name, school, state=state, last_seen=seen, system=system, search=search)
    return store


def test_the_worst_come_first(seven: Any) -> None:
    assert _names(seven) == ["pc-4", "pc-8", "pc-3", "pc-6", "pc-7", "pc-5", "pc-9"]


def test_order_by_name_and_by_silence(seven: Any) -> None:
    assert _names(seven, sort="name") == ["pc-3", "pc-4", "pc-5", "pc-6", "pc-7", "pc-8", "pc-9"]
    assert _names(seven, sort="last_seen") == ["pc-6", "pc-3", "pc-4", "pc-5", "pc-7", "pc-8", "pc-9"]


@pytest.mark.parametrize("sort", ["state", "name", "last_seen"])
def test_filters_narrow_every_order(seven: Any, sort: str) -> None:
    assert sorted(_names(seven, sort=sort, state="ill")) == ["pc-4", "pc-8"]
    assert sorted(_names(seven, sort=sort, system="linux")) == ["pc-3", "pc-4", "pc-5"]
    assert sorted(_names(seven, sort=sort, school_id=seven.school("Here"))) == ["pc-4", "pc-6", "pc-8"]
    assert _names(seven, sort=sort, search="OPTI pc") == ["pc-7"]
    assert _names(seven, sort=sort, search="pc%") == []


@pytest.mark.parametrize("sort", ["state", "name", "last_seen"])
@pytest.mark.parametrize("further", [0, 40])
def test_a_person_sees_their_schools_only(seven: Any, sort: str, further: int) -> None:
    schools = frozenset({seven.school("Here"), *range(1000, 1000 + further)})
    person = Person(5, "anna", Role.VIEWER, schools)
    assert sorted(_names(seven, person, sort=sort)) == ["pc-4", "pc-6", "pc-8"]
    assert _names(seven, Person(5, "anna", Role.VIEWER, frozenset()), sort=sort) == []


def test_pages_stay_whole_where_names_are_the_same(store: Any) -> None:
    for _ in range(5):
        store.endpoint("twin")
    assert _names(store) == ["twin"] * 5


@pytest.mark.parametrize(
    "after",
    ["x", "", "....", "é", paging.mark(("ill", "pc", "one")), paging.mark(("ailing", "pc", 1)), paging.mark((1, 2)),
     paging.mark(("ill", "a\0b", 1)), paging.mark(("ill", "pc", 2**70)), "bnVsbA", "W10", "A" * 5000],
)  # fmt: skip
def test_a_mark_that_no_page_gave_out_is_an_error(seven: Any, after: str) -> None:
    with seven.begin() as tx, pytest.raises(EndpointQueryError):
        queries.endpoints(tx, SYSTEM, EndpointFilter(), after)


@pytest.mark.parametrize("wanted", [EndpointFilter(state="sick"), EndpointFilter(sort="size")])  # type: ignore[arg-type]
def test_a_filter_without_sense_is_an_error(store: Any, wanted: EndpointFilter) -> None:
    with store.begin() as tx, pytest.raises(EndpointQueryError):
        queries.endpoints(tx, SYSTEM, wanted)


def test_hostile_searches_find_nothing(seven: Any) -> None:
    for search in ("\ud800%", "_c-4", "' or 1=1", "/", "\\"):
        assert _names(seven, search=search) == [], search
    assert len(_names(seven, search="\0")) == 7


def test_search_words_are_few_and_lower() -> None:
    assert search_words("  PC 14  pc ") == ("pc", "14")
    assert len(search_words(" ".join(str(n) for n in range(99)))) == 8
    assert len(search_text("x" * 999)) == 300


def test_schools_and_counts_agree(seven: Any) -> None:
    seven.school("Empty")
    with seven.begin() as tx:
        tx.execute(sa.update(Endpoint).where(Endpoint.name == "pc-8").values(open_incidents=3))
        tiles = {tile.name: tile for tile in queries.schools(tx, SYSTEM)}
        counts = queries.counts(tx, SYSTEM)
    here, empty = tiles["Here"], tiles["Empty"]
    assert (here.endpoints, here.ill, here.watch, here.well, here.open_incidents, here.worst) == (3, 2, 1, 0, 3, Health.ILL)
    assert (empty.endpoints, empty.worst) == (0, None)
    assert (counts.endpoints, counts.ill, counts.watch, counts.unknown, counts.well) == (7, 2, 2, 1, 2)
    assert counts.open_incidents == 3


def test_one_endpoint_and_nobody_elses(seven: Any, now: dt.datetime) -> None:
    pk = seven.value(sa.select(Endpoint.pk).where(Endpoint.name == "pc-8"))
    id_ = seven.value(sa.select(Endpoint.id).where(Endpoint.pk == pk))
    stranger = Person(5, "anna", Role.VIEWER, frozenset({seven.school("There")}))
    with seven.begin() as tx:
        found = queries.endpoint(tx, SYSTEM, id_)
        assert found is not None
        assert (found.pk, found.school, found.state, found.certificate_not_after) == (
            pk, "Here", Health.ILL, now + dt.timedelta(days=90)
        )  # fmt: skip
        assert queries.endpoint(tx, stranger, id_) is None
        assert queries.endpoint(tx, SYSTEM, "0" * 32) is None


def test_a_revoked_endpoint_leaves_the_lists(seven: Any, now: dt.datetime) -> None:
    id_ = seven.value(sa.select(Endpoint.id).where(Endpoint.name == "pc-8"))
    with seven.begin() as tx:
        actions.revoke(tx, SYSTEM, id_, now)
        actions.revoke(tx, SYSTEM, id_, now)
        assert queries.counts(tx, SYSTEM).endpoints == 6
        assert tx.scalar(sa.select(sa.func.count()).where(Certificate.revoked_at.is_not(None))) == 1
        found = queries.endpoint(tx, SYSTEM, id_)
        assert found is not None
        assert found.revoked_at == now
    assert "pc-8" not in _names(seven)
    assert "pc-8" in _names(seven, revoked=True)
    subjects = seven.rows(sa.select(Entry.subject).where(Entry.kind == "endpoint.revoked"))
    assert [row.subject for row in subjects] == [f"endpoint:{id_}"]


def test_only_who_manages_endpoints_revokes(seven: Any, now: dt.datetime) -> None:
    id_ = seven.value(sa.select(Endpoint.id).where(Endpoint.name == "pc-8"))
    here, there = frozenset({seven.school("Here")}), frozenset({seven.school("There")})
    with seven.begin() as tx:
        with pytest.raises(Forbidden):
            actions.revoke(tx, Person(5, "anna", Role.VIEWER, here), id_, now)
        with pytest.raises(actions.EndpointError):
            actions.revoke(tx, Person(5, "carl", Role.TECHNICIAN, there), id_, now)
        actions.revoke(tx, Person(5, "dora", Role.TECHNICIAN, here), id_, now)


def test_looking_again_extends_and_never_shortens(seven: Any, now: dt.datetime) -> None:
    id_ = seven.value(sa.select(Endpoint.id).where(Endpoint.name == "pc-8"))
    viewer = Person(5, "anna", Role.VIEWER, frozenset({seven.school("Here")}))
    for seconds, until in ((60, 60), (10, 60), (9999, 120)):
        with seven.begin() as tx:
            actions.look(tx, viewer, id_, seconds, now)
            assert tx.scalar(sa.select(Watch.until)) == now + dt.timedelta(seconds=until)
