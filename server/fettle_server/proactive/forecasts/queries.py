"""Reads about forecasts: what is coming, soonest first, and everything that can be said of one endpoint."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.db import EPOCH, from_ms, to_ms
from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Person
from fettle_server.estate.tables import Endpoint, School
from fettle_server.paging import Page, bounded, mark, unmark
from fettle_server.proactive.forecasts import judging, nightly, rules, slower
from fettle_server.proactive.forecasts.outlooks import Outlook
from fettle_server.proactive.forecasts.rules import Usual
from fettle_server.proactive.forecasts.tables import Forecast, Pace, Warranty

_PEERS_LOOKED_AT = 2000
_FAR = EPOCH + dt.timedelta(days=365 * 200)
_DAY = dt.timedelta(days=1)
_DUE = sa.func.coalesce(sa.type_coerce(Forecast.due_at, sa.BigInteger), to_ms(_FAR))


@dataclass(frozen=True, slots=True)
class ForecastView:
    """What is coming to an endpoint. `value`, `low`, `high` in the unit of the rule's reading; `value` None: nobody can say.

    `past` is (days since the epoch, value in `unit`) and `target` where the line leads; `state` is "raised", "coming" or
    "quiet"; `makes` "incident" or "task".
    """

    rule: str
    instance: str
    endpoint_id: str
    endpoint: str
    school_id: int
    school: str
    sentence: str
    value: float | None
    low: float | None
    high: float | None
    sure_percent: int | None
    due_at: dt.datetime | None
    earliest: dt.datetime | None
    latest: dt.datetime | None
    made_on: dt.date
    state: str
    makes: str
    past: tuple[tuple[int, float], ...]
    unit: str
    target: float | None


@dataclass(frozen=True, slots=True)
class ForecastFilter:
    """Which forecasts a list shows."""

    school_id: int | None = None
    rule: str = ""
    search: str = ""


@dataclass(frozen=True, slots=True)
class WarrantyView:
    """Until when an endpoint's maker mends it, and who says so."""

    ends_on: dt.date
    source: str


def coming(
    tx: sa.Connection, person: Person, wanted: ForecastFilter, *, after: str | None = None, limit: int = 50
) -> Page[ForecastView]:
    """What is coming, soonest first; what has no day of its own comes last.

    Raises:
        PageError: `after` is no mark of this list.
    """
    statement = _select().where(*scoped(person), *_filters(wanted))
    total = tx.scalar(sa.select(sa.func.count()).select_from(statement.subquery()))
    if after is not None:
        at, last = unmark(after, int, int)
        statement = statement.where(sa.tuple_(_DUE, Forecast.id) > sa.tuple_(sa.literal(at), sa.literal(last)))
    limit = bounded(limit)
    rows = tx.execute(statement.order_by(_DUE, Forecast.id).limit(limit + 1)).all()
    more = rows[limit - 1] if len(rows) > limit else None
    key = None if more is None else mark((to_ms(more.due_at or _FAR), more.id))
    return Page(tuple(_view(row) for row in rows[:limit]), key, total)


def week(tx: sa.Connection, person: Person, now: dt.datetime, *, limit: int = 5) -> tuple[ForecastView, ...]:
    """What comes to pass within a week and has no incident or task yet that says so."""
    statement = _select().where(*scoped(person), Forecast.due_at < now + 7 * _DAY, Forecast.is_told.is_(False))
    return tuple(_view(row) for row in tx.execute(statement.order_by(Forecast.due_at, Forecast.id).limit(bounded(limit))))


def of_endpoint(tx: sa.Connection, person: Person, endpoint_id: str, now: dt.datetime) -> tuple[ForecastView, ...]:
    """Everything that an endpoint's days tell as of its newest one, also that nothing comes or nobody can say; as of now."""
    columns = (Endpoint.pk, Endpoint.id, Endpoint.name, Endpoint.school_id, Endpoint.model, School.name.label("school"))
    statement = sa.select(*columns).join(School, School.id == Endpoint.school_id)
    row = tx.execute(statement.where(Endpoint.id == endpoint_id, *scoped(person))).one_or_none()
    if row is None:
        return ()
    newest = nightly.newest_over(now)
    days = nightly.read_days(tx, [row.pk], newest).get(row.pk, [])
    told = rules.outlooks(days, _usual(tx, row.school_id, row.model)) if days else []
    known = warranty_of(tx, person, endpoint_id)
    ending = [rules.warranty(known.ends_on, now.date())] if known else []
    of_pk = sa.select(Forecast.rule, Forecast.instance, Forecast.is_raised).where(Forecast.endpoint_pk == row.pk)
    raised = {(one.rule, one.instance) for one in tx.execute(of_pk) if one.is_raised}
    views = [_fresh(row, one, days[-1][0] if days else newest, raised) for one in (*told, *ending)]
    return tuple(sorted(views, key=lambda one: (one.due_at or _FAR, one.rule, one.instance)))


def warranty_of(tx: sa.Connection, person: Person, endpoint_id: str) -> WarrantyView | None:
    """The endpoint's warranty, where somebody wrote it down."""
    statement = sa.select(Warranty.ends_on, Warranty.source).join(Endpoint, Endpoint.pk == Warranty.endpoint_pk)
    row = tx.execute(statement.where(Endpoint.id == endpoint_id, *scoped(person))).one_or_none()
    return None if row is None else WarrantyView(row.ends_on, row.source)


def sentences_of(tx: sa.Connection, endpoint_pk: int) -> tuple[str, ...]:
    """What is coming to an endpoint by its rules, soonest first, in sentences."""
    statement = sa.select(Forecast.sentence).where(Forecast.endpoint_pk == endpoint_pk, Forecast.is_raised)
    return tuple(tx.scalars(statement.order_by(_DUE, Forecast.id)))


def _select() -> sa.Select[Any]:
    return (
        sa.select(
            *Forecast.__table__.c,
            Endpoint.id.label("endpoint_id"),
            Endpoint.name.label("endpoint"),
            School.name.label("school"),
        )
        .join(Endpoint, Endpoint.pk == Forecast.endpoint_pk)
        .join(School, School.id == Forecast.school_id)
        .where(Endpoint.revoked_at.is_(None), sa.or_(Forecast.is_raised, Forecast.due_at.is_not(None)))
    )


def _filters(wanted: ForecastFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.school_id is not None:
        found.append(Forecast.school_id == wanted.school_id)
    if wanted.rule:
        found.append(Forecast.rule == wanted.rule)
    words = wanted.search.lower().split()[:8]
    return found + [sa.or_(Endpoint.search.contains(word, autoescape=True), _holds(Forecast.sentence, word)) for word in words]


def _holds(column: Any, word: str) -> sa.ColumnElement[bool]:
    return sa.func.lower(column).contains(word, autoescape=True)


def _view(row: Any) -> ForecastView:
    made = EPOCH + dt.timedelta(days=(row.made_on - EPOCH.date()).days + 1)
    return ForecastView(
        rule=row.rule,
        instance=row.instance,
        endpoint_id=row.endpoint_id,
        endpoint=row.endpoint,
        school_id=row.school_id,
        school=row.school,
        sentence=row.sentence,
        value=row.value,
        low=row.low,
        high=row.high,
        sure_percent=row.sure_percent,
        due_at=row.due_at,
        earliest=_edge(row.rule, row.low, made),
        latest=_edge(row.rule, row.high, made),
        made_on=row.made_on,
        state="raised" if row.is_raised else "coming",
        makes="task" if row.rule in rules.TASKS else "incident",
        past=tuple((int(day), float(value)) for day, value in row.detail.get("past", [])),
        unit=row.detail.get("unit", ""),
        target=row.detail.get("target"),
    )


def _fresh(row: Any, one: Outlook, day: int, raised: set[tuple[str, str]]) -> ForecastView:
    due_at, made = judging.due_at(one, day), EPOCH + dt.timedelta(days=day + 1)
    quiet = "coming" if due_at is not None else "quiet"
    return ForecastView(
        rule=one.rule,
        instance=one.instance,
        endpoint_id=row.id,
        endpoint=row.name,
        school_id=row.school_id,
        school=row.school,
        sentence=one.sentence,
        value=one.value,
        low=one.low,
        high=one.high,
        sure_percent=one.sure_percent,
        due_at=due_at,
        earliest=_edge(one.rule, one.low, made),
        latest=_edge(one.rule, one.high, made),
        made_on=nightly.date_of(day),
        state="raised" if (one.rule, one.instance) in raised else quiet,
        makes="task" if one.rule in rules.TASKS else "incident",
        past=one.past[-60:],
        unit=one.unit,
        target=one.target,
    )


def _edge(rule: str, value: float | None, made: dt.datetime) -> dt.datetime | None:
    days = rules.in_days(rule, value)
    return None if days is None else from_ms(to_ms(made) + round(days * 86_400_000))


def _usual(tx: sa.Connection, school_id: int, model: str) -> Usual:
    of_model = sa.select(Pace.sign_in_s, Pace.boot_s).where(Pace.model == model).limit(_PEERS_LOOKED_AT)
    rows = tx.execute(of_model).all() if model else []
    of_school = sa.select(Pace.rise_c).where(Pace.school_id == school_id, Pace.rise_c.is_not(None)).limit(_PEERS_LOOKED_AT)
    return Usual(
        slower.peers([row.sign_in_s for row in rows if row.sign_in_s is not None]),
        slower.peers([row.boot_s for row in rows if row.boot_s is not None]),
        slower.peers([rise for rise in tx.scalars(of_school) if rise is not None]),
    )
