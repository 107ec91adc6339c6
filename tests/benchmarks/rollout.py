"""A rollout over a whole estate: what its jobs cost the server, and how soon connected agents hold them.

Owns two figures. The way down: from the commit that lets the jobs go until each connected agent has its own, all let go in one
moment, which no rollout's stagger would do. The cost: making, letting go and reporting on so many jobs, and one look of the
worker at a rollout of that size.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
import table
from crowd import load
from fettle_protocol import signing
from fettle_protocol.manifests import Target
from fettle_server import clock, db
from fettle_server.change.jobs import actions, queries
from fettle_server.change.manifests import actions as manifests
from fettle_server.change.manifests import queries as manifest_queries
from fettle_server.change.manifests.rules import Purpose, Wanted
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.schema import change, estate
from testbed import site

DELIVERED_S = 2.0
_HOUR = dt.timedelta(hours=1)


def measure(run: table.Run) -> list[table.Row]:
    """Both, with every agent connected."""
    streams = int(run.pick(300, 20_000))
    with site(run, streams) as here:
        engine = db.open_engine(f"sqlite:///{here.server.data / 'fettle.db'}")
        rollout = _Rollout(engine)
        made_s = _timed(rollout.make)
        tasks = here.tasks(None, streams, processes=max(1, streams // 10_000))
        released: list[float] = []

        def let_go() -> None:
            released.append(_timed(rollout.release))
            released.append(time.monotonic())

        with load.crowd(tasks) as crowd:
            before = here.server.cost()
            seen = crowd.run(run.pick(8, 40), during=let_go)
            after = here.server.cost()
        rows = _rows(streams, seen, released[1], _spent(before, after))
        rows += [table.Row(f"{streams:,} jobs made", made_s, "s"), table.Row(f"{streams:,} jobs let go", released[0], "s")]
        rows.append(table.Row(f"{streams:,} jobs read as they stand", _timed(rollout.read), "s"))
        done = rollout.done()
        rows.append(
            table.Row("jobs reported done", done, "jobs", target=streams, less=False, remark=f"{crowd.connected:,} connected")
        )
        engine.dispose()
    return rows


class _Rollout:
    """A signed manifest and a job of it for every endpoint."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        now, key = clock.utc_now(), signing.new_key()
        with engine.begin() as tx:
            manifests.add_key(tx, SYSTEM, "bench", signing.public_pem(signing.public_bytes(key)), now)
            schools = tuple(tx.scalars(sa.select(estate.School.name)))
            self._change = self._ask(tx, now)
            packages = [{"name": f"package-{number}", "version": "1.2.3-4"} for number in range(20)]
            step = {"kind": "upgrade", "provider": "apt", "packages": packages}
            wanted = Wanted(Purpose.FORWARD, self._change, 1, "bench", Target(schools=schools), (step,), now, now + 24 * _HOUR)
            self._manifest = manifests.prepare(tx, wanted, now)
            signature = signing.sign(key, manifest_queries.body_of(tx, self._manifest))
            manifests.bring_signature(tx, SYSTEM, self._manifest, signature, now)
        self._jobs: list[int] = []

    @staticmethod
    def _ask(tx: sa.Connection, now: dt.datetime) -> int:
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

    def make(self) -> None:
        now = clock.utc_now()
        with self._engine.begin() as tx:
            places = [(row.pk, row.school_id) for row in tx.execute(sa.select(estate.Endpoint.pk, estate.Endpoint.school_id))]
            self._jobs = list(actions.create(tx, self._manifest, places, 1, now + 20 * _HOUR, False, now).values())

    def release(self) -> None:
        now = clock.utc_now()
        with self._engine.begin() as tx:
            actions.release(tx, self._jobs, now, now + _HOUR, False, now)

    def read(self) -> None:
        with self._engine.begin() as tx:
            queries.standings(tx, 1)

    def done(self) -> int:
        with self._engine.begin() as tx:
            return sum(count for state, count in queries.counts(tx, 1).items() if state == "done")


def _rows(streams: int, seen: load.Figures, released: float, cpu_s: float) -> list[table.Row]:
    waits = sorted(arrived - released for arrived in seen.handed)
    if not waits:
        raise RuntimeError(f"no job was handed out; {seen.faults[:1]}")
    remark = f"{len(waits):,} of {streams:,} handed out, all let go in one moment; the edge looks twice a second"
    if seen.faults:
        remark += f"; troubles: {len(seen.faults)}, such as {seen.faults[0][:100]}"
    item = f"job let go until a connected agent holds it, {streams:,} at once"
    return [
        table.Row(f"{item}, p50", waits[len(waits) // 2], "s"),
        table.Row(f"{item}, p99", waits[int(len(waits) * 0.99)], "s", target=DELIVERED_S, remark=remark),
        table.Row(f"server's CPU for {streams:,} jobs handed out and three reports of each", cpu_s, "s"),
    ]


def _spent(before: Any, after: Any) -> float:
    return sum(cost.cpu_s - before[name].cpu_s for name, cost in after.items() if name in before)


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(table.run_alone(measure))
