"""What detection's looking around costs the writer: CPU seconds for the same messages with every stage asked and with none.

The writer runs in this process, without edge and pipe, over the same real store; both arms take turns, so that a busy machine
hurts both. The figure is CPU time, not time: it hardly moves with the load of the machine.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import table
from crowd import shapes
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fettle_protocol.v1 import link_pb2 as pb
from fettle_server.clock import now_ms
from fettle_server.config import load
from fettle_server.ingest.messages import Arrived, Attached, Knock, Known
from fettle_server.ingest.writer import Writer
from fettle_server.proactive import detection
from testbed import prepared

Shape = Callable[[int], Callable[[int], tuple[bytes, int]]]
_MIXES: tuple[tuple[str, Shape], ...] = (("boots, sleeps, notices", shapes.single_events), ("faults", shapes.fault_pairs))


def measure(run: table.Run) -> list[table.Row]:
    """One row for each mix of the ingest benchmark: how much more the writer's CPU works with detection's stages."""
    streams, turns = int(run.pick(200, 500)), int(run.pick(6, 12))
    rows = []
    for name, shape in _MIXES:
        with prepared(run, streams) as (data, passes), ExitStack() as stack:
            writer = Writer(load(data))
            stack.callback(writer.close)
            writer.start()
            _attach(writer, [_fingerprint(one.certificate_pem) for one in passes])
            rows.append(_row(name, _turns(writer, shape, streams, turns)))
    return rows


def _turns(writer: Writer, shape: Shape, streams: int, turns: int) -> dict[bool, list[float]]:
    """CPU seconds of each turn, by whether the stages were asked; a turn is a message from each stream, twenty times."""
    said = [shape(place) for place in range(streams)]
    spent: dict[bool, list[float]] = {True: [], False: []}
    number = 0
    for turn in range(2 * turns + 2):
        asked = bool(turn % 2)
        with _stages(asked=asked):
            began = time.process_time()
            for _ in range(20):
                number += 1
                writer.take([Arrived(place, now_ms(), said[place](number)[0]) for place in range(streams)])
            if turn > 1:
                spent[asked].append(time.process_time() - began)
    return spent


@contextmanager
def _stages(*, asked: bool) -> Iterator[None]:
    """Without: each fault is told at once and nothing around it is read, as before there were stages."""
    if asked:
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(detection, "ask", return_value=None))
        stack.enter_context(mock.patch.object(detection, "wider_keys", return_value=()))
        stack.enter_context(mock.patch.object(detection._Round, "_read_openings", return_value=None))
        yield


def _attach(writer: Writer, fingerprints: list[str]) -> None:
    machine = pb.Machine(hostname="pc", os="windows", os_version="Windows 11", agent_version="1")
    hello = pb.Uplink(hello=pb.Hello(protocol=1, machine=machine, instance="i", spool="s", boot="b")).SerializeToString()
    knocks = [Knock(place, fingerprint, hello, "127.0.0.1", now_ms()) for place, fingerprint in enumerate(fingerprints)]
    known = [answer for answer in writer.take(knocks) if isinstance(answer, Known)]
    if len(known) != len(fingerprints):
        raise RuntimeError(f"{len(known)} of {len(fingerprints)} machines were let in")
    writer.take([Attached(place) for place in range(len(fingerprints))])


def _fingerprint(certificate_pem: str) -> str:
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _row(name: str, spent: dict[bool, list[float]]) -> table.Row:
    asked, bare = statistics.median(spent[True]), statistics.median(spent[False])
    beside = f"the same without: {bare * 1000:,.0f} ms of CPU a turn; with: {asked * 1000:,.0f}"
    return table.Row(f"detection's stages, added to the writer's CPU: {name}", 100 * (asked / bare - 1), "%", beside, target=10)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(table.run_alone(measure))
