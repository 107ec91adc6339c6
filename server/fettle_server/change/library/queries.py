"""Reads about the library, its licences, builds, and endpoints that drifted from theirs. Bounded.

For others of the wing: `script_step` and `package_hashes` (what a manifest carries).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from fettle_protocol.steps import StepKind

from fettle_server.change.library.rules import ItemKind, LibraryError
from fettle_server.change.library.tables import Build, BuildPlace, Drift, LibraryItem, LicenceUse
from fettle_server.change.library.views import BuildView, DriftRow, ItemView, PlaceView
from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import Endpoint, Room, School
from fettle_server.paging import Page, bounded, mark, unmark

MOST = 2000


def items(
    tx: sa.Connection, person: Person, *, kind: str = "", search: str = "", withdrawn: bool = False
) -> tuple[ItemView, ...]:
    """The items of the library, by kind and name, the newest version first; the first 2,000."""
    demand(person, Act.VIEW)
    statement = sa.select(LibraryItem)
    if kind:
        statement = statement.where(LibraryItem.kind == kind)
    if not withdrawn:
        statement = statement.where(LibraryItem.withdrawn_at.is_(None))
    for word in search.lower().split()[:8]:
        columns = (LibraryItem.name, LibraryItem.version, LibraryItem.provider, LibraryItem.notes)
        statement = statement.where(sa.or_(*(sa.func.lower(column).contains(word, autoescape=True) for column in columns)))
    order = (LibraryItem.kind, sa.func.lower(LibraryItem.name), LibraryItem.id.desc())
    rows = tx.execute(statement.order_by(*order).limit(MOST)).all()
    used = _uses(tx)
    return tuple(_item(row, used) for row in rows)


def item(tx: sa.Connection, person: Person, item_id: int) -> ItemView | None:
    """One item."""
    demand(person, Act.VIEW)
    row = tx.execute(sa.select(LibraryItem).where(LibraryItem.id == item_id)).one_or_none()
    return None if row is None else _item(row, _uses(tx))


def builds(tx: sa.Connection, person: Person, *, retired: bool = False) -> tuple[BuildView, ...]:
    """The documented builds by name, the newest version first, with how many of the person's PCs are of each."""
    demand(person, Act.VIEW)
    statement = sa.select(Build) if retired else sa.select(Build).where(Build.retired_at.is_(None))
    rows = tx.execute(statement.order_by(sa.func.lower(Build.name), Build.id.desc()).limit(MOST)).all()
    return _builds(tx, person, rows)


def build(tx: sa.Connection, person: Person, build_id: int) -> BuildView | None:
    """One build."""
    demand(person, Act.VIEW)
    return next(iter(_builds(tx, person, tx.execute(sa.select(Build).where(Build.id == build_id)).all())), None)


def drifted(
    tx: sa.Connection, person: Person, build_id: int | None = None, *, school_id: int | None = None,
    after: str | None = None, limit: int = 50,
) -> Page[DriftRow]:  # fmt: skip
    """The endpoints that drifted from their build, the farthest first.

    Raises:
        PageError: `after` is no mark of this list.
    """
    which = [Drift.items > 0, *scoped(person)]
    if build_id is not None:
        which.append(Drift.build_id == build_id)
    if school_id is not None:
        which.append(Endpoint.school_id == school_id)
    total = tx.scalar(_drifts().with_only_columns(sa.func.count()).where(*which))
    order = (-Drift.items, Drift.endpoint_pk)
    statement = _drifts().where(*which)
    if after is not None:
        statement = statement.where(sa.tuple_(*order) > sa.tuple_(*(sa.literal(part) for part in unmark(after, int, int))))
    limit = bounded(limit)
    rows = tx.execute(statement.order_by(*order).limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(tuple(_drift(row) for row in rows[:limit]), None if last is None else mark((-last.items, last.pk)), total)


def drift_of(tx: sa.Connection, person: Person, endpoint_id: str) -> DriftRow | None:
    """How far an endpoint is from its build; None where it has none, or its software is not known."""
    which = (Endpoint.id == endpoint_id, Drift.software_digest != "", *scoped(person))
    row = tx.execute(_drifts().where(*which)).one_or_none()
    return None if row is None else _drift(row)


def script_step(tx: sa.Connection, item_id: int) -> dict[str, Any]:
    """The step of a job (fettle_protocol.steps) that runs this script.

    Raises:
        LibraryError: there is none, or it was withdrawn.
    """
    row = tx.execute(sa.select(LibraryItem).where(LibraryItem.id == item_id)).one_or_none()
    if row is None or row.kind != ItemKind.SCRIPT:
        raise LibraryError(f"There is no script {item_id} in the library.")
    if row.withdrawn_at is not None:
        raise LibraryError(f"The script {row.name} {row.version} was withdrawn: use a newer version.")
    names = ("name", "version", "sha256", "body", "interpreter", "idempotent")
    return {"kind": StepKind.SCRIPT.value, **{name: getattr(row, name) for name in names}}


def package_hashes(tx: sa.Connection, provider: str, names: Collection[str]) -> dict[tuple[str, str], str]:
    """The sha256 of those packages by (name, version), where the library has one that is not withdrawn."""
    which = (
        LibraryItem.kind == ItemKind.PACKAGE,
        LibraryItem.provider == provider,
        LibraryItem.name.in_(sorted(names)),
        LibraryItem.sha256 != "",
        LibraryItem.withdrawn_at.is_(None),
    )
    rows = tx.execute(sa.select(LibraryItem.name, LibraryItem.version, LibraryItem.sha256).where(*which))
    return {(row.name, row.version): row.sha256 for row in rows}


def _uses(tx: sa.Connection) -> dict[int, int]:
    joined = sa.select(LicenceUse.item_id, sa.func.count()).join(Endpoint, Endpoint.pk == LicenceUse.endpoint_pk)
    rows = tx.execute(joined.where(Endpoint.revoked_at.is_(None)).group_by(LicenceUse.item_id))
    return {row[0]: row[1] for row in rows}


def _item(row: Any, used: dict[int, int]) -> ItemView:
    return ItemView(
        id=row.id,
        kind=row.kind,
        provider=row.provider,
        name=row.name,
        version=row.version,
        sha256=row.sha256,
        body=row.body,
        interpreter=row.interpreter,
        idempotent=row.idempotent,
        systems=tuple(row.systems),
        licences=row.licences,
        licence=row.licence,
        source=row.source,
        notes=row.notes,
        added_by=row.added_by,
        added_at=row.added_at,
        withdrawn_at=row.withdrawn_at,
        installed=None if row.licences is None else used.get(row.id, 0),
    )


def _builds(tx: sa.Connection, person: Person, rows: Collection[Any]) -> tuple[BuildView, ...]:
    ids = [row.id for row in rows]
    counted = (Drift.build_id, sa.func.count(), sa.func.count(sa.case((Drift.items > 0, 1))),
               sa.func.count(sa.case((Drift.software_digest == "", 1))))  # fmt: skip
    joined = sa.select(*counted).join(Endpoint, Endpoint.pk == Drift.endpoint_pk)
    which = (Drift.build_id.in_(ids), Endpoint.revoked_at.is_(None), *scoped(person))
    counts = {row[0]: tuple(row)[1:] for row in tx.execute(joined.where(*which).group_by(Drift.build_id))}
    places = _places(tx, person, ids)
    return tuple(_build(row, places.get(row.id, ()), counts.get(row.id, (0, 0, 0))) for row in rows)


def _places(tx: sa.Connection, person: Person, ids: Collection[int]) -> dict[int, tuple[PlaceView, ...]]:
    columns = (BuildPlace, School.name.label("school"), Room.name.label("room"))
    statement = (
        sa.select(*columns).outerjoin(School, School.id == BuildPlace.school_id).outerjoin(Room, Room.id == BuildPlace.room_id)
    )
    which: list[sa.ColumnElement[bool]] = [BuildPlace.build_id.in_(ids)]
    if person.schools is not None:
        which.append(sa.or_(BuildPlace.school_id.is_(None), BuildPlace.school_id.in_(person.schools)))
    found: dict[int, tuple[PlaceView, ...]] = {}
    for row in tx.execute(statement.where(*which).order_by(BuildPlace.id)):
        view = PlaceView(row.id, row.school_id, row.school or "", row.room_id, row.room or "", row.endpoint_class)
        found[row.build_id] = (*found.get(row.build_id, ()), view)
    return found


def _build(row: Any, places: tuple[PlaceView, ...], counts: tuple[int, ...]) -> BuildView:
    return BuildView(
        id=row.id,
        name=row.name,
        version=row.version,
        system=row.system,
        description=row.description,
        packages=tuple(row.packages),
        absent=tuple(row.absent),
        checklist=tuple(row.checklist),
        tested_by=row.tested_by,
        tested_at=row.tested_at,
        created_by=row.created_by,
        created_at=row.created_at,
        retired_at=row.retired_at,
        places=places,
        endpoints=counts[0],
        drifted=counts[1],
        unknown=counts[2],
    )


def _drifts() -> Any:
    columns = (
        Drift.items, Drift.detail, Drift.at, Drift.build_id, Endpoint.pk, Endpoint.id, Endpoint.name, Endpoint.school_id,
        School.name.label("school"), (Build.name + " " + Build.version).label("build"),
    )  # fmt: skip
    joined = sa.select(*columns).select_from(Drift).join(Endpoint, Endpoint.pk == Drift.endpoint_pk)
    joined = joined.join(School, School.id == Endpoint.school_id).join(Build, Build.id == Drift.build_id)
    return joined.where(Endpoint.revoked_at.is_(None))


def _drift(row: Any) -> DriftRow:
    return DriftRow(
        endpoint_id=row.id,
        endpoint=row.name,
        school_id=row.school_id,
        school=row.school,
        build_id=row.build_id,
        build=row.build,
        items=row.items,
        detail=tuple(row.detail),
        at=row.at,
    )
