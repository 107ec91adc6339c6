"""Connected agents: what an open stream costs, and how soon everybody is back after the server started anew.

Streams stand open and send their vitals on the slow beat. The storm is the worst there is: all come back at once, without the
jitter that agents have.
"""

from __future__ import annotations

import sys

import table
from ceiling import bytes_each
from crowd import load, server, shapes
from testbed import SETTINGS, Site, prepared

_BEAT_S = 60.0


def measure(run: table.Run) -> list[table.Row]:
    """Memory and CPU of the server with all connected, and the reconnect storm."""
    rows = []
    for streams in (300,) if run.quick else (1_000, 5_000, 20_000) if run.full else (1_000, 5_000):
        bare = bytes_each(run, streams)
        with prepared(run, streams) as (data, passes):
            with server.serving(data, SETTINGS) as own:
                rows += _stand(Site(own, passes), streams, run.pick(10, 60), bare)
            with server.serving(data, SETTINGS) as own:
                rows.append(_storm(Site(own, passes), streams))
    return rows


def _stand(here: Site, streams: int, seconds: float, bare: float) -> list[table.Row]:
    alone = here.server.cost()
    processes = max(1, streams // 10_000)
    with load.crowd(here.tasks(shapes.slow_beat, streams, processes, every_s=_BEAT_S)) as crowd:
        began = {name: cost.cpu_s for name, cost in here.server.cost().items()}
        crowd.run(seconds, warm_up_s=0.0)
        ended = here.server.cost()
    grown = {name: (cost.rss_bytes - alone[name].rss_bytes) / streams / 1e3 for name, cost in ended.items() if name in alone}
    cores = sum(cost.cpu_s - began.get(name, 0.0) for name, cost in ended.items()) / seconds
    total = sum(cost.rss_bytes for cost in ended.values())
    full, item = streams == 20_000, f"{streams:,} agents connected"
    each = ", ".join(f"{name} {kilobytes:.0f}" for name, kilobytes in sorted(grown.items()) if kilobytes > 0.5)
    came = f"connected in {crowd.connect_s:.1f} s, 50 handshakes at a time; {crowd.turned_away} turned away"
    return [
        table.Row(f"{item}, memory each", sum(grown.values()), "KB", f"{bare / 1e3:.0f} KB bare stream", remark=f"KB: {each}"),
        table.Row(f"{item}, server in all", total / 1e9, "GB", target=2.2 if full else None),
        table.Row(f"{item}, vitals each minute", cores, "cores", target=0.3 if full else None, remark=came),
    ]


def _storm(here: Site, streams: int) -> table.Row:
    tasks = here.tasks(None, streams, max(1, streams // 10_000), at_once=streams)
    with load.crowd(tasks) as crowd:
        remark = f"{crowd.turned_away} turned away"
        if crowd.faults:
            remark += f", such as {crowd.faults[0][:120]}"
        target = 30 * streams / 20_000
        return table.Row(f"{streams:,} agents back at once", crowd.connect_s, "s", target=target, remark=remark)


if __name__ == "__main__":
    sys.exit(table.run_alone(measure))
