"""A piece of the night's forecasts: endpoints' days in, what changes in their forecasts out. Reads only; actions.py writes.

Only what is coming is kept: forecasts that a rule raises or is about to, and what comes to pass within four months. All others
are made when a page asks for them.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa
from fettle_protocol.policy import Policy, Rule
from fettle_protocol.rules import Phase, State, step

from fettle_server import observed
from fettle_server.db import EPOCH
from fettle_server.estate.tables import Certificate, Endpoint
from fettle_server.proactive.forecasts import disks, nightly, rules, slower, wear
from fettle_server.proactive.forecasts.nightly import FORECASTS, Mark
from fettle_server.proactive.forecasts.outlooks import Days, Outlook
from fettle_server.proactive.forecasts.rules import Usual
from fettle_server.proactive.forecasts.slower import Peers
from fettle_server.proactive.forecasts.tables import Forecast, Pace, Warranty

KEEP_DUE_DAYS = 120
PIECE = 100
_DAY_MS = 86_400_000
_PER_INSTANCE = frozenset({disks.FILLS, disks.SECTORS, wear.SSD, slower.HEAT})
"""Rules whose forecast is gone with its instance: a disk that was taken out."""
_COLUMNS = (
    Endpoint.pk, Endpoint.school_id, Endpoint.model, Endpoint.system, Endpoint.endpoint_class, Endpoint.fingerprint,
    Endpoint.last_seen,
)  # fmt: skip


class PaceRow(NamedTuple):
    """What an endpoint gives to the comparison with its peers."""

    endpoint_pk: int
    school_id: int
    model: str
    sign_in_s: float | None
    boot_s: float | None
    rise_c: float | None


@dataclass(frozen=True, slots=True)
class Book:
    """What is usual: sign-ins and starts by model, the rise of heat by school."""

    day: int = -1
    sign_in: dict[str, Peers] = field(default_factory=dict)
    boot: dict[str, Peers] = field(default_factory=dict)
    rise: dict[int, Peers] = field(default_factory=dict)

    def usual(self, school_id: int, model: str) -> Usual:
        """What is usual for an endpoint of that school and model."""
        return Usual(self.sign_in.get(model), self.boot.get(model), self.rise.get(school_id))


@dataclass(frozen=True, slots=True)
class Judged:
    """What one piece changes: forecasts to keep (as rows) and to drop (by id), paces, and where to go on."""

    kept: tuple[dict[str, Any], ...]
    dropped: tuple[int, ...]
    paces: tuple[PaceRow, ...]
    then: Mark


def make_book(tx: sa.Connection, day: int) -> Book:
    """What is usual as of the last night, from one read of all paces."""
    by_model: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    by_school: dict[int, list[float]] = defaultdict(list)
    for row in tx.execute(sa.select(Pace.school_id, Pace.model, Pace.sign_in_s, Pace.boot_s, Pace.rise_c)):
        for values, value in zip(by_model[row.model], (row.sign_in_s, row.boot_s), strict=True):
            if value is not None and row.model:
                values.append(value)
        if row.rise_c is not None:
            by_school[row.school_id].append(row.rise_c)
    return Book(
        day,
        _peers((model, values[0]) for model, values in by_model.items()),
        _peers((model, values[1]) for model, values in by_model.items()),
        _peers(by_school.items()),
    )


def due_day(tx: sa.Connection, now: dt.datetime) -> Mark | None:
    """Where to go on with the newest day's forecasts, once all days are made; None where that is done."""
    made, newest = nightly.mark_of(tx, nightly.DAYS), nightly.newest_over(now)
    if made is None or made.day <= newest:
        return None
    mark = nightly.mark_of(tx, FORECASTS) or Mark(newest)
    if mark.day > newest:
        return None
    return mark if mark.day == newest else Mark(newest)


def judge(tx: sa.Connection, mark: Mark, policy: Policy, book: Book) -> Judged:
    """The next endpoints' forecasts as of that day."""
    endpoints = nightly.endpoints_after(tx, mark.after_pk, _COLUMNS, limit=PIECE)
    if not endpoints:
        return Judged((), (), (), Mark(mark.day + 1))
    pks = [row.pk for row in endpoints]
    days = nightly.read_days(tx, pks, mark.day)
    present = _present(tx, pks)
    dated = _dated(tx, pks, mark.day)
    kept: list[dict[str, Any]] = []
    dropped: list[int] = []
    paces: list[PaceRow] = []
    for row in endpoints:
        of_day = days.get(row.pk, [])
        told = _outlooks(row, of_day, book) if of_day and of_day[-1][0] == mark.day else None
        if told is not None:
            paces.append(_pace(row, of_day))
        all_told = [*(told or ()), *dated.get(row.pk, ())]
        _settle(row, all_told, present.get(row.pk, {}), policy, mark.day, reported=told is not None).into(kept, dropped)
    return Judged(tuple(kept), tuple(dropped), tuple(paces), Mark(mark.day, pks[-1]))


def _outlooks(row: Any, of_day: Days, book: Book) -> Sequence[Outlook] | None:
    """What the endpoint's days tell; None where nothing can be made of them: that stops no other endpoint's."""
    try:
        return rules.outlooks(of_day, book.usual(row.school_id, row.model))
    except (ArithmeticError, ValueError) as error:
        observed.log().error("an endpoint's days cannot be judged", endpoint_pk=row.pk, error=type(error).__name__)
        return None


@dataclass(slots=True)
class _Settled:
    kept: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)

    def into(self, kept: list[dict[str, Any]], dropped: list[int]) -> None:
        kept += self.kept
        dropped += self.dropped


def _settle(
    row: Any, told: Sequence[Outlook], present: dict[tuple[str, str], Any], policy: Policy, day: int, *, reported: bool
) -> _Settled:
    """One endpoint's forecasts after this day: each outlook folded by its rule, and what nobody tells any more let go."""
    settled = _Settled()
    judged: set[tuple[str, str]] = set()
    for outlook in told:
        key = (outlook.rule, outlook.instance)
        rule = rules.rule_for(policy, outlook, row.system, row.endpoint_class)
        before = present.get(key)
        if rule is None:
            continue  # switched off, or not for this class: let go below
        judged.add(key)
        after = _step(row, rule, outlook, before, day)
        if after is not None:
            settled.kept.append(after)
        elif before is not None:
            settled.dropped.append(before.id)
    for key, before in present.items():
        if key not in judged and _is_gone(key, before, policy, reported=reported):
            if before.is_told:
                settled.kept.append(_as_row(before) | {"is_raised": False, "phase": Phase.WELL, "due_at": None})
            else:
                settled.dropped.append(before.id)
    return settled


def _step(row: Any, rule: Rule, outlook: Outlook, before: Any, day: int) -> dict[str, Any] | None:
    """The forecast's row after this day; None where there is nothing to keep."""
    state = State(Phase(before.phase), before.since_ms, before.seen_ms) if before is not None else State()
    state, _ = step(state, rule.levels, outlook.value, (day + 1) * _DAY_MS)
    is_raised = state.phase in (Phase.RAISED, Phase.CLEARING)
    is_told = before is not None and before.is_told
    if outlook.value is None:
        return _as_row(before) if before is not None else None
    soon = outlook.due_in_days is not None and outlook.due_in_days <= KEEP_DUE_DAYS
    if not (soon or is_told or state.phase is not Phase.WELL):
        return None
    return {
        "endpoint_pk": row.pk,
        "school_id": row.school_id,
        "rule": outlook.rule,
        "instance": outlook.instance[:200],
        "made_on": nightly.date_of(day),
        "value": outlook.value,
        "low": outlook.low,
        "high": outlook.high,
        "sure_percent": outlook.sure_percent,
        "sentence": outlook.sentence[:300],
        "detail": _detail(outlook),
        "due_at": due_at(outlook, day),
        "phase": state.phase.value,
        "since_ms": state.since_ms,
        "seen_ms": state.seen_ms,
        "is_raised": is_raised,
        "is_told": is_told,
    }


def due_at(outlook: Outlook, day: int) -> dt.datetime | None:
    """When it comes to pass, told from the end of that day."""
    if outlook.due_in_days is None or outlook.due_in_days > nightly.KEEP_DAYS * 5:
        return None
    return EPOCH + dt.timedelta(days=day + 1 + outlook.due_in_days)


def _detail(outlook: Outlook) -> dict[str, Any]:
    """What the chart draws: the past as [[day, value], ...] and where the line leads."""
    past = [[day, round(value, 2)] for day, value in outlook.past[-60:]]
    return {"past": past, "unit": outlook.unit, "target": outlook.target}


def _is_gone(key: tuple[str, str], before: Any, policy: Policy, *, reported: bool) -> bool:
    """True where a forecast that was not told today is over, and not only unheard of."""
    rule = policy.rule(key[0])
    if rule is None or not rule.enabled or key[0] in (rules.WARRANTY, rules.CERTIFICATE):
        return True
    if not before.is_raised and not before.is_told and before.due_at is None:
        return reported
    return reported and key[0] in _PER_INSTANCE


def _as_row(before: Any) -> dict[str, Any]:
    return {name: value for name, value in before._mapping.items() if name != "id"}


def _pace(row: Any, days: Days) -> PaceRow:
    rises = slower.rises(days)
    warmest = round(max(rises.values()), 1) if rises else None
    times = [slower.lately(days, rule) for rule in (slower.SIGN_IN, slower.BOOT)]
    sign_in, boot = (None if one is None else round(one, 1) for one in times)
    return PaceRow(row.pk, row.school_id, row.model, sign_in, boot, warmest)


def _present(tx: sa.Connection, pks: Sequence[int]) -> dict[int, dict[tuple[str, str], Any]]:
    found: dict[int, dict[tuple[str, str], Any]] = defaultdict(dict)
    for row in tx.execute(sa.select(*Forecast.__table__.c).where(Forecast.endpoint_pk.in_(pks))):
        found[row.endpoint_pk][row.rule, row.instance] = row
    return found


def _dated(tx: sa.Connection, pks: Sequence[int], day: int) -> dict[int, list[Outlook]]:
    """What ends on a date that is written down: warranties, and certificates of agents that are there to renew them."""
    today, now = nightly.date_of(day + 1), EPOCH + dt.timedelta(days=day + 1)
    found: dict[int, list[Outlook]] = defaultdict(list)
    soon = today + dt.timedelta(days=KEEP_DUE_DAYS)
    ending = sa.select(Warranty.endpoint_pk, Warranty.ends_on).where(Warranty.endpoint_pk.in_(pks), Warranty.ends_on <= soon)
    for pk, ends_on in tx.execute(ending):
        outlook = rules.warranty(ends_on, today)
        if outlook.value is not None:
            found[pk].append(outlook)
    renewing = (
        sa.select(Endpoint.pk, Certificate.not_after)
        .join(Certificate, Certificate.fingerprint == Endpoint.fingerprint)
        .where(Endpoint.pk.in_(pks), Endpoint.last_seen >= now - rules.STALE, Certificate.revoked_at.is_(None))
        .where(Certificate.not_after <= now + dt.timedelta(days=30))
    )
    for pk, not_after in tx.execute(renewing):
        found[pk].append(rules.certificate(not_after, now))
    return found


def _peers(values: Iterable[tuple[Any, list[float]]]) -> dict[Any, Peers]:
    return {key: usual for key, of_key in values if (usual := slower.peers(of_key)) is not None}
