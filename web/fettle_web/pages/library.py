"""The definitive software library: its packages, scripts and licences; documented builds, and PCs that drifted from theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fettle_protocol.policy import CLASSES
from fettle_protocol.steps import INTERPRETERS, PROVIDERS
from fettle_server.change.library import actions, builds, queries
from fettle_server.change.library.actions import NewPackage, NewScript
from fettle_server.change.library.builds import NewBuild
from fettle_server.change.library.rules import SYSTEMS, ItemKind, LibraryError
from fettle_server.change.library.views import BuildView, ItemView
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Act, Person
from fettle_server.estate.rooms import queries as rooms
from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import CSV_ROWS, PAGE_ROWS, address, once, pages, respond, sheet, whole

SEARCH_LENGTH = 100
_MOST_LINES = 600
_ITEM_HEAD = (
    "id",
    "kind",
    "provider",
    "name",
    "version",
    "sha256",
    "licences_held",
    "licences_used",
    "licence",
    "source",
    "withdrawn",
)
_DRIFT_HEAD = ("pc", "school", "build", "items", "differences")


@pages.get("/library")
def library() -> ResponseReturnValue:
    """The library's items, with licences held and used."""
    person, kind = auth.person(), request.args.get("kind", "")
    kind = kind if kind in tuple(ItemKind) else ""
    search, withdrawn = request.args.get("q", "").strip()[:SEARCH_LENGTH], request.args.get("withdrawn") == "1"
    with store.reading() as tx:
        rows = once(lambda: queries.items(tx, person, kind=kind, search=search, withdrawn=withdrawn))
        if request.args.get("form") == "csv":
            return sheet("library", _ITEM_HEAD, (_item_row(row) for row in rows()))
        return respond(
            "pages/library.html",
            tx,
            nav="library",
            kind=kind,
            search=search,
            withdrawn=withdrawn,
            address=address,
            providers=PROVIDERS,
            interpreters=INTERPRETERS,
            rows=rows,
        )


@pages.get("/library/items/<int:item_id>")
def library_item(item_id: int) -> ResponseReturnValue:
    """One item: what it is, its digest, a script's body."""
    with store.reading() as tx:
        found = _item(tx, auth.person(), item_id)
        return respond("pages/library_item.html", tx, nav="library", one=found)


@pages.post("/library/packages")
def add_package() -> ResponseReturnValue:
    """Add a package version."""
    person, form = auth.demand(Act.EDIT_LIBRARY), request.form
    licences = form.get("licences", "").strip()
    if licences and not (licences.isascii() and licences.isdigit() and len(licences) < 9):
        flash("Licences are a number; nothing where it needs none.")
        return redirect(url_for("pages.library"), 303)
    texts: dict[str, Any] = {
        name: form.get(name, "") for name in ("provider", "name", "version", "sha256", "licence", "source", "notes")
    }
    new = NewPackage(**texts, licences=int(licences) if licences else None)
    return _added(lambda tx: actions.add_package(tx, person, new, utc_now()))


@pages.post("/library/scripts")
def add_script() -> ResponseReturnValue:
    """Add a script version."""
    person, form = auth.demand(Act.EDIT_LIBRARY), request.form
    texts: dict[str, Any] = {name: form.get(name, "") for name in ("name", "version", "body", "interpreter", "notes")}
    new = NewScript(**texts, idempotent=form.get("idempotent") == "1")
    return _added(lambda tx: actions.add_script(tx, person, new, utc_now()))


@pages.post("/library/items/<int:item_id>/withdraw")
def withdraw_item(item_id: int) -> ResponseReturnValue:
    """Take an item out of use."""
    person = auth.demand(Act.EDIT_LIBRARY)
    with _said("pages.library_item", item_id=item_id) as said, store.writing() as tx:
        _item(tx, person, item_id)
        actions.withdraw(tx, person, item_id, utc_now())
        said["text"] = "Withdrawn: no new change can use it."
    return redirect(said["where"], 303)


@pages.get("/library/builds")
def library_builds() -> ResponseReturnValue:
    """The documented builds, and how many PCs drifted from each."""
    person = auth.person()
    with store.reading() as tx:
        rows = once(lambda: queries.builds(tx, person))
        return respond("pages/builds.html", tx, nav="library", rows=rows, systems=SYSTEMS)


@pages.get("/library/builds/<int:build_id>")
def library_build(build_id: int) -> ResponseReturnValue:
    """One build, its places, and the PCs that drifted from it."""
    person, school, after = auth.person(), whole("school"), request.args.get("after") or None
    with store.reading() as tx:
        found = _build(tx, person, build_id)
        if request.args.get("form") == "csv":
            return sheet(f"drift-{build_id}", _DRIFT_HEAD, _drift_rows(tx, person, build_id))
        return respond(
            "pages/build.html",
            tx,
            nav="library",
            one=found,
            school=school,
            address=address,
            classes=CLASSES,
            further=after is not None,
            schools=once(lambda: endpoints.schools(tx, person)),
            rooms=once(lambda: rooms.room_names(tx, person)),
            page=once(lambda: queries.drifted(tx, person, build_id, school_id=school, after=after, limit=PAGE_ROWS)),
        )


@pages.post("/library/builds")
def create_build() -> ResponseReturnValue:
    """Document a build: packages as lines of a name and a version, names that must not be there, points to check."""
    person, form = auth.demand(Act.EDIT_LIBRARY), request.form
    texts: dict[str, Any] = {name: form.get(name, "") for name in ("name", "version", "system", "description")}
    packages = [dict(zip(("name", "version"), line.split(None, 1), strict=False)) for line in _lines("packages")]
    new = NewBuild(**texts, packages=packages, absent=_lines("absent"), checklist=_lines("checklist"))
    with _said("pages.library_builds") as said, store.writing() as tx:
        build_id = builds.create(tx, person, new, utc_now())
        said["where"] = url_for("pages.library_build", build_id=build_id)
    return redirect(said["where"], 303)


@pages.post("/library/builds/<int:build_id>/places")
def assign_build(build_id: int) -> ResponseReturnValue:
    """Say where a build belongs."""
    person = auth.demand(Act.EDIT_LIBRARY)
    kind, _, key = request.form.get("where", "").partition(":")
    place = {f"{kind}_id": int(key)} if kind in ("school", "room") and key.isascii() and key.isdigit() and len(key) < 10 else {}
    klass = request.form.get("class") or None
    with _said("pages.library_build", build_id=build_id) as said, store.writing() as tx:
        _build(tx, person, build_id)
        builds.assign(tx, person, build_id, utc_now(), endpoint_class=klass, **place)
        said["text"] = "Assigned. Its PCs are held against it within the next minutes."
    return redirect(said["where"], 303)


@pages.post("/library/builds/<int:build_id>/places/<int:place_id>/remove")
def unassign_build(build_id: int, place_id: int) -> ResponseReturnValue:
    """A build no longer belongs there."""
    person = auth.demand(Act.EDIT_LIBRARY)
    with _said("pages.library_build", build_id=build_id) as said, store.writing() as tx:
        if place_id not in {place.id for place in _build(tx, person, build_id).places}:
            abort(404)
        builds.unassign(tx, person, place_id, utc_now())
        said["text"] = "It no longer belongs there."
    return redirect(said["where"], 303)


@pages.post("/library/builds/<int:build_id>/check")
def check_build(build_id: int) -> ResponseReturnValue:
    """Note which points of the checklist were tried."""
    person = auth.demand(Act.EDIT_LIBRARY)
    done = {int(text) for text in request.form.getlist("done") if text.isascii() and text.isdigit() and len(text) < 4}
    with _said("pages.library_build", build_id=build_id) as said, store.writing() as tx:
        _build(tx, person, build_id)
        builds.check(tx, person, build_id, done, utc_now())
        said["text"] = "Noted."
    return redirect(said["where"], 303)


@pages.post("/library/builds/<int:build_id>/retire")
def retire_build(build_id: int) -> ResponseReturnValue:
    """No PC is held against the build any more."""
    person = auth.demand(Act.EDIT_LIBRARY)
    with _said("pages.library_build", build_id=build_id) as said, store.writing() as tx:
        _build(tx, person, build_id)
        builds.retire(tx, person, build_id, utc_now())
        said["text"] = "Retired: no PC is held against it any more."
    return redirect(said["where"], 303)


@contextmanager
def _said(endpoint: str, **values: Any) -> Iterator[dict[str, str]]:
    """Where to go afterwards, and what is said there: a refusal too."""
    said = {"where": url_for(endpoint, **values), "text": ""}
    try:
        yield said
    except LibraryError as error:
        said["text"] = str(error)
    if said["text"]:
        flash(said["text"])


def _added(add: Callable[[Connection], int]) -> ResponseReturnValue:
    with _said("pages.library") as said, store.writing() as tx:
        said["where"] = url_for("pages.library_item", item_id=add(tx))
        said["text"] = "It is in the library."
    return redirect(said["where"], 303)


def _lines(name: str) -> list[str]:
    lines = (line.strip() for line in request.form.get(name, "").splitlines())
    return [line for line in lines if line][:_MOST_LINES]


def _item(tx: Connection, person: Person, item_id: int) -> ItemView:
    found = queries.item(tx, person, item_id)
    if found is None:
        abort(404)
    return found


def _build(tx: Connection, person: Person, build_id: int) -> BuildView:
    found = queries.build(tx, person, build_id)
    if found is None:
        abort(404)
    return found


def _item_row(row: ItemView) -> tuple[Any, ...]:
    held, used = ("" if number is None else number for number in (row.licences, row.installed))
    told = (row.id, row.kind, row.provider or row.interpreter, row.name, row.version, row.sha256)
    return *told, held, used, row.licence, row.source, "yes" if row.withdrawn_at else "no"


def _drift_rows(tx: Connection, person: Person, build_id: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    after: str | None = None
    while len(rows) < CSV_ROWS:
        page = queries.drifted(tx, person, build_id, after=after, limit=500)
        for one in page.rows:
            told = "; ".join(f"{item['name']}: {item['wanted']}, found {item['found']}" for item in one.detail)
            rows.append((one.endpoint, one.school, one.build, one.items, told))
        after = page.after
        if after is None:
            break
    return rows
