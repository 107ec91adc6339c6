"""What is done with jobs: made, let go, cancelled, expired, by tens of thousands at a time.

Rows are locked in the order of their numbers, here as in reporting.py, so that a halt and a flood of reports wait for each
other and never for both.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from fettle_server.change.jobs.reporting import report
from fettle_server.change.jobs.rules import BEGUN, NOT_BEGUN, JobError, JobState
from fettle_server.change.jobs.tables import Job, JobFormerUid, JobMark, Wake
from fettle_server.db import as_json, bulk_insert, bulk_update, insert_into, to_ms
from fettle_server.estate.people.rules import Act, Person, demand, sees
from fettle_server.journal import actions as journal

__all__ = ["ask_wake", "cancel", "cancel_by_hand", "create", "expire", "release", "renew", "report", "say_why"]

CHUNK = 5000
SILENCE = dt.timedelta(days=1)
"""How long past its end a job that began is waited for: its PC may be off, and still has to tell how it went."""
WAKES_LIMIT = 64
WHY_LIMIT = 500
_WAKES_KEPT = dt.timedelta(hours=1)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_NOT_YET = "It waits for its turn."
_ON_ITS_WAY = "It was let go; the PC has not fetched it yet."
_MAKE = bulk_insert(
    Job, "uid", "endpoint_pk", "school_id", "manifest_id", "rollout_id", "state", "why", "exam", "at_most_once",
    "released_number", "cancel_number", "attempt", "step", "percent", "created_at", "expires_at",
)  # fmt: skip
_RELEASE = bulk_update(Job, Job.id, "state", "why", "released_number", "start_at", "until_at", "exam", "released_at")
_END = bulk_update(Job, Job.id, "state", "why", "cancel_number", "ended_at")
_RENEW = bulk_update(
    Job, Job.id, "uid", "state", "why", "released_number", "cancel_number", "start_at", "until_at", "released_at",
    "received_at", "ended_at",
)  # fmt: skip
_FORMER = bulk_insert(JobFormerUid, "uid", "job_id", "endpoint_pk", "cancel_number")
_ASK = bulk_insert(Wake, "endpoint_pk", "macs", "asked_at")


def create(
    tx: sa.Connection,
    manifest_id: int,
    places: Sequence[tuple[int, int]],
    rollout_id: int | None,
    expires_at: dt.datetime,
    at_most_once: bool,
    now: dt.datetime,
) -> dict[int, int]:
    """Make a waiting job for each (endpoint pk, school id); returns their numbers by endpoint.

    One that an earlier rollout of the manifest left goes over to this one; where it was taken back it waits again.
    """
    wanted = dict(places)
    there = _by_endpoint(tx, manifest_id, list(wanted))
    _take_over(tx, list(there.values()), rollout_id, now)
    common = (manifest_id, rollout_id, JobState.WAITING.value, _NOT_YET, False, at_most_once, 0, 0, 0, 0, 0)
    times = (to_ms(now), to_ms(expires_at))
    new = [pk for pk in wanted if pk not in there]
    _MAKE.run(tx, [(uuid.uuid4().hex, pk, wanted[pk], *common, *times) for pk in new])
    return there | _by_endpoint(tx, manifest_id, new)


def release(
    tx: sa.Connection,
    job_ids: Sequence[int],
    start_at: dt.datetime,
    until_at: dt.datetime,
    exam: bool,
    now: dt.datetime,
) -> list[int]:
    """Let jobs go that have not begun, to begin within that window; returns which. One released before gets its new window."""
    ids = [row.id for row in _locked(tx, job_ids, NOT_BEGUN)]
    number = _raise_mark(tx, "released", len(ids))
    common = (to_ms(start_at), to_ms(until_at), exam, to_ms(now))
    state = JobState.RELEASED.value
    _RELEASE.run(tx, [(job_id, state, _ON_ITS_WAY, number + count, *common) for count, job_id in enumerate(ids, 1)])
    return ids


def cancel(tx: sa.Connection, job_ids: Sequence[int], reason: str, now: dt.datetime) -> list[int]:
    """Cancel those that have not begun; returns which.

    One that had begun without our knowing says so later, and its state follows its word.
    """
    return _end(tx, _locked(tx, job_ids, NOT_BEGUN), JobState.CANCELLED, reason, now)


def renew(tx: sa.Connection, job_ids: Sequence[int], now: dt.datetime) -> list[int]:
    """Let cancelled jobs that never began wait again, under a new name; returns which.

    Agents know the manifest too, so one that did begin the old job without our knowing does not do it twice; what it says
    under the old name still counts, and a cancel of it that was not heard yet still goes out.
    """
    found: list[Any] = []
    columns = (Job.id, Job.uid, Job.endpoint_pk, Job.cancel_number, Job.released_number)
    for chunk in _chunks(sorted(set(job_ids))):
        never = (Job.id.in_(chunk), Job.state == JobState.CANCELLED, Job.started_at.is_(None), Job.expires_at > now)
        found += tx.execute(sa.select(*columns).where(*never).order_by(Job.id).with_for_update()).all()
    _FORMER.run(tx, [(row.uid, row.id, row.endpoint_pk, row.cancel_number) for row in found if row.released_number])
    ids = [row.id for row in found]
    _RENEW.run(tx, [(job_id, uuid.uuid4().hex, JobState.WAITING.value, _NOT_YET, 0, 0, *(None,) * 5) for job_id in ids])
    return ids


def cancel_by_hand(tx: sa.Connection, person: Person, uid: str, reason: str, now: dt.datetime) -> None:
    """Cancel one job for good (Act.RUN_ROLLOUT in its school): no resume of its rollout brings it back.

    Raises:
        JobError: it has begun or ended.
    """
    row = tx.execute(sa.select(Job.id, Job.school_id, Job.state).where(Job.uid == uid)).one_or_none()
    if row is None or not sees(person, row.school_id):
        raise JobError("There is no such job.")
    demand(person, Act.RUN_ROLLOUT, row.school_id)
    reason = reason.strip()
    if not reason:
        raise JobError("Say why: the next person will ask.")
    if not cancel(tx, [row.id], reason, now):
        raise JobError(f"The job is {row.state}: only one that has not begun can be cancelled.")
    tx.execute(sa.update(Job).where(Job.id == row.id).values(expires_at=now))
    journal.record(tx, "job.cancelled", person.actor, f"job:{uid}", row.school_id, {"why": reason[:WHY_LIMIT]}, now)


def expire(tx: sa.Connection, now: dt.datetime, limit: int = 5000) -> list[int]:
    """End jobs whose time is over: those that never began, and those that began and were silent ever since; returns which."""
    over = sa.select(Job.id, Job.state).where(Job.ended_at.is_(None), Job.expires_at <= now)
    silent = sa.and_(Job.state.in_(_values(BEGUN)), sa.func.coalesce(Job.reported_at, Job.expires_at) <= now - SILENCE)
    silent = sa.and_(silent, Job.expires_at <= now - SILENCE)
    due = over.where(sa.or_(Job.state.in_(_values(NOT_BEGUN)), silent)).order_by(Job.id).limit(limit)
    ids = [row.id for row in tx.execute(due)]
    ended = []
    for states, words in _EXPIRED:
        ended += _end(tx, _locked(tx, ids, states), JobState.EXPIRED, words, now)
    return sorted(ended)


def say_why(tx: sa.Connection, whys: Sequence[tuple[int, str]]) -> None:
    """Why each of these jobs has not run yet; only those that no PC has taken up yet take it: from then on the PC says why."""
    by_why: dict[str, list[int]] = defaultdict(list)
    for job_id, why in whys:
        by_why[why[:WHY_LIMIT]].append(job_id)
    for why, ids in by_why.items():
        for chunk in _chunks(sorted(ids)):
            takes = (Job.id.in_(chunk), Job.state.in_(_values(_NOT_TAKEN)), Job.why != why)
            tx.execute(sa.update(Job).where(*takes).values(why=why))


def ask_wake(tx: sa.Connection, asks: Sequence[tuple[int, Sequence[str]]], now: dt.datetime) -> None:
    """Ask connected neighbours (pk) to wake PCs by their MAC addresses ("aa:bb:cc:dd:ee:ff"); others are left out."""
    tx.execute(sa.delete(Wake).where(Wake.asked_at < now - _WAKES_KEPT))
    rows = []
    for neighbour, macs in asks:
        good = [mac for mac in dict.fromkeys(one.lower().replace("-", ":") for one in macs) if _MAC.fullmatch(mac)]
        rows += [(neighbour, as_json(good[at : at + WAKES_LIMIT]), to_ms(now)) for at in range(0, len(good), WAKES_LIMIT)]
    _ASK.run(tx, rows)


_NOT_TAKEN = (JobState.WAITING, JobState.RELEASED)
_EXPIRED: tuple[tuple[Any, str], ...] = (
    ((JobState.WAITING,), "Its time passed before its turn came. "),
    ((JobState.RELEASED,), "Its time passed, and the PC never fetched it. "),
    ((JobState.RECEIVED, JobState.DEFERRED), "Its time passed before the PC could begin. "),
    (BEGUN, "It began, and nothing was heard of it since. "),
)


def _end(tx: sa.Connection, rows: Sequence[Any], state: JobState, words: str, now: dt.datetime) -> list[int]:
    """End those jobs; those that a PC may hold are told so as well."""
    held = [row.id for row in rows if row.released_number]
    first = _raise_mark(tx, "cancelled", len(held))
    numbers = {job_id: first + count for count, job_id in enumerate(held, 1)}
    is_over = state is JobState.EXPIRED
    whys = {row.id: f"{words}{row.why}" if is_over else words for row in rows}
    values = [(row.id, state.value, whys[row.id][:WHY_LIMIT], numbers.get(row.id, 0), to_ms(now)) for row in rows]
    _END.run(tx, values)
    return [row.id for row in rows]


def _locked(tx: sa.Connection, job_ids: Sequence[int], states: Any) -> list[Any]:
    """Those of the jobs that are in one of the states, locked until the transaction ends."""
    found: list[Any] = []
    columns = (Job.id, Job.why, Job.released_number)
    for chunk in _chunks(sorted(set(job_ids))):
        fitting = sa.select(*columns).where(Job.id.in_(chunk), Job.state.in_(_values(states)))
        found += tx.execute(fitting.order_by(Job.id).with_for_update()).all()
    return found


def _take_over(tx: sa.Connection, job_ids: Sequence[int], rollout_id: int | None, now: dt.datetime) -> None:
    others = Job.rollout_id.is_distinct_from(rollout_id)
    left = [job_id for chunk in _chunks(job_ids) for job_id in tx.scalars(sa.select(Job.id).where(Job.id.in_(chunk), others))]
    for chunk in _chunks(left):
        tx.execute(sa.update(Job).where(Job.id.in_(chunk)).values(rollout_id=rollout_id))
    renew(tx, left, now)


def _raise_mark(tx: sa.Connection, which: str, count: int) -> int:
    """Take so many numbers; returns the one before the first. The row is held until commit: numbers appear in order."""
    if not count:
        return 0
    column = getattr(JobMark, which)
    first = insert_into(tx, JobMark).values(**({"id": 1, "released": 0, "cancelled": 0} | {which: count}))
    raised = first.on_conflict_do_update(index_elements=[JobMark.id], set_={which: column + count}).returning(column)
    return int(tx.execute(raised).scalar_one()) - count


def _by_endpoint(tx: sa.Connection, manifest_id: int, endpoint_pks: Sequence[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for chunk in _chunks(endpoint_pks):
        rows = tx.execute(sa.select(Job.endpoint_pk, Job.id).where(Job.manifest_id == manifest_id, Job.endpoint_pk.in_(chunk)))
        found |= {row.endpoint_pk: row.id for row in rows}
    return found


def _chunks(items: Sequence[int]) -> Iterator[Sequence[int]]:
    return (items[at : at + CHUNK] for at in range(0, len(items), CHUNK))


def _values(states: Any) -> list[str]:
    return [state.value for state in states]
