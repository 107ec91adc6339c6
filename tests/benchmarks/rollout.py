"""A rollout over a whole estate: what a look at it costs the worker, and how soon connected agents hold their jobs.

Owns two ways down, both from the commit that lets a job go until its agent has it: as the worker lets them go, look by look,
and all in one moment, which no rollout does. This process does the worker's looks, one after the other, to time each.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
import table
from crowd import load, server
from fettle_protocol import signing
from fettle_protocol.manifests import Target
from fettle_server import clock, db
from fettle_server.change.jobs import actions, queries
from fettle_server.change.manifests import actions as manifests
from fettle_server.change.manifests import queries as manifest_queries
from fettle_server.change.manifests.rules import Purpose, Wanted
from fettle_server.change.rollouts import actions as rollouts
from fettle_server.change.rollouts import plans
from fettle_server.change.rollouts.views import Draft, Reach
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.schema import change, estate, jobs
from testbed import SETTINGS, Site, prepared

DELIVERED_S = 2.0
TICK_S = 2.0
"""The worker looks every two seconds: a look that takes longer falls behind."""
_HOUR = dt.timedelta(hours=1)
_STEP = {"kind": "upgrade", "provider": "apt", "packages": [{"name": f"package-{n}", "version": "1.2.3-4"} for n in range(20)]}


def measure(run: table.Run) -> list[table.Row]:
    """Both, with every agent connected."""
    streams = int(run.pick(300, 20_000))
    with _site(run, streams) as here, _opened(here) as engine:
        desk = _Desk(engine)
        with load.crowd(here.tasks(None, streams, processes=max(1, streams // 10_000))) as crowd:
            before = here.server.cost()
            ticks = _Ticks(desk, desk.rollout(), streams)
            seen = crowd.run(run.pick(10, 60), during=ticks.run)
            cpu_s = _spent(before, here.server.cost())
            ticks.look_at_rest()
            moment = _Moment(desk)
            at_once = crowd.run(run.pick(8, 40), during=moment.release)
        return [
            *_way_down(f"{streams:,} jobs let go look by look", ticks.waits(seen), streams, seen.faults),
            *_way_down(f"{streams:,} jobs let go in one moment", moment.waits(at_once), streams, at_once.faults),
            *ticks.rows(),
            table.Row(f"server's CPU for {streams:,} jobs and three reports of each", cpu_s, "s", remark="without the looks"),
        ]


@contextmanager
def _site(run: table.Run, streams: int) -> Iterator[Site]:
    """Agents' part of a server alone, so that nobody but this process looks at the rollout."""
    with prepared(run, streams) as (data, passes), server.serving(data, SETTINGS, only="ingest") as own:
        yield Site(own, passes)


@contextmanager
def _opened(here: Site) -> Iterator[sa.Engine]:
    engine = db.open_engine(f"sqlite:///{here.server.data / 'fettle.db'}")
    yield engine
    engine.dispose()


class _Desk:
    """Approves and signs whatever is asked."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._key = signing.new_key()
        with engine.begin() as tx:
            public = signing.public_pem(signing.public_bytes(self._key))
            manifests.add_key(tx, SYSTEM, "bench", public, clock.utc_now())

    def change(self, tx: sa.Connection) -> int:
        now = clock.utc_now()
        values = {
            "kind": "normal",
            "state": "approved",
            "title": "bench",
            "why": "bench",
            "proposer": "system",
            "everywhere": True,
        }
        made = sa.insert(change.Change).values(**values, created_at=now, updated_at=now).returning(change.Change.id)
        return int(tx.execute(made).scalar_one())

    def sign(self, tx: sa.Connection, manifest_id: int) -> None:
        signature = signing.sign(self._key, manifest_queries.body_of(tx, manifest_id))
        manifests.bring_signature(tx, SYSTEM, manifest_id, signature, clock.utc_now())

    def rollout(self) -> int:
        """One ring of everybody, at any time, started."""
        now = clock.utc_now()
        with self.engine.begin() as tx:
            schools = tuple(tx.scalars(sa.select(estate.School.id)))
            plan = plans.Plan(plans.ALL_AT_ONCE, plans.When.ANY_TIME)
            number = rollouts.draft(tx, SYSTEM, Draft(self.change(tx), Reach(schools=schools), (_STEP,), plan), now)
            rollouts.prepare(tx, number, now)
            for row in manifest_queries.of_rollout(tx, number):
                self.sign(tx, row.id)
            rollouts.start(tx, SYSTEM, number, now)
        return number


class _Ticks:
    """The worker's looks at a rollout, each timed."""

    def __init__(self, desk: _Desk, rollout: int, targets: int) -> None:
        self._engine, self._rollout, self._targets = desk.engine, rollout, targets
        self._looks: list[tuple[float, int]] = []
        self._committed: list[tuple[int, float]] = []
        self._at_rest: list[float] = []

    def run(self) -> None:
        """Look until every job was let go: at once where there is more to do, else at the worker's beat."""
        end = time.monotonic() + 120
        while self._newest() < self._targets and time.monotonic() < end:
            began, (more, took, let_go) = time.monotonic(), self._look()
            self._looks.append((took, let_go))
            if not more:
                time.sleep(max(0.0, began + TICK_S - time.monotonic()))

    def look_at_rest(self) -> None:
        """Look a few times once all are through."""
        for _ in range(30):
            _, took, _ = self._look()
            self._at_rest.append(took)

    def waits(self, seen: load.Figures) -> list[float]:
        """From each job's commit until it was held."""
        with self._engine.begin() as tx:
            numbers = dict(tuple(row) for row in tx.execute(sa.select(jobs.Job.uid, jobs.Job.released_number)))
        waits = []
        for uid, arrived in seen.handed:
            committed = next((at for newest, at in self._committed if numbers[uid] <= newest), arrived)
            waits.append(arrived - committed)
        return sorted(waits)

    def rows(self) -> list[table.Row]:
        busiest, most = max(self._looks)
        took = sum(took for took, _ in self._looks)
        rest = sorted(self._at_rest)
        of = f"{self._targets:,} PCs"
        let_go = sum(count for _, count in self._looks)
        remark = f"{len(self._looks)} looks, {took:.1f} s in all, made and let go {let_go:,} jobs; that one let go {most:,}"
        return [
            table.Row(f"a look at a rollout of {of}, the dearest", busiest, "s", target=TICK_S, remark=remark),
            table.Row(f"a look at a rollout of {of}, all through, median", rest[len(rest) // 2] * 1000, "ms"),
            table.Row("the dearest of those", rest[-1] * 1000, "ms"),
        ]

    def _look(self) -> tuple[bool, float, int]:
        """Whether there is more to do at once, how long it took, and how many jobs it let go."""
        before, began = self._newest(), time.monotonic()
        with self._engine.begin() as tx:
            more = rollouts.tick(tx, self._rollout, clock.utc_now())
        ended = time.monotonic()
        newest = self._newest()
        self._committed.append((newest, ended))
        return more, ended - began, newest - before

    def _newest(self) -> int:
        with self._engine.begin() as tx:
            return queries.marks(tx)[0]


class _Moment:
    """A job for every endpoint, all let go by one commit."""

    def __init__(self, desk: _Desk) -> None:
        self._engine, now = desk.engine, clock.utc_now()
        with self._engine.begin() as tx:
            schools = tuple(tx.scalars(sa.select(estate.School.name)))
            wanted = Wanted(
                Purpose.FORWARD, desk.change(tx), 0, "bench", Target(schools=schools), (_STEP,), now, now + 24 * _HOUR
            )
            manifest = manifests.prepare(tx, wanted, now)
            desk.sign(tx, manifest)
            places = [(row.pk, row.school_id) for row in tx.execute(sa.select(estate.Endpoint.pk, estate.Endpoint.school_id))]
            self._jobs = list(actions.create(tx, manifest, places, None, now + 20 * _HOUR, False, now).values())
        self._released = 0.0

    def release(self) -> None:
        now = clock.utc_now()
        with self._engine.begin() as tx:
            actions.release(tx, self._jobs, now, now + _HOUR, False, now)
        self._released = time.monotonic()

    def waits(self, seen: load.Figures) -> list[float]:
        return sorted(arrived - self._released for _, arrived in seen.handed)


def _way_down(what: str, waits: list[float], streams: int, faults: list[str]) -> list[table.Row]:
    if not waits:
        raise RuntimeError(f"no job was handed out; {faults[:1]}")
    remark = f"{len(waits):,} of {streams:,} arrived; the edge looks twice a second"
    if faults:
        remark += f"; troubles: {len(faults)}, such as {faults[0][:100]}"
    return [
        table.Row(f"{what}, until its agent holds it, p50", waits[len(waits) // 2], "s"),
        table.Row("the same, p99", waits[int(len(waits) * 0.99)], "s", target=DELIVERED_S, remark=remark),
    ]


def _spent(before: Any, after: Any) -> float:
    return sum(cost.cpu_s - before[name].cpu_s for name, cost in after.items() if name in before)


if __name__ == "__main__":
    sys.exit(table.run_alone(measure))
