"""What a loaded stream says, as bytes made beforehand: one function a shape, each `(place of the stream) -> Uplinks`.

Owns the mixes that the benchmarks name. Times are of the moment the stream was opened; the server keeps them as told.
"""

from __future__ import annotations

import time
from functools import lru_cache

from fettle_protocol.v1 import link_pb2 as pb

from crowd import estate, vitals, wire
from crowd.load import Uplinks

BATCH = 100
_HOURS_KEPT = 24 * 300
RULE = "disk-full"  # of the policy that ships
EVIDENCE = 8


def single_events(place: int) -> Uplinks:
    """One event a message: two power changes for each notice of a collector, as a school day brings them."""
    letters = _power_and_notices()

    def next_uplink(number: int) -> tuple[bytes, int]:
        return letters[(number + place) % len(letters)].numbered(number), 1

    return next_uplink


def batches(_place: int) -> Uplinks:
    """A backlog replayed: 100 of the same events a message."""
    letters = (_power_and_notices() * BATCH)[:BATCH]

    def next_uplink(number: int) -> tuple[bytes, int]:
        return wire.numbered(letters, number), BATCH

    return next_uplink


def fault_pairs(_place: int) -> Uplinks:
    """One event a message: a full disk's fault raised, then cleared, each with eight readings of evidence."""
    raised, cleared = fault_letters()

    def next_uplink(number: int) -> tuple[bytes, int]:
        return (raised if number % 2 else cleared).numbered(number), 1

    return next_uplink


def fault_probes(_place: int) -> Uplinks:
    """The same pairs with the time of the moment: for few streams, to see how long each takes."""

    def next_uplink(number: int) -> tuple[bytes, int]:
        return fault_letters()[0 if number % 2 else 1].numbered(number), 1

    return next_uplink


def history_hours(place: int) -> Uplinks:
    """One final endpoint-hour a message: 60 minutes of some 23 readings, a different hour each time."""
    newest = int(time.time() // 3600) - 1
    packs = history_packs(place)

    def next_uplink(number: int) -> tuple[bytes, int]:
        hour = pb.History(hour=newest - (number - 1) % _HOURS_KEPT, pack=packs[number % 4], final=True, sequence=number)
        return pb.Uplink(history=[hour]).SerializeToString(), 1

    return next_uplink


def history_packs(place: int) -> tuple[bytes, ...]:
    """Four packed hours of a played PC; of 30 different ones."""
    return _packs(place % 30, int(time.time() // 3600) - 1)


@lru_cache(maxsize=60)
def _packs(place: int, newest: int) -> tuple[bytes, ...]:
    pc = estate.plan(1, 30, seed=1)[place]
    return tuple(vitals.hour(pc, newest - turn, ()) for turn in range(4))


def slow_beat(place: int) -> Uplinks:
    """The vitals that a healthy PC sends; nothing numbered, nothing to wait for."""
    readings = _beat(place % 30, int(time.time() // 60))

    def next_uplink(_number: int) -> tuple[bytes, int]:
        body = pb.Vitals(at_ms=time.time_ns() // 1_000_000, readings=readings)
        return pb.Uplink(vitals=body).SerializeToString(), 0

    return next_uplink


@lru_cache(maxsize=60)
def _beat(place: int, minute: int) -> list[pb.Reading]:
    return vitals.readings(vitals.at(estate.plan(1, 30, seed=1)[place], minute, ()))


def _power_and_notices() -> list[wire.Letter]:
    now = int(time.time() * 1000)
    notice = pb.Notice(code="collector_failing", subject="smart", text="smartctl took longer than its 10 s")
    events = (
        pb.Event(at_ms=now, power=pb.PowerChange(kind=pb.PowerChange.KIND_SLEEPING)),
        pb.Event(at_ms=now, power=pb.PowerChange(kind=pb.PowerChange.KIND_WOKE)),
        pb.Event(at_ms=now, notice=notice),
    )
    return [wire.Letter(event) for event in events]


def fault_letters(at_ms: int | None = None) -> tuple[wire.Letter, wire.Letter]:
    """A fault of the rule that the first policy has for a full disk, raised and cleared."""
    now = int(time.time() * 1000) if at_ms is None else at_ms
    evidence = [pb.Sample(at_ms=now - 60_000 * (EVIDENCE - turn), value=6.0 - turn * 0.4) for turn in range(EVIDENCE)]
    raised = pb.FaultRaised(
        rule=RULE, instance="C:", value=2.8, since_ms=now - 300_000, evidence=evidence, policy_version=1, severity="ill"
    )
    cleared = pb.FaultCleared(
        rule=RULE, instance="C:", value=14.0, since_ms=now - 60_000, evidence=evidence, reason="recovered"
    )
    return wire.Letter(pb.Event(at_ms=now, raised=raised)), wire.Letter(pb.Event(at_ms=now, cleared=cleared))
