"""Reads about requests for change: the queue, what waits for somebody, and one change whole."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.change.requests.proceedings import may_everywhere, proceedings, sees_change, who, why_not
from fettle_server.change.requests.rules import STEP_WORDS, Proceeding, next_steps
from fettle_server.change.requests.views import ApprovalRow, ChangeDetail, ChangeRow, EntryRow, LinkedIncident, RolloutLine
from fettle_server.change.rollouts.plans import When
from fettle_server.change.rollouts.rules import DONE, TargetState
from fettle_server.change.rollouts.tables import Rollout, RolloutTarget
from fettle_server.change.rules import BEFORE, OVER, ChangeKind, ChangeState, Step
from fettle_server.change.tables import Change, ChangeApproval, ChangeEntry, ChangeIncident, ChangeTemplate
from fettle_server.estate.people.rules import Act, Person, sees
from fettle_server.estate.tables import School
from fettle_server.paging import Page, bounded, mark, unmark
from fettle_server.reactive.tables import Incident

ENTRIES, INCIDENTS = 500, 200
_CHUNK = 200
_NAMED = 3
_WAITS = {
    ChangeState.APPROVED: "signature and start",
    ChangeState.SCHEDULED: "its first window",
    ChangeState.HALTED: "someone to resume or back out",
    ChangeState.REVIEW: "review of what came of it",
}


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which changes a list shows: `state` a ChangeState, "open" or "" (all), of a kind, of a school, words in the title."""

    state: str = "open"
    kind: str = ""
    school_id: int | None = None
    search: str = ""


def changes(
    tx: sa.Connection, person: Person, wanted: ChangeFilter, after: str | None = None, limit: int = 50
) -> Page[ChangeRow]:
    """The changes of the person's schools, newest first.

    Raises:
        PageError: `after` is no mark of this list.
    """
    limit, below = bounded(limit), unmark(after, int)[0] if after is not None else None
    found: list[Any] = []
    while len(found) <= limit:
        statement = _fitting(wanted).order_by(Change.id.desc()).limit(_CHUNK)
        rows = tx.execute(statement if below is None else statement.where(Change.id < below)).all()
        found += [row for row in rows if _is_seen(person, row, wanted)]
        if len(rows) < _CHUNK:
            break
        below = rows[-1].id
    shown = found[:limit]
    return Page(_rows(tx, person, shown), mark((shown[-1].id,)) if len(found) > limit else None)


def waiting(tx: sa.Connection, person: Person) -> tuple[ChangeRow, ...]:
    """The changes that wait for this person's decision or review, the oldest first."""
    open_ones = sa.select(*Change.__table__.c).where(Change.state.not_in(OVER)).order_by(Change.id).limit(1000)
    rows = [row for row in tx.execute(open_ones) if sees_change(person, row.schools)]
    return tuple(row for row in _rows(tx, person, rows) if row.waits_for_me)


def change(tx: sa.Connection, person: Person, change_id: int) -> ChangeDetail | None:
    """One change with all that belongs to it; None where there is none of that number, or none that the person sees."""
    if not 0 < change_id < 2**31:
        return None
    row = tx.execute(sa.select(*Change.__table__.c).where(Change.id == change_id)).one_or_none()
    if row is None or not sees_change(person, row.schools):
        return None
    state, own = ChangeState(row.state), who(person) == row.proposer
    rollouts = _rollouts(tx, change_id)
    may = _rights(person, row)
    return ChangeDetail(
        row=_rows(tx, person, [row])[0],
        why=row.why,
        what=row.what,
        plan=row.plan,
        back_out_plan=row.back_out_plan,
        risk_reasons=tuple(row.risk_reasons),
        template=_template(tx, row.template_id),
        notice_hours=row.notice_hours,
        noticed_at=row.noticed_at,
        reminded_at=row.reminded_at,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
        review=row.review,
        reviewed_by=row.reviewed_by,
        reviewed_at=row.reviewed_at,
        school_ids=tuple(school for school in row.schools if sees(person, school)),
        approvals=_approvals(tx, person, row),
        entries=_entries(tx, change_id),
        incidents=_incidents(tx, person, change_id),
        rollouts=tuple(line for line, _, _ in rollouts),
        steps=tuple(rollouts[0][1]) if rollouts else (),
        may_review=state is ChangeState.REVIEW and may[Act.RUN_ROLLOUT],
        may_withdraw=state in BEFORE - {ChangeState.SCHEDULED} and (own or may[Act.APPROVE_CHANGE]),
        may_link=may[Act.PROPOSE_CHANGE],
        any_time=bool(rollouts) and rollouts[0][2].get("when") == When.ANY_TIME,
    )


def of_incident(tx: sa.Connection, person: Person, number: int) -> tuple[tuple[ChangeRow, str, str], ...]:
    """The changes that stand with an incident, newest first: each with how, and why."""
    stands = sa.and_(ChangeIncident.incident_number == number, ChangeIncident.unlinked_at.is_(None))
    links = {row.change_id: row for row in tx.execute(sa.select(*ChangeIncident.__table__.c).where(stands))}
    rows = tx.execute(sa.select(*Change.__table__.c).where(Change.id.in_(links)).order_by(Change.id.desc())).all()
    seen = [row for row in rows if sees_change(person, row.schools)]
    return tuple((row, links[row.id].how, links[row.id].why) for row in _rows(tx, person, seen))


def _fitting(wanted: ChangeFilter) -> Any:
    statement = sa.select(*Change.__table__.c)
    if wanted.state == "open":
        statement = statement.where(Change.state.not_in(OVER))
    elif wanted.state:
        statement = statement.where(Change.state == wanted.state)
    if wanted.kind:
        statement = statement.where(Change.kind == wanted.kind)
    for word in wanted.search.casefold().split()[:8]:
        statement = statement.where(sa.func.lower(Change.title).contains(word, autoescape=True))
    return statement


def _is_seen(person: Person, row: Any, wanted: ChangeFilter) -> bool:
    here = wanted.school_id is None or row.everywhere or wanted.school_id in row.schools
    return here and sees_change(person, row.schools)


def _rows(tx: sa.Connection, person: Person, rows: Iterable[Any]) -> tuple[ChangeRow, ...]:
    rows = list(rows)
    names = _names(tx) if rows else {}
    decided = proceedings(tx, [row.id for row in rows])
    return tuple(_as_row(tx, person, row, decided[row.id], names) for row in rows)


def _as_row(tx: sa.Connection, person: Person, row: Any, change: Proceeding, names: Mapping[int, str]) -> ChangeRow:
    turn = next_steps(change)
    mine = any(not why_not(tx, person, change, one, row.schools, everywhere=row.everywhere) for one in turn)
    to_review = row.state == ChangeState.REVIEW and _rights(person, row)[Act.RUN_ROLLOUT]
    shown = [names[school] for school in row.schools if school in names and sees(person, school)]
    return ChangeRow(
        id=row.id,
        kind=ChangeKind(row.kind),
        state=ChangeState(row.state),
        title=row.title,
        reach=row.reach,
        risk=row.risk,
        proposer=row.proposer,
        created_at=row.created_at,
        planned_from=row.planned_from,
        planned_until=row.planned_until,
        outcome=row.outcome,
        schools=tuple(sorted(shown)[:_NAMED]),
        school_count=len(row.schools),
        everywhere=row.everywhere,
        waits_for=STEP_WORDS[turn[0].step] if turn else _WAITS.get(ChangeState(row.state), ""),
        waits_for_me=mine or (to_review and not turn),
    )


def _rights(person: Person, row: Any) -> dict[Act, bool]:
    acts = (Act.PROPOSE_CHANGE, Act.APPROVE_CHANGE, Act.RUN_ROLLOUT)
    return {act: may_everywhere(person, act, row.schools, everywhere=row.everywhere) is None for act in acts}


def _names(tx: sa.Connection) -> dict[int, str]:
    return {row.id: row.name for row in tx.execute(sa.select(School.id, School.name))}


def _template(tx: sa.Connection, template_id: int | None) -> str:
    if template_id is None:
        return ""
    return str(tx.scalar(sa.select(ChangeTemplate.name).where(ChangeTemplate.id == template_id)) or "")


def _approvals(tx: sa.Connection, person: Person, row: Any) -> tuple[ApprovalRow, ...]:
    change = proceedings(tx, (row.id,))[row.id]
    turn, names = next_steps(change), _names(tx)
    statement = sa.select(*ChangeApproval.__table__.c).where(ChangeApproval.change_id == row.id).order_by(ChangeApproval.id)
    found = []
    for kept, one in zip(tx.execute(statement).all(), change.decisions, strict=True):
        if one.school_id is not None and not sees(person, one.school_id):
            continue
        is_next = one in turn
        reason = why_not(tx, person, change, one, row.schools, everywhere=row.everywhere) if is_next else ""
        found.append(
            ApprovalRow(
                Step(kept.step), kept.school_id, names.get(kept.school_id, ""), kept.decision, kept.actor, kept.why, kept.at,
                is_next, is_next and not reason, reason,
            )
        )  # fmt: skip
    return tuple(found)


def _entries(tx: sa.Connection, change_id: int) -> tuple[EntryRow, ...]:
    columns = (ChangeEntry.at, ChangeEntry.kind, ChangeEntry.actor, ChangeEntry.text, ChangeEntry.detail)
    newest = sa.select(*columns).where(ChangeEntry.change_id == change_id).order_by(ChangeEntry.id.desc()).limit(ENTRIES)
    return tuple(EntryRow(*row) for row in tx.execute(newest))


def _incidents(tx: sa.Connection, person: Person, change_id: int) -> tuple[LinkedIncident, ...]:
    link = ChangeIncident
    statement = (
        sa.select(
            Incident.number, Incident.title, Incident.state, Incident.priority, sa.func.coalesce(School.name, ""),
            link.how, link.why, link.linked_by, link.linked_at, Incident.opened_at, Incident.school_id,
        )
        .join(Incident, Incident.number == link.incident_number)
        .outerjoin(School, School.id == Incident.school_id)
        .where(link.change_id == change_id, link.unlinked_at.is_(None))
        .order_by(Incident.number.desc())
        .limit(INCIDENTS)
    )  # fmt: skip
    rows: Iterable[Any] = tx.execute(statement).all()
    return tuple(LinkedIncident(*row[:-1]) for row in rows if row.school_id is None or sees(person, row.school_id))


def _rollouts(tx: sa.Connection, change_id: int) -> list[tuple[RolloutLine, list[dict[str, Any]], dict[str, Any]]]:
    """Its rollouts, the first one first: each with its steps and its plan."""
    counted = (
        sa.select(
            RolloutTarget.rollout_id,
            sa.func.count().label("pcs"),
            sa.func.count(sa.case((RolloutTarget.state.in_(DONE), 1))).label("done"),
            sa.func.count(sa.case((RolloutTarget.state == TargetState.FAILED, 1))).label("failed"),
        )
        .group_by(RolloutTarget.rollout_id)
        .subquery()
    )
    columns = (Rollout.id, Rollout.direction, Rollout.state, Rollout.why, Rollout.steps, Rollout.plan)
    rows = tx.execute(
        sa.select(*columns, counted.c.pcs, counted.c.done, counted.c.failed)
        .outerjoin(counted, counted.c.rollout_id == Rollout.id)
        .where(Rollout.change_id == change_id)
        .order_by(Rollout.id)
        .limit(50)
    )
    return [
        (
            RolloutLine(row.id, row.direction, row.state, row.why, row.pcs or 0, row.done or 0, row.failed or 0),
            list(row.steps),
            dict(row.plan),
        )
        for row in rows
    ]


def planned_between(
    tx: sa.Connection, person: Person, start: dt.datetime, end: dt.datetime
) -> tuple[tuple[ChangeRow, tuple[int, ...], dt.datetime, dt.datetime], ...]:
    """The changes that are planned for, or ran in, that time: each with its schools' keys, and when it begins and ends.

    One that runs lasts until now at least; what is changing today is asked for here.
    """
    begins = sa.func.coalesce(Change.begun_at, Change.planned_from)
    ends = sa.func.coalesce(Change.ended_at, Change.planned_until, begins)
    runs = sa.and_(Change.state.in_((ChangeState.RUNNING, ChangeState.HALTED)), Change.begun_at < end)
    in_time = sa.or_(sa.and_(begins < end, ends >= start), runs)
    dropped = (ChangeState.REJECTED, ChangeState.WITHDRAWN, ChangeState.DRAFT)
    statement = sa.select(*Change.__table__.c).where(in_time, Change.state.not_in(dropped)).order_by(begins, Change.id)
    rows = [row for row in tx.execute(statement.limit(1000)) if sees_change(person, row.schools)]
    times = [(row.begun_at or row.planned_from, row.ended_at or row.planned_until) for row in rows]
    return tuple(
        (shown, tuple(row.schools), first, max(last or first, first))
        for shown, row, (first, last) in zip(_rows(tx, person, rows), rows, times, strict=True)
    )
