"""Durable messages: agents' events through the real edge and writer, each acknowledged after a FULL commit of SQLite.

Three mixes, each named in its row: boots, sleeps and notices one a message; faults that open incidents and resolve them one a
message; and a backlog replayed in messages of 100 events. One message is under way on a stream at a time.
"""

from __future__ import annotations

import os
import sys

import table
from ceiling import echoes_per_s
from crowd import load, shapes
from testbed import Site, site


def measure(run: table.Run) -> list[table.Row]:
    """Messages or events a second for each mix, beside a bare echo of the same run."""
    seconds = run.pick(6, 20)
    rows = []
    for streams in (300,) if run.quick else (1_000, 5_000):
        ceiling = echoes_per_s(run, streams, run.pick(4, 10))
        with site(run, streams) as here:
            rows.append(_single(here, streams, seconds, ceiling))
    streams = int(run.pick(300, 1_000))
    with site(run, streams) as here:
        rows.append(_faults(here, streams, seconds))
    with site(run, streams) as here:
        rows.append(_replay(here, streams, seconds))
    return rows


def _single(here: Site, streams: int, seconds: float, ceiling: float) -> table.Row:
    figures, costs = _loaded(here, shapes.single_events, streams, seconds)
    rate = figures.messages / seconds
    beside = f"{ceiling:,.0f}/s bare echo ({rate / ceiling:.0%} of it)"
    item = f"durable: boots, sleeps, notices, {streams:,} streams"
    return table.Row(item, rate, "messages/s", beside, target=10_000, less=False, remark=_remark(figures, costs, seconds))


def _faults(here: Site, streams: int, seconds: float) -> table.Row:
    figures, costs = _loaded(here, shapes.fault_pairs, streams, seconds)
    item = f"durable: faults that open and resolve incidents, {streams:,} streams"
    return table.Row(item, figures.messages / seconds, "messages/s", less=False, remark=_remark(figures, costs, seconds))


def _replay(here: Site, streams: int, seconds: float) -> table.Row:
    figures, costs = _loaded(here, shapes.batches, streams, seconds)
    item = f"durable: backlog of boots, sleeps, notices, {shapes.BATCH} a message"
    return table.Row(
        item, figures.events / seconds, "events/s", target=60_000, less=False, remark=_remark(figures, costs, seconds)
    )


def _loaded(here: Site, shape: load.Shape, streams: int, seconds: float) -> tuple[load.Figures, dict[str, float]]:
    with load.crowd(here.tasks(shape, streams)) as crowd:
        before: dict[str, float] = {}

        def note() -> None:
            before.update({name: cost.cpu_s for name, cost in here.server.cost().items()})

        figures = crowd.run(seconds, during=note)
        after = {name: cost.cpu_s - before.get(name, 0.0) for name, cost in here.server.cost().items()}
        figures.faults = crowd.faults + figures.faults
        if not figures.messages:
            raise RuntimeError(f"nothing was acknowledged; {figures.faults[:1]}")
        return figures, after


def _remark(figures: load.Figures, costs: dict[str, float], seconds: float) -> str:
    spent = {**{name: cpu_s for name, cpu_s in costs.items() if cpu_s > 0.1}, "generator": figures.cpu_s}
    each = ", ".join(f"{name} {cpu_s / figures.messages * 1e6:.0f}" for name, cpu_s in sorted(spent.items()))
    text = (
        f"answer p50 {figures.percentile(0.5) * 1000:.0f} ms, p99 {figures.percentile(0.99) * 1000:.0f} ms; "
        f"CPU us a message: {each}; {sum(spent.values()) / seconds:.2f} of {os.cpu_count()} cores were had"
    )
    return f"{text}; troubles: {len(figures.faults)}, such as {figures.faults[0]}" if figures.faults else text


if __name__ == "__main__":
    sys.exit(table.run_alone(measure))
