"""Reads about updates: what PCs lack, one update, one endpoint's; schools by the clock are in compliance.py. Bounded.

For others of the wing: `updates_of` and `steps_for` (what to install), `lackers` (where).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from fettle_protocol.steps import MAX_PACKAGES, StepKind

from fettle_server.change.patches import rules
from fettle_server.change.patches.compliance import compliance, summary, warned
from fettle_server.change.patches.rules import OPEN, TO_INSTALL, PatchState
from fettle_server.change.patches.tables import EndpointUpdate, PatchCount, PatchException, PatchScan, Update
from fettle_server.change.patches.views import (
    EndpointPatches,
    ExceptionView,
    Lacker,
    LackingFilter,
    LackingRow,
    PatchRow,
    SchoolCount,
    Step,
    UpdateDetail,
    UpdateView,
)
from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint, School
from fettle_server.paging import Page, bounded, mark, unmark

__all__ = [
    "compliance",
    "endpoints_of",
    "exceptions_of",
    "lackers",
    "lacking",
    "of_endpoint",
    "steps_for",
    "summary",
    "update",
    "updates_of",
    "warned",
]

_NO_CLOCK = 4_000_000
"""Sorts after every due day."""
_CLOSED_SHOWN = 200
_MANY = 1000
_LACKING = sa.func.sum(PatchCount.endpoints)
_DUE = sa.func.min(sa.case((PatchCount.due_day > 0, PatchCount.due_day), else_=_NO_CLOCK))
_STEPS = (
    ("offered", EndpointUpdate.offered_at),
    ("approved", EndpointUpdate.approved_at),
    ("downloaded", EndpointUpdate.downloaded_at),
    ("failed", EndpointUpdate.failed_at),
    ("installed", EndpointUpdate.installed_at),
    ("restart pending", EndpointUpdate.restart_due_at),
    ("proven", EndpointUpdate.fixed_at),
    ("gone", EndpointUpdate.gone_at),
)


def lacking(
    tx: sa.Connection, person: Person, wanted: LackingFilter, now: dt.datetime, *, after: str | None = None, limit: int = 50
) -> Page[LackingRow]:
    """Updates that PCs lack, the earliest due day first, then by how many lack them.

    Raises:
        PageError: `after` is no mark of this list.
    """
    counted = _counted(person, wanted.school_id, now)
    statement = sa.select(counted, *Update.__table__.c).join(Update, Update.id == counted.c.update_id)
    statement = statement.where(*_filters(wanted, counted))
    total = tx.scalar(sa.select(sa.func.count()).select_from(statement.with_only_columns(Update.id).subquery()))
    order = (counted.c.due, -counted.c.lacking, counted.c.update_id)
    if after is not None:
        statement = statement.where(sa.tuple_(*order) > sa.tuple_(*(sa.literal(part) for part in unmark(after, int, int, int))))
    limit = bounded(limit)
    rows = tx.execute(statement.order_by(*order).limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    key = None if last is None else mark((last.due, -last.lacking, last.update_id))
    return Page(tuple(_lacking_row(row, row) for row in rows[:limit]), key, total)


def update(tx: sa.Connection, person: Person, update_id: int, now: dt.datetime) -> UpdateDetail | None:
    """One update; None where no PC of the person's schools ever had to do with it."""
    row = tx.execute(sa.select(Update).where(Update.id == update_id)).one_or_none()
    if row is None:
        return None
    states = _states(tx, person, update_id)
    if not states and person.schools is not None:
        return None
    counted = tx.execute(sa.select(c := _counted(person, None, now, update_id)).where(c.c.update_id == update_id)).one_or_none()
    lacked = _lacking_row(row, counted)
    return UpdateDetail(lacked, states, _schools(tx, person, update_id, now), exceptions_of(tx, person, update_id, now))


def endpoints_of(
    tx: sa.Connection, person: Person, update_id: int, *, state: PatchState | None = None, school_id: int | None = None,
    search: str = "", after: str | None = None, limit: int = 50,
) -> Page[PatchRow]:  # fmt: skip
    """The endpoints that have to do with an update, by name; `state` None: all that lack it.

    Raises:
        PageError: `after` is no mark of this list.
    """
    states = OPEN if state is None else (state,)
    which = [EndpointUpdate.update_id == update_id, EndpointUpdate.state.in_(states), *scoped(person)]
    if school_id is not None:
        which.append(EndpointUpdate.school_id == school_id)
    which.extend(Endpoint.search.contains(word, autoescape=True) for word in search.lower().split()[:8])
    statement = _patches().where(*which)
    counted = sa.select(sa.func.count()).select_from(EndpointUpdate).join(Endpoint, Endpoint.pk == EndpointUpdate.endpoint_pk)
    total = tx.scalar(counted.where(*which))
    order = (Endpoint.name, Endpoint.pk)
    if after is not None:
        statement = statement.where(sa.tuple_(*order) > sa.tuple_(*(sa.literal(part) for part in unmark(after, str, int))))
    limit = bounded(limit)
    rows = tx.execute(statement.order_by(*order).limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(tuple(_patch_row(row) for row in rows[:limit]), None if last is None else mark((last.endpoint, last.pk)), total)


def of_endpoint(tx: sa.Connection, person: Person, endpoint_id: str, now: dt.datetime) -> EndpointPatches | None:
    """All updates of an endpoint: those that it lacks first, then the newest of the others. None: no such endpoint."""
    columns = (Endpoint.pk, Endpoint.connected, Endpoint.last_seen)
    found = tx.execute(sa.select(*columns).where(Endpoint.id == endpoint_id, *scoped(person))).one_or_none()
    if found is None:
        return None
    scan = tx.execute(sa.select(PatchScan).where(PatchScan.endpoint_pk == found.pk)).one_or_none()
    mine = _patches().where(EndpointUpdate.endpoint_pk == found.pk)
    soonest = (sa.func.coalesce(Update.due_on, dt.date.max), Update.name, Update.id)
    open_ones = tx.execute(mine.where(EndpointUpdate.state.in_(OPEN)).order_by(*soonest).limit(_MANY)).all()
    ended = sa.func.coalesce(
        *(sa.type_coerce(column, sa.BigInteger) for column in (EndpointUpdate.fixed_at, EndpointUpdate.gone_at))
    )
    closed = tx.execute(
        mine.where(EndpointUpdate.state.not_in(OPEN)).order_by(ended.desc(), Update.id).limit(_CLOSED_SHOWN)
    ).all()
    seen_at = now if found.connected else found.last_seen
    return EndpointPatches(
        standing=rules.standing(
            due=scan.due_on if scan else None,
            excepted=bool(scan and scan.excepted),
            looked=bool(scan and scan.worked),
            seen_at=seen_at if scan else None,
            now=now,
        ),
        looked_at=scan.at if scan else None,
        seen_at=seen_at,
        reboot_pending=scan.reboot_pending if scan else None,
        providers=tuple(scan.providers) if scan else (),
        refused=scan.refused if scan else "",
        due_on=scan.due_on if scan else None,
        rows=tuple(_patch_row(row) for row in (*open_ones, *closed)),
    )


def exceptions_of(tx: sa.Connection, person: Person, update_id: int, now: dt.datetime) -> tuple[ExceptionView, ...]:
    """The exceptions in force of an update, those of the person's schools and those for all."""
    columns = (*PatchException.__table__.c, School.name.label("school"))
    statement = sa.select(*columns).outerjoin(School, School.id == PatchException.school_id)
    which = [PatchException.update_id == update_id, PatchException.ended_at.is_(None), PatchException.until >= now.date()]
    if person.schools is not None:
        which.append(sa.or_(PatchException.school_id.is_(None), PatchException.school_id.in_(person.schools)))
    rows = tx.execute(statement.where(*which).order_by(PatchException.id).limit(200))
    return tuple(
        ExceptionView(row.id, row.update_id, row.school_id, row.school or "", row.why, row.by, row.at, row.until)
        for row in rows
    )


def updates_of(tx: sa.Connection, ids: Collection[int]) -> tuple[UpdateView, ...]:
    """Those updates that there are, in the order of their names."""
    wanted = sorted(set(ids))[:_MANY]
    rows = tx.execute(sa.select(Update).where(Update.id.in_(wanted)).order_by(Update.provider, Update.name, Update.id))
    return tuple(_view(row) for row in rows)


def lackers(
    tx: sa.Connection, person: Person, ids: Collection[int], schools: Collection[int] | None = None
) -> tuple[Lacker, ...]:
    """The PCs (not revoked) that lack any of these updates, in these schools of the person's (None: all of them), by pk."""
    wanted = sorted(set(ids))[:_MANY]
    which = [EndpointUpdate.update_id.in_(wanted), EndpointUpdate.state.in_(TO_INSTALL), Endpoint.revoked_at.is_(None)]
    if schools is not None:
        which.append(Endpoint.school_id.in_(schools))
    joined = sa.select(Endpoint.pk, Endpoint.id, Endpoint.school_id).join(
        EndpointUpdate, EndpointUpdate.endpoint_pk == Endpoint.pk
    )
    return tuple(Lacker(*row) for row in tx.execute(joined.where(*which, *scoped(person)).distinct().order_by(Endpoint.pk)))


def steps_for(tx: sa.Connection, ids: Collection[int]) -> list[Step]:
    """The steps that install these updates where an older version is: one upgrade for each provider, by name."""
    by_provider: dict[str, dict[str, str]] = {}
    for one in updates_of(tx, ids):
        by_provider.setdefault(one.provider, {})[one.name] = one.version  # of two versions of a name, the later learned
    steps: list[Step] = []
    for provider, versions in sorted(by_provider.items()):
        packages = [{"name": name, "version": version} if version else {"name": name} for name, version in versions.items()]
        pieces = (packages[start : start + MAX_PACKAGES] for start in range(0, len(packages), MAX_PACKAGES))
        steps.extend({"kind": StepKind.UPGRADE.value, "provider": provider, "packages": piece} for piece in pieces)
    return steps


def _counted(person: Person, school_id: int | None, now: dt.datetime, update_id: int | None = None) -> sa.Subquery:
    """How many endpoints lack each update, in the person's schools."""
    which: list[sa.ColumnElement[bool]] = [PatchCount.endpoints > 0]
    if person.schools is not None:
        which.append(PatchCount.school_id.in_(person.schools))
    if school_id is not None:
        which.append(PatchCount.school_id == school_id)
    if update_id is not None:
        which.append(PatchCount.update_id == update_id)
    today = now.date().toordinal()
    return (
        sa.select(
            PatchCount.update_id,
            sa.cast(_LACKING, sa.BigInteger).label("lacking"),
            _DUE.label("due"),
            _only(sa.and_(PatchCount.due_day > 0, PatchCount.due_day < today)).label("overdue"),
            *(_only(PatchCount.state == state).label(name) for name, state in _COUNTED_STATES.items()),
            sa.func.count(sa.distinct(PatchCount.school_id)).label("schools"),
        )
        .where(*which)
        .group_by(PatchCount.update_id)
        .subquery()
    )


_COUNTED_STATES = {"restart": PatchState.REBOOT_PENDING, "failed": PatchState.FAILED, "approved": PatchState.APPROVED}


def _only(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.sum(sa.case((condition, PatchCount.endpoints), else_=0)), sa.BigInteger)


def _filters(wanted: LackingFilter, counted: sa.Subquery) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.provider:
        found.append(Update.provider == wanted.provider)
    if wanted.security:
        found.append(Update.security.is_(True))
    if wanted.overdue:
        found.append(counted.c.overdue > 0)
    for word in wanted.search.lower().split()[:8]:
        columns = (Update.name, Update.title, Update.version, sa.cast(Update.cves, sa.Text))
        found.append(sa.or_(*(sa.func.lower(column).contains(word, autoescape=True) for column in columns)))
    return found


def _states(tx: sa.Connection, person: Person, update_id: int) -> dict[PatchState, int]:
    which = [EndpointUpdate.update_id == update_id]
    if person.schools is not None:
        which.append(EndpointUpdate.school_id.in_(person.schools))
    statement = sa.select(EndpointUpdate.state, sa.func.count()).where(*which).group_by(EndpointUpdate.state)
    counts = {PatchState(state): number for state, number in tx.execute(statement)}
    return {state: counts[state] for state in (*OPEN, PatchState.PROVEN, PatchState.GONE) if state in counts}


def _schools(tx: sa.Connection, person: Person, update_id: int, now: dt.datetime) -> tuple[SchoolCount, ...]:
    overdue = _only(sa.and_(PatchCount.due_day > 0, PatchCount.due_day < now.date().toordinal()))
    which = [PatchCount.update_id == update_id, PatchCount.endpoints > 0]
    if person.schools is not None:
        which.append(PatchCount.school_id.in_(person.schools))
    lacked = sa.cast(_LACKING, sa.BigInteger).label("lacking")
    statement = sa.select(School.id, School.name, lacked, overdue).join(School, School.id == PatchCount.school_id).where(*which)
    rows = tx.execute(statement.group_by(School.id, School.name).order_by(lacked.desc(), School.name))
    return tuple(SchoolCount(*row) for row in rows)


def _patches() -> sa.Select[Any]:
    own = [column.label(f"row_{column.name}") for column in EndpointUpdate.__table__.c]
    names = (Endpoint.pk, Endpoint.id.label("endpoint_id"), Endpoint.name.label("endpoint"), School.name.label("school"))
    return (
        sa.select(*Update.__table__.c, *own, *names)
        .select_from(EndpointUpdate)
        .join(Update, Update.id == EndpointUpdate.update_id)
        .join(Endpoint, Endpoint.pk == EndpointUpdate.endpoint_pk)
        .join(School, School.id == EndpointUpdate.school_id)
    )


def _patch_row(row: Any) -> PatchRow:
    times = ((name, getattr(row, f"row_{column.key}")) for name, column in _STEPS)
    return PatchRow(
        update=_view(row),
        endpoint_id=row.endpoint_id,
        endpoint=row.endpoint,
        school_id=row.row_school_id,
        school=row.school,
        state=PatchState(row.row_state),
        installed=row.row_installed,
        words=row.row_words,
        change_id=row.row_change_id,
        due_on=row.row_due_on,
        steps=tuple(sorted(((name, at) for name, at in times if at is not None), key=lambda step: step[1])),
    )


def _lacking_row(row: Any, counted: Any) -> LackingRow:
    """The update with its counts; none of them where nobody lacks it."""
    names = ("lacking", "overdue", "restart", "failed", "approved", "schools")
    numbers: dict[str, Any] = {name: int(getattr(counted, name)) if counted else 0 for name in names}
    return LackingRow(**asdict(_view(row)), **numbers, earliest_due_on=_date(counted.due) if counted else None)


def _view(row: Any) -> UpdateView:
    return UpdateView(
        id=row.id,
        provider=row.provider,
        name=row.name,
        version=row.version,
        title=row.title,
        security=row.security,
        severity=row.severity,
        cvss=row.cvss,
        cves=tuple(row.cves),
        reference=row.reference,
        released_on=row.released_on,
        first_seen_at=row.first_seen_at,
        due_on=row.due_on,
        clock=rules.clock_from(row.released_on) if row.due_on is not None else "",
    )


def _date(day: int) -> dt.date | None:
    return None if day >= _NO_CLOCK else dt.date.fromordinal(day)
