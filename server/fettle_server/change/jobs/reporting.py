"""Agents' reports into the store: each job's state, its record, and what package steps told of updates. Many at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from fettle_protocol.manifests import Manifest as Said
from fettle_protocol.manifests import decode
from fettle_protocol.steps import StepKind

from fettle_server.change.jobs.rules import ENDS, JobState, Report, Told, follow, follow_former, says_anything, tells_of_a_run
from fettle_server.change.jobs.tables import Job, JobEntry, JobFormerUid
from fettle_server.change.manifests.tables import Manifest
from fettle_server.change.patches import actions as patches
from fettle_server.change.patches.rules import PatchState
from fettle_server.db import as_json, bulk_insert, bulk_update, to_ms
from fettle_server.journal import actions as journal

ENTRIES_LIMIT = 300
"""Entries kept of one job: an agent that says more is not believed to be well, and fills no disk."""
RESULT_BYTES = 512 * 1024
_CHUNK = 5000
_WHY_LIMIT = 500
_HELD = "It is on the PC, and begins within its window."
_ENTER = bulk_insert(JobEntry, "job_id", "at", "state", "step", "kind", "why", "words")
_MOVE = bulk_update(
    Job, Job.id, "state", "why", "cancel_number", "attempt", "step", "percent", "received_at", "started_at", "reported_at",
    "ended_at",
)  # fmt: skip
_KEEP_RESULT = bulk_update(Job, Job.id, "result")
_TELLS_OF_PACKAGES = {Told.STEP_DONE: PatchState.INSTALLED, Told.STEP_FAILED: PatchState.FAILED}
_PACKAGED = frozenset({StepKind.INSTALL, StepKind.UPGRADE})
_TROUBLE = frozenset({JobState.FAILED, JobState.REFUSED})


@dataclass(slots=True)
class _Life:
    """A job while the reports of a batch are folded into it. `room`: how many entries it may still have."""

    id: int
    uid: str
    endpoint_pk: int
    school_id: int
    manifest_id: int
    state: JobState
    why: str
    cancel_number: int
    released_number: int
    attempt: int
    step: int
    percent: int
    received_at: dt.datetime | None
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    room: int = ENTRIES_LIMIT
    entries: list[tuple[Any, ...]] = field(default_factory=list)
    steps: list[tuple[dt.datetime, Report]] = field(default_factory=list)
    results: list[Report] = field(default_factory=list)

    def take(self, at: dt.datetime, said: Report) -> None:
        """Fold one report in; one that says nothing new changes nothing."""
        is_former = said.job != self.uid
        if is_former and not tells_of_a_run(said.told):
            return
        if said.told is Told.CANCELLED:
            self.cancel_number = 0  # it was heard
        if not says_anything(self.state, said.told):
            return
        before, self.state = self.state, self._after(said.told, is_former=is_former)
        is_news = self.state is not before or said.why != self.why
        self.why = said.why or (_HELD if self.state is JobState.RECEIVED else "")
        self.attempt, self.step = max(self.attempt, said.attempt), said.step or self.step
        self.percent = 100 if self.state is JobState.DONE else said.percent or self.percent
        if said.told is Told.FAILED and self.state is not JobState.FAILED:
            self.why, self.step, self.percent = f"An earlier try failed, and it comes again. {said.why}"[:_WHY_LIMIT], 0, 0
        self._mark(at, said)
        if said.told is not Told.PROGRESS and (is_news or said.told is not Told.WAITING):
            self._enter(at, said)

    def _after(self, told: Told, *, is_former: bool) -> JobState:
        return follow_former(self.state, told, handed_out=self.released_number > 0) if is_former else follow(self.state, told)

    def _mark(self, at: dt.datetime, said: Report) -> None:
        self.received_at = self.received_at or at
        if self.state in (JobState.RUNNING, JobState.RESTARTING) and self.started_at is None:
            self.started_at = at
        self.ended_at = at if self.state in ENDS else None
        if said.told in _TELLS_OF_PACKAGES:
            self.steps.append((at, said))
        if said.result:
            self.results.append(said)

    def _enter(self, at: dt.datetime, said: Report) -> None:
        if self.room > len(self.entries):
            self.entries.append((self.id, to_ms(at), said.told.value, said.step, said.kind, said.why, said.words))

    def row(self, now_ms: int) -> tuple[Any, ...]:
        """The values that _MOVE takes."""
        times = (_ms(self.received_at), _ms(self.started_at), now_ms, _ms(self.ended_at))
        return (self.id, self.state.value, self.why, self.cancel_number, self.attempt, self.step, self.percent, *times)


def report(tx: sa.Connection, reports: Sequence[tuple[int, dt.datetime, Report]], now: dt.datetime) -> None:
    """Take agents' reports (endpoint pk, when it happened, what), in their order; what is no job of its own is dropped."""
    numbers = _numbers(tx, {said.job for _, _, said in reports})
    by_number = _lives(tx, set(numbers.values()))
    lives = by_number.values()
    ended_before = {life.id for life in lives if life.state in ENDS}
    heard = set()
    for pk, at, said in reports:
        life = by_number.get(numbers.get(said.job, 0))
        if life is not None and life.endpoint_pk == pk:
            life.take(at, said)
            if said.told is Told.CANCELLED and said.job != life.uid:
                heard.add(said.job)
    if heard:
        tx.execute(sa.update(JobFormerUid).where(JobFormerUid.uid.in_(heard)).values(cancel_number=0))
    _MOVE.run(tx, [life.row(to_ms(now)) for life in lives])
    _ENTER.run(tx, [entry for life in lives for entry in life.entries])
    _keep_results(tx, [life for life in lives if life.results])
    _tell_patches(tx, [life for life in lives if life.steps], now)
    in_trouble = [life for life in lives if life.state in _TROUBLE and life.id not in ended_before]
    journal.record_all(tx, [_line(life, now) for life in in_trouble])


def _numbers(tx: sa.Connection, uids: Collection[str]) -> dict[str, int]:
    """The jobs that have or had those uids. In one statement: a job that is renamed meanwhile is found by either name."""
    found: dict[str, int] = {}
    for chunk in _chunks(sorted(uids)):
        present = sa.select(Job.uid, Job.id).where(Job.uid.in_(chunk))
        former = sa.select(JobFormerUid.uid, JobFormerUid.job_id).where(JobFormerUid.uid.in_(chunk))
        found |= {row[0]: row[1] for row in tx.execute(sa.union_all(present, former))}
    return found


def _lives(tx: sa.Connection, numbers: Collection[int]) -> dict[int, _Life]:
    """Those jobs, locked until the transaction ends; their names are read from the locked rows."""
    names = _Life.__slots__[: _Life.__slots__.index("room")]
    columns = [getattr(Job, name) for name in names]
    lives: dict[int, _Life] = {}
    for chunk in _chunks(sorted(numbers)):
        rows = tx.execute(sa.select(*columns).where(Job.id.in_(chunk)).order_by(Job.id).with_for_update()).all()
        counted = sa.select(JobEntry.job_id, sa.func.count()).where(JobEntry.job_id.in_([row.id for row in rows]))
        held: dict[int, int] = {row[0]: row[1] for row in tx.execute(counted.group_by(JobEntry.job_id))}
        for row in rows:
            life = _Life(*row)
            life.state, life.room = JobState(row.state), ENTRIES_LIMIT - held.get(row.id, 0)
            lives[row.id] = life
    return lives


def _keep_results(tx: sa.Connection, lives: Sequence[_Life]) -> None:
    """What agents told of a step stands under "steps" by its number, what they told of the whole job beside it."""
    if not lives:
        return
    found = sa.select(Job.id, Job.result).where(Job.id.in_([life.id for life in lives]))
    present = {row.id: row.result for row in tx.execute(found)}
    rows = []
    for life in lives:
        kept: dict[str, Any] = dict(present.get(life.id) or {})
        for said in life.results:
            if said.step:
                kept["steps"] = {**kept.get("steps", {}), str(said.step): said.result}
            else:
                kept |= {key: value for key, value in (said.result or {}).items() if key != "steps"}
        text = as_json(kept)
        if len(text) <= RESULT_BYTES:
            rows.append((life.id, text))
    _KEEP_RESULT.run(tx, rows)


def _tell_patches(tx: sa.Connection, lives: Sequence[_Life], now: dt.datetime) -> None:
    """Ended package steps, as far as the manifest says what they were about."""
    saids: dict[int, Said] = _saids(tx, {life.manifest_id for life in lives})
    told = []
    for life in lives:
        said = saids[life.manifest_id]
        for at, one in life.steps:
            step = said.steps[one.step - 1] if 0 < one.step <= len(said.steps) else None
            if step is None or step["kind"] not in _PACKAGED:
                continue
            versions = {package["name"]: package.get("version") or "" for package in step["packages"]}
            versions |= _found(one.result, step["provider"], versions)
            state = _TELLS_OF_PACKAGES[one.told]
            told.append(
                patches.Told(life.endpoint_pk, at, said.change or None, step["provider"], versions, state, one.words or one.why)
            )
    if told:
        patches.job_ended(tx, told, now)


def _found(result: dict[str, Any] | None, provider: str, names: Collection[str]) -> dict[str, str]:
    """The versions that the PC found of those packages after the step, as far as it says so."""
    told = (result or {}).get("packages")
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    named = [row for row in rows if isinstance(row.get("name"), str) and isinstance(row.get("after"), str)]
    mine = [row for row in named if row.get("provider") == provider and row["name"] in names and row["after"]]
    return {row["name"]: row["after"][:120] for row in mine}


def _saids(tx: sa.Connection, manifest_ids: Iterable[int]) -> dict[int, Said]:
    rows = tx.execute(sa.select(Manifest.id, Manifest.body).where(Manifest.id.in_(list(manifest_ids)))).all()
    return {row.id: decode(row.body) for row in rows}


def _line(life: _Life, now: dt.datetime) -> journal.Line:
    detail = {"why": life.why}
    kind, actor = f"job.{life.state}", f"endpoint:{life.endpoint_pk}"
    return journal.Line(at=now, kind=kind, actor=actor, subject=f"job:{life.uid}", school_id=life.school_id, detail=detail)


def _ms(at: dt.datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))
