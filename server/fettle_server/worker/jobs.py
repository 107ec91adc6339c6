"""The worker's jobs: each does one bounded piece in a transaction of its own and says whether there is more.

Owns which jobs there are and how often. What is an action of a wing is called there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from cryptography import x509

from fettle_server import observed
from fettle_server.config import Settings
from fettle_server.estate import history, sweep
from fettle_server.estate.people import actions as people
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.journal import actions as journal
from fettle_server.journal import queries as journal_queries
from fettle_server.proactive import actions as proactive
from fettle_server.proactive import sweep as proactive_sweep
from fettle_server.proactive.maintenance import actions as maintenance
from fettle_server.proactive.maintenance.rules import Task, TaskKind
from fettle_server.reactive import actions as reactive
from fettle_server.worker import causes, changes, forecasts, notices, patches, presence, proofs, rollouts, signed_work

PIECE = 1000
_EXPIRY_WARNING = dt.timedelta(days=30)
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Work:
    """What jobs work with: the settings, the store for writing, and the store for reading."""

    settings: Settings
    engine: sa.Engine
    reading: sa.Engine


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work and how often it is looked for. `run` returns True where it should go on at once."""

    name: str
    every_s: float
    run: Callable[[Work, dt.datetime], bool]


def mark_unknown(work: Work, now: dt.datetime) -> bool:
    """Endpoints that were disconnected for too long: their state is unknown. Looked for on the side that blocks nobody."""
    before = now - dt.timedelta(seconds=work.settings.unknown_after_s)
    with work.reading.connect() as tx:
        silent = sweep.silent(tx, before, PIECE)
    if silent:
        with work.engine.begin() as tx:
            count = sweep.mark_unknown(tx, silent, before, now)
        observed.log().info("endpoints are silent", endpoints=count)
    return len(silent) >= PIECE


def close_resolved(work: Work, now: dt.datetime) -> bool:
    """Incidents that stayed resolved for so many days are closed."""
    before = now - dt.timedelta(days=work.settings.close_after_days)
    with work.engine.begin() as tx:
        return reactive.close_old(tx, before, now, limit=100) >= 100


def settle_clashes(work: Work, now: dt.datetime) -> bool:
    """Clashes of identity that were not seen again are over."""
    with work.engine.begin() as tx:
        proactive.settle_clashes(tx, now)
    return False


def settle_revoked(work: Work, now: dt.datetime) -> bool:
    """Faults of endpoints that were revoked are over, and so are their incidents. Looked for on the side that blocks nobody."""
    with work.reading.connect() as tx:
        if not proactive.revoked_faults(tx, limit=1):
            return False
    with work.engine.begin() as tx:
        return proactive.settle_revoked(tx, now, work.settings.reopen_within, PIECE) >= PIECE


def drop_history(work: Work, now: dt.datetime) -> bool:
    """Weeks of packed history past their age, whole tables at a time."""
    hour = history.hour_of(now - dt.timedelta(days=work.settings.history_days))
    with work.engine.begin() as tx:
        dropped = history.drop_before(tx, hour)
    if dropped:
        observed.log().info("old history was dropped", weeks=dropped)
    return False


def drop_events(work: Work, now: dt.datetime) -> bool:
    """Endpoint events and cleared faults past their age."""
    before = now - dt.timedelta(days=work.settings.event_days)
    with work.engine.begin() as tx:
        events = sweep.drop_events(tx, before, PIECE)
        faults = proactive_sweep.drop_cleared(tx, before, PIECE)
    return max(events, faults) >= PIECE


def drop_journal(work: Work, now: dt.datetime) -> bool:
    """Journal entries past their age."""
    before = now - dt.timedelta(days=work.settings.journal_days)
    with work.engine.begin() as tx:
        return journal.drop_before(tx, before, PIECE) >= PIECE


def drop_leave(work: Work, now: dt.datetime) -> bool:
    """What no longer opens anything: sign-ins that ended by themselves, tokens past their life, looks that nobody takes."""
    idle = now - dt.timedelta(minutes=work.settings.session_idle_minutes)
    with work.engine.begin() as tx:
        people.drop_ended(tx, idle, now)
        sweep.drop_expired(tx, now)
    return False


def tidy_store(work: Work, _now: dt.datetime) -> bool:
    """SQLite: write the log back into the file, and let the planner look at what has grown. PostgreSQL does both itself."""
    if work.engine.dialect.name != "sqlite":
        return False
    connection = work.engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")  # waits for nobody
        cursor.fetchall()
        cursor.execute("PRAGMA analysis_limit = 400")
        cursor.execute("PRAGMA optimize")
        cursor.close()
    finally:
        connection.close()
    return False


def watch_certificates(work: Work, now: dt.datetime) -> bool:
    """The server's own certificates: an entry in the journal each day for one that ends within 30 days."""
    settings = work.settings
    for path in (settings.data / "ca.pem", settings.grpc_certificate, settings.http_certificate):
        if str(path) and Path(path).is_file():
            _watch_certificate(work, Path(path), now)
    return False


def _watch_certificate(work: Work, path: Path, now: dt.datetime) -> None:
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    left = certificate.not_valid_after_utc - now
    key = f"certificate/server:{path.name}"
    if left > _EXPIRY_WARNING:
        with work.engine.begin() as tx:
            maintenance.withdraw(tx, key, "It was renewed", now)
        return
    subject = f"certificate:{path.name}"[:120]
    observed.log().warning("a certificate of the server ends soon", file=path.name, days=left.days)
    with work.engine.begin() as tx:
        last = journal_queries.for_subject(tx, SYSTEM, subject, limit=1)
        if not last or now - last[0].at >= dt.timedelta(hours=23):
            detail = {"not_after": certificate.not_valid_after_utc.isoformat(), "days": left.days}
            journal.record(tx, "certificate.expiring", "system", subject, None, detail, now)
        ends_on = certificate.not_valid_after_utc.date()
        reason = f"It ends on {ends_on:%d %B %Y}: agents or people are refused from then on."
        due_on = max(ends_on - dt.timedelta(days=14), now.date())
        title = f"Renew the server's certificate {path.name}"
        maintenance.propose(tx, Task(TaskKind.CERTIFICATE, key, title, reason, None, None, None, due_on), now)


JOBS: tuple[Job, ...] = (
    Job("mark unknown", 5, mark_unknown),
    Job("presence", 15, presence.look),
    Job("triage", 2, causes.triage),
    Job("rollouts", 2, rollouts.look),
    Job("notices", 2, notices.tell),
    Job("follow proofs", 5, proofs.follow),
    Job("begin proofs", 300, proofs.begin),
    Job("settle clashes", 60, settle_clashes),
    Job("settle revoked", 60, settle_revoked),
    Job("problems", 600, causes.propose_problems),
    Job("tell of changes", 30, changes.tell),
    Job("link incidents", 60, changes.link_incidents),
    Job("hand out keys", 15, signed_work.hand_out_keys),
    Job("expire jobs", 30, signed_work.expire),
    Job("lapse rollouts", 300, signed_work.lapse),
    Job("settle patches", 30, patches.settle),
    Job("builds", 15, patches.hold_against_builds),
    Job("close resolved", 600, close_resolved),
    Job("drop leave", 600, drop_leave),
    Job("days", 300, forecasts.summarise_days),
    Job("forecasts", 300, forecasts.make_forecasts),
    Job("tell forecasts", 60, forecasts.tell_forecasts),
    Job("drop days", 3600, forecasts.drop_days),
    Job("end exceptions", 3600, patches.end_exceptions),
    Job("drop patches", _DAY_S, patches.drop_closed),
    Job("drop history", 3600, drop_history),
    Job("drop events", 3600, drop_events),
    Job("drop notices", 3600, notices.drop_old),
    Job("drop journal", 3600, drop_journal),
    Job("tidy store", 3600, tidy_store),
    Job("watch certificates", _DAY_S, watch_certificates),
)
