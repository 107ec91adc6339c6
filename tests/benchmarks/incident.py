"""From a fault to its incident: the way through the server under load, and the whole way from a real agent's sample.

Owns two figures. In the server: a FaultRaised is sent and its acknowledgement, which follows the commit, comes back. The whole
way: `fettle-agent test-fault` on a real agent, from the sample's own time until the incident can be read from the store. One
after the other: the command that asks for a fault, and the watcher of the store, take more of a processor than the server.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa
import table
from crowd import load, shapes
from fettle_protocol import catalogue
from fettle_protocol.v1 import link_pb2 as pb
from fettle_server import db
from fettle_server.schema import estate, proactive
from real_agent import Agent, agent
from testbed import Site, site

BACKGROUND_PER_S = 2_000


def measure(run: table.Run) -> list[table.Row]:
    """Both ways at 2,000 messages a second of other agents."""
    streams = int(run.pick(300, 1_000))
    probes = 50
    with site(run, streams + probes) as here, agent(run, here.server) as real:
        everyone = here.tasks(shapes.single_events, streams + probes)[0].passes
        every_s = streams / BACKGROUND_PER_S
        background = load.Task(
            here.server.address, here.server.ca_pem, everyone[:streams], shapes.single_events, every_s=every_s
        )
        probing = load.Task(here.server.address, here.server.ca_pem, everyone[streams:], shapes.fault_probes, every_s=1.0)
        with load.crowd([background]) as crowd, load.crowd([probing]) as probe:
            seconds = run.pick(10, 40)
            with ThreadPoolExecutor(1) as beside:
                loading = beside.submit(crowd.run, seconds)
                seen = probe.run(seconds)
                loaded = loading.result()
                loading = beside.submit(crowd.run, seconds)
                whole = _whole_ways(here, real, seconds)
                loading.result()
    return _rows(loaded, seen, sorted(whole), seconds)


def _rows(background: load.Figures, seen: load.Figures, whole: list[float], seconds: float) -> list[table.Row]:
    rate = background.messages / seconds
    if not seen.waits:
        raise RuntimeError(f"nothing was acknowledged; {(background.faults + seen.faults)[:1]}")
    troubles = background.faults + seen.faults
    remark = f"{len(seen.waits):,} faults raised or cleared; background answers p99 {background.percentile(0.99) * 1000:.1f} ms"
    if troubles:
        remark += f"; troubles: {len(troubles)}, such as {troubles[0]}"
    half, worst = (whole[len(whole) // 2], whole[int(len(whole) * 0.99)]) if whole else (None, None)
    beside, p50, p99 = f"{rate:,.0f} messages/s beside it", seen.percentile(0.5) * 1000, seen.percentile(0.99) * 1000
    return [
        table.Row("fault sent until acknowledged, p50", p50, "ms", beside),
        table.Row("fault sent until acknowledged, p99", p99, "ms", beside, target=25, remark=remark),
        table.Row("sample until committed incident, p50", half, "s", "Zabbix 0.76 s, value to problem row (ANCHORS)"),
        table.Row(
            "sample until committed incident, p99", worst, "s", target=1,
            remark=f"a real agent's test fault, {len(whole)} times; good to some 20 ms, as the agent's clock is",
        ),
    ]  # fmt: skip


def _whole_ways(here: Site, real: Agent, seconds: float) -> list[float]:
    """Seconds from the sample to the readable incident, again and again until the time is over."""
    engine = db.open_engine(f"sqlite:///{here.server.data / 'fettle.db'}", readonly=True)
    fault = proactive.Fault
    columns = (fault.raised_at, fault.incident_number, estate.Vitals.body)
    newest = (
        sa.select(*columns)
        .outerjoin(estate.Vitals, estate.Vitals.endpoint_pk == fault.endpoint_pk)
        .where(fault.rule == "test-fault", fault.cleared_at.is_(None))
    )
    ways, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        asking = real.test_fault()
        row = _poll(engine, newest, is_there=True)
        seen = time.time()
        if asking.wait() or row is None or row.incident_number is None:
            break
        ways.append(seen - row.raised_at.timestamp() - _lead_s(row.body))
        ending = real.test_fault(clear=True)
        _poll(engine, newest, is_there=False)
        ending.wait()
    engine.dispose()
    return ways


def _lead_s(body: bytes | None) -> float:
    """How far the agent found this machine's clock ahead of the server's: on one machine, the error of its own estimate.

    It stamps by that estimate, which it corrects only by more than the noise of a line, 250 ms.
    """
    number = catalogue.BY_KEY["clock.offset_seconds"].number
    readings = pb.Vitals.FromString(body).readings if body else ()
    return next((reading.value for reading in readings if reading.key == number), 0.0)


def _poll(engine: sa.Engine, query: Any, *, is_there: bool) -> Any:
    """The row once it is there, or None once it is not; None too after 15 seconds."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        with engine.begin() as tx:
            row = tx.execute(query).first()
        if (row is not None) is is_there:
            return row
        time.sleep(0.002)
    return None


if __name__ == "__main__":
    sys.exit(table.run_alone(measure))
