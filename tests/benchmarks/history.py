"""History: final endpoint-hours through the real edge and writer, and what a sample takes on disk.

Each hour is 60 minutes of the played PCs' readings (crowd.vitals): values that wander, some that stand still.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import table
from crowd import load, shapes
from fettle_protocol import packing
from testbed import site


def measure(run: table.Run) -> list[table.Row]:
    """Endpoint-hours a second, and bytes a sample that the store grew by."""
    streams, seconds = int(run.pick(300, 1_000)), run.pick(6, 20)
    with site(run, streams) as here:
        samples = _samples_an_hour(streams)
        before = _stored(here.server.data)
        with load.crowd(here.tasks(shapes.history_hours, streams)) as crowd:
            figures = crowd.run(seconds, warm_up_s=0.0)
        hours, size = figures.messages, _stored(here.server.data) - before
    if not hours:
        raise RuntimeError(f"nothing was acknowledged; {figures.faults[:1]}")
    rate, each = hours / seconds, size / max(1, hours * samples)
    remark = f"{samples:.0f} samples an hour, {hours:,} hours; answer p99 {figures.percentile(0.99) * 1000:.0f} ms"
    if figures.faults:
        remark += f"; troubles: {len(figures.faults)}, such as {figures.faults[0]}"
    return [
        table.Row(f"history stored, {streams:,} streams", rate, "endpoint-hours/s", target=5_000, less=False, remark=remark),
        table.Row(
            "history on disk", each, "B/sample", "PostgreSQL narrow rows 83, Zabbix 95-99 (ANCHORS)", target=2,
            remark="growth of the whole database, all the endpoints' other rows included",
        ),
    ]  # fmt: skip


def _samples_an_hour(streams: int) -> float:
    packs = [shapes.history_packs(place) for place in range(min(streams, 30))]
    counts = [sum(series.count for series in packing.unpack(pack)) for some in packs for pack in some]
    return sum(counts) / len(counts)


def _stored(data: Path) -> int:
    """Bytes of the database, all that was committed brought into its file."""
    with closing(sqlite3.connect(data / "fettle.db", timeout=10)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (data / "fettle.db").stat().st_size


if __name__ == "__main__":
    sys.exit(table.run_alone(measure))
