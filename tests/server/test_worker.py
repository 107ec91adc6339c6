"""The worker: silence, age, leases, and jobs that fail."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server import db, leases
from fettle_server.config import Settings
from fettle_server.estate.enrolment import pki
from fettle_server.estate.tables import Endpoint, EndpointEvent
from fettle_server.journal.actions import record
from fettle_server.journal.tables import Entry
from fettle_server.proactive import causes
from fettle_server.proactive.causes import Piece
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import Incident
from fettle_server.worker import causes as worker_causes
from fettle_server.worker import jobs, main
from fettle_server.worker.jobs import Job, Work
from fettle_server.worker.loop import LEASE, LEASE_LIFE, Loop


@pytest.fixture
def work(store: Any, tmp_path: Path) -> Any:
    reading = db.open_engine(store.url, readonly=True)
    yield Work(Settings(data=tmp_path), store.engine, reading)
    reading.dispose()


def _states(store: Any) -> dict[str, str]:
    return {row.name: row.state for row in store.rows(sa.select(Endpoint.name, Endpoint.state))}


def test_silence_makes_a_state_unknown_and_says_so(store: Any, work: Work, now: dt.datetime) -> None:
    long_ago = now - dt.timedelta(seconds=work.settings.unknown_after_s + 1)
    store.endpoint("silent", state="ill", connected=False, last_seen=long_ago)
    store.endpoint("a moment ago", state="well", connected=False, last_seen=now)
    store.endpoint("connected", state="well", connected=True, last_seen=long_ago)
    assert jobs.mark_unknown(work, now) is False
    assert jobs.mark_unknown(work, now) is False
    assert _states(store) == {"silent": "unknown", "a moment ago": "well", "connected": "well"}
    assert store.value(sa.select(Endpoint.state_since).where(Endpoint.name == "silent")) == long_ago
    entries = store.rows(sa.select(Entry.detail).where(Entry.kind == "endpoint.state"))
    assert [row.detail for row in entries] == [{"name": "silent", "from": "ill", "to": "unknown"}]


def test_a_resolved_incident_closes_in_time(store: Any, work: Work, now: dt.datetime) -> None:
    resolved = now - dt.timedelta(days=work.settings.close_after_days, seconds=1)
    words = {"cause": "c", "state": "resolved", "impact": "user", "urgency": "low", "priority": 5, "title": "t"}
    times = {"opened_at": resolved, "updated_at": resolved, "resolved_at": resolved}
    school = store.school()
    with store.begin() as tx:
        tx.execute(sa.insert(Incident).values(**words, **times, school_id=school))
    jobs.close_resolved(work, now)
    assert store.value(sa.select(Incident.state)) == "closed"


def test_what_is_open_on_a_revoked_endpoint_is_settled(store: Any, line: Any, tell: Any, work: Work, now: dt.datetime) -> None:
    gone, here = store.endpoint("gone"), store.endpoint("here")
    for pk in (gone, here):
        line.events(line.attach(pk), tell.raised(), tell.raised("memory-exhausted", ""))
    with store.begin() as tx:
        tx.execute(sa.update(Endpoint).where(Endpoint.pk == gone).values(revoked_at=now))
    assert [jobs.settle_revoked(work, now) for _ in range(2)] == [False, False]
    reasons = store.rows(sa.select(Fault.endpoint_pk, Fault.clear_reason).order_by(Fault.id))
    assert reasons == [(gone, "revoked"), (gone, "revoked"), (here, ""), (here, "")]
    states = sa.select(Incident.endpoint_pk, Incident.state).order_by(Incident.number)
    assert store.rows(states) == [(gone, "resolved"), (gone, "resolved"), (here, "new"), (here, "new")]


def test_what_is_past_its_age_is_dropped(store: Any, work: Work, now: dt.datetime) -> None:
    pk = store.endpoint()
    old = now - dt.timedelta(days=work.settings.journal_days + 1)
    fault = {
        "endpoint_pk": pk, "rule": "r", "severity": "ill", "since_at": old, "raised_at": old, "value": 1, "evidence": {},
        "clear_reason": "", "detail": "", "time_adjusted": False, "policy_version": 1,
    }  # fmt: skip
    with store.begin() as tx:
        record(tx, "old.entry", "system", "x:1", None, {}, old)
        record(tx, "new.entry", "system", "x:1", None, {}, now)
        for at in (old, now):
            tx.execute(sa.insert(EndpointEvent).values(endpoint_pk=pk, at=at, kind="booted", detail={}))
        for instance, cleared_at in (("cleared", old), ("recent", now), ("open", None)):
            tx.execute(sa.insert(Fault).values(**fault, instance=instance, cleared_at=cleared_at))
    assert (jobs.drop_events(work, now), jobs.drop_journal(work, now)) == (False, False)
    assert sorted(row.instance for row in store.rows(sa.select(Fault.instance))) == ["open", "recent"]
    assert [row.at for row in store.rows(sa.select(EndpointEvent.at))] == [now]
    assert "old.entry" not in {row.kind for row in store.rows(sa.select(Entry.kind))}


def test_a_certificate_that_ends_soon_is_told_once_a_day(store: Any, work: Work, tmp_path: Path, now: dt.datetime) -> None:
    authority = pki.make_authority(tmp_path, now)
    ends = authority.certificate.not_valid_after_utc
    for moment in (ends - dt.timedelta(days=99), ends - dt.timedelta(days=9), ends - dt.timedelta(days=9, hours=-1)):
        jobs.watch_certificates(work, moment)
    assert len(store.rows(sa.select(Entry.id).where(Entry.kind == "certificate.expiring"))) == 1


def test_every_job_runs_on_an_empty_store(work: Work, now: dt.datetime) -> None:
    assert [job.name for job in jobs.JOBS if job.run(work, now)] == []


def test_of_two_workers_one_works(store: Any, now: dt.datetime) -> None:
    def take(holder: str, at: dt.datetime) -> bool:
        with store.begin() as tx:
            return leases.take(tx, LEASE, holder, LEASE_LIFE, at)

    assert take("first", now)
    assert not take("second", now + LEASE_LIFE / 2)
    assert take("first", now + LEASE_LIFE / 2)
    assert not take("second", now + LEASE_LIFE)
    assert take("second", now + LEASE_LIFE * 2)
    with store.begin() as tx:
        leases.give_back(tx, LEASE, "first")
    assert not take("third", now + LEASE_LIFE * 2)
    with store.begin() as tx:
        leases.give_back(tx, LEASE, "second")
    assert take("third", now + LEASE_LIFE * 2)


def test_a_failing_job_stops_no_other_and_long_ones_go_on(work: Work) -> None:
    done: list[str] = []

    def fail(_work: Work, _now: dt.datetime) -> bool:
        done.append("failed")
        raise RuntimeError("this job always fails")

    def work_on(_work: Work, _now: dt.datetime) -> bool:
        done.append("worked")
        return len(done) < 4

    loop = Loop(work, "me", (Job("fails", 60, fail), Job("works", 60, work_on)))
    waits = [loop.turn() for _ in range(4)]
    assert done == ["failed", "worked", "worked", "worked"]
    assert waits[0] < 1 < waits[-1]


def test_the_worker_leaves_at_once_and_gives_its_lease_back(store: Any, tmp_path: Path, now: dt.datetime) -> None:
    stop = threading.Event()
    settings = Settings(data=tmp_path, database=store.url)
    thread = threading.Thread(target=main, args=(settings, stop))
    thread.start()
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert store.rows(sa.select(leases.Lease.name)) == []


def test_what_triage_cannot_decide_keeps_nothing_else_from_being_told(
    work: Work, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided: list[int] = []

    def carry_out(_tx: Any, piece: Piece, **_more: Any) -> bool:
        if 3 in piece.quiet:
            raise ValueError("a poisoned row")
        decided.extend(piece.quiet)
        return False

    monkeypatch.setattr(causes, "plan", lambda *_: [Piece(quiet=(1, 2, 3, 4, 5)), Piece(quiet=(6,))])
    monkeypatch.setattr(causes, "carry_out", carry_out)
    assert worker_causes.triage(work, now) is False
    assert decided == [1, 2, 4, 5, 6]
