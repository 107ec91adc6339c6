"""The library's items and builds, the licences that are used, and how far endpoints drift from their build."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import zlib
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_protocol.steps import check_steps
from fettle_server.change.library import actions, builds, queries
from fettle_server.change.library.actions import NewPackage, NewScript
from fettle_server.change.library.builds import NewBuild
from fettle_server.change.library.rules import Documented, LibraryError, Place, Stand, drift, place_of
from fettle_server.change.library.tables import Drift, LicenceUse
from fettle_server.config import Settings
from fettle_server.estate.endpoints import reports
from fettle_server.estate.endpoints.facts import Stocktake
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.estate.tables import Room
from fettle_server.worker import patches as worker
from fettle_server.worker.jobs import Work

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
SCRIPT = NewScript("clear-queue", "1", "lpstat -o\n", "sh")
BUILD = NewBuild("Classroom", "2026.2", "linux", packages=[{"name": "libreoffice", "version": "7.4"}, {"name": "scratch"}],
                 absent=["telnetd"], checklist=["It prints", "Sound works"])  # fmt: skip


@pytest.fixture
def act(store):
    """Do something in a transaction of its own."""

    def done(what, *args, **more):
        with store.begin() as tx:
            return what(tx, *args, **more)

    return done


@pytest.fixture
def tell(store):
    """An endpoint tells its software."""

    def told(pk: int, **versions: str) -> None:
        plain = json.dumps({"packages": [{"name": name, "version": version} for name, version in versions.items()]}).encode()
        stock = Stocktake(1, "software", hashlib.sha256(plain).hexdigest(), zlib.compress(plain), "", "")
        with store.begin() as tx:
            reports.take_stock(tx, [(pk, stock)], NOW)

    return told


@pytest.fixture
def work(store, tmp_path):
    """Let the worker hold endpoints against builds until there is no more to do; returns in how many pieces."""
    around = Work(Settings(data=tmp_path), store.engine, store.engine)

    def worked(now: dt.datetime = NOW) -> int:
        pieces = 0
        while worker.hold_against_builds(around, now):
            pieces += 1
        return pieces

    return worked


def test_script_is_known_by_its_digest_and_becomes_a_step(act):
    item_id = act(actions.add_script, SYSTEM, SCRIPT, NOW)
    step = act(queries.script_step, item_id)
    assert step["sha256"] == hashlib.sha256(b"lpstat -o\n").hexdigest()
    assert check_steps([step]) == [step]


def test_what_is_in_the_library_is_never_changed_only_withdrawn(act):
    item_id = act(actions.add_script, SYSTEM, SCRIPT, NOW)
    with pytest.raises(LibraryError, match="add another version"):
        act(actions.add_script, SYSTEM, NewScript("clear-queue", "1", "rm -rf /\n", "sh"), NOW)
    act(actions.withdraw, SYSTEM, item_id, NOW)
    with pytest.raises(LibraryError, match="withdrawn"):
        act(queries.script_step, item_id)
    assert act(queries.items, SYSTEM) == ()
    assert act(queries.item, SYSTEM, item_id).body == "lpstat -o\n"


@pytest.mark.parametrize(
    "new",
    [
        NewPackage("steam", "x", "1"),
        NewPackage("apt", "-y", "1"),
        NewPackage("apt", "x", ""),
        NewPackage("apt", "x", "1", sha256="abc"),
        NewPackage("apt", "x", "1", licences=-1),
        NewPackage("apt", "x", "1", notes="n" * 4001),
        NewPackage("apt", "x", "1", systems=("beos",)),
        NewScript("x", "1", "", "sh"),
        NewScript("x", "1", "a\0b", "sh"),
        NewScript("x", "1", "\ud800", "sh"),
        NewScript("x", "1", "true", "perl"),
        NewScript("x", "1", "x" * 50_000, "sh"),
    ],
)
def test_item_that_no_job_could_use_is_refused(act, new):
    add = actions.add_package if isinstance(new, NewPackage) else actions.add_script
    with pytest.raises(LibraryError):
        act(add, SYSTEM, new, NOW)


def test_hashes_of_packages_are_what_manifests_ask_for(act):
    act(actions.add_package, SYSTEM, NewPackage("apt", "firefox", "140.1", sha256="A" * 64), NOW)
    act(actions.add_package, SYSTEM, NewPackage("apt", "firefox", "140.2"), NOW)
    assert act(queries.package_hashes, "apt", ["firefox", "bash"]) == {("firefox", "140.1"): "a" * 64}


def test_narrowest_place_wins_for_the_right_system_only():
    places = [
        Place(1),
        Place(2, school_id=1),
        Place(3, school_id=1, room_id=5),
        Place(4, room_id=5, endpoint_class="server"),
        Place(5),
    ]
    systems: dict[int, str] = {1: "linux", 2: "linux", 3: "linux", 4: "linux", 5: "windows"}
    stands: list[tuple[Stand, Any]] = [
        (Stand(2, None, "fixed", "linux"), 1),
        (Stand(1, None, "fixed", "linux"), 2),
        (Stand(1, 5, "fixed", "linux"), 3),
        (Stand(1, 5, "server", "linux"), 3),
        (Stand(1, 5, "server", "windows"), 5),
        (Stand(1, 5, "server", "macos"), None),
    ]
    for stand, wanted in stands:
        place = place_of(stand, places, systems)
        assert (place.build_id if place else None) == wanted


def test_drift_names_what_is_missing_other_and_too_much():
    documented = Documented((("LibreOffice", "7.4"), ("scratch", ""), ("bash", "5")), ("telnetd",))
    assert drift(documented, [("libreoffice", "7.3"), ("bash", "5"), ("bash", "6"), ("Telnetd", "1")]) == [
        {"name": "LibreOffice", "wanted": "7.4", "found": "7.3"},
        {"name": "scratch", "wanted": "any version", "found": "missing"},
        {"name": "telnetd", "wanted": "not there", "found": "1"},
    ]


def test_drift_follows_the_software_that_endpoints_tell(store, act, tell, work):
    build_id = act(builds.create, SYSTEM, BUILD, NOW)
    here, other, silent = (store.endpoint(system="linux") for _ in range(3))
    store.endpoint(system="windows")
    tell(here, libreoffice="7.4", scratch="3")
    tell(other, libreoffice="7.3", scratch="3", telnetd="1")
    act(builds.assign, SYSTEM, build_id, NOW)
    assert work() > 0
    assert work() == 0
    view = act(queries.build, SYSTEM, build_id)
    assert (view.endpoints, view.drifted, view.unknown) == (3, 1, 1)
    page = act(queries.drifted, SYSTEM, build_id)
    assert [(row.endpoint, row.items) for row in page.rows] == [("pc-002", 2)]
    tell(other, libreoffice="7.4", scratch="3")
    tell(silent, libreoffice="7.4")
    work()
    assert {(row.endpoint_pk, row.items) for row in store.rows(sa.select(Drift))} == {(here, 0), (other, 0), (silent, 1)}


def test_retired_build_is_nobodys_measure(store, act, tell, work):
    build_id = act(builds.create, SYSTEM, BUILD, NOW)
    pk = store.endpoint(system="linux")
    tell(pk, bash="5")
    act(builds.assign, SYSTEM, build_id, NOW)
    work()
    act(builds.retire, SYSTEM, build_id, NOW)
    work(NOW + dt.timedelta(days=1))
    assert store.rows(sa.select(Drift)) == []
    with pytest.raises(LibraryError, match="retired"):
        act(builds.assign, SYSTEM, build_id, NOW)


def test_licences_are_counted_by_the_pcs_that_have_the_software(store, act, tell, work):
    item_id = act(actions.add_package, SYSTEM, NewPackage("winget", "Sibelius", "2025.1", licences=1), NOW)
    first, second = store.endpoint(), store.endpoint()
    tell(first, sibelius="2024.9")
    tell(second, Sibelius="2025.1", bash="5")
    work()
    found = act(queries.item, SYSTEM, item_id)
    assert (found.installed, found.licences) == (2, 1)
    tell(first, bash="5")
    work()
    assert store.value(sa.select(LicenceUse.endpoint_pk)) == second


def test_build_is_tested_when_all_of_its_checklist_was_tried(act):
    build_id = act(builds.create, SYSTEM, BUILD, NOW)
    act(builds.check, SYSTEM, build_id, {0}, NOW)
    assert act(queries.build, SYSTEM, build_id).tested_at is None
    act(builds.check, SYSTEM, build_id, {0, 1, 9}, NOW)
    assert (act(queries.build, SYSTEM, build_id).tested_at, act(queries.build, SYSTEM, build_id).tested_by) == (NOW, "system")


@pytest.mark.parametrize(
    "new",
    [
        NewBuild("", "1", "linux", absent=["x"]),
        NewBuild("x", "1", "beos", absent=["x"]),
        NewBuild("x", "1", "linux"),
        NewBuild("x", "1", "linux", packages=[{"name": ""}]),
        NewBuild("x", "1", "linux", absent=["a\nb"]),
        NewBuild("x", "1", "linux", absent=["x"] * 501),
    ],
)
def test_build_that_no_software_could_be_held_against_is_refused(act, new):
    with pytest.raises(LibraryError):
        act(builds.create, SYSTEM, new, NOW)


def test_technician_of_one_school_assigns_builds_there_only(store, act):
    here, there = store.school(), store.school("Hilltop College")
    tom = Person(2, "tom", Role.TECHNICIAN, frozenset({here}))
    build_id = act(builds.create, tom, BUILD, NOW)
    with store.begin() as tx:
        room = tx.execute(sa.insert(Room).values(school_id=there, name="R1", created_at=NOW).returning(Room.id)).scalar_one()
    assert act(builds.assign, tom, build_id, NOW, school_id=here) == act(builds.assign, tom, build_id, NOW, school_id=here)
    for place in ({}, {"school_id": there}, {"room_id": room}, {"school_id": here, "room_id": room}, {"school_id": 999}):
        with pytest.raises(Exception, match=r"school|room"):
            act(builds.assign, tom, build_id, NOW, **place)
