"""What may arrive: every limit on what agents send, and the turning of a checked message into plain facts.

Pure: no store, no clock; the time of receipt is passed in. Nothing from outside is believed: text is cleaned, numbers must
lie in the catalogue's range, times that cannot be are replaced by the time of receipt (and marked), what is too large is
refused with a sentence that the agent's log will show.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, NamedTuple

from fettle_protocol import catalogue, packing
from fettle_protocol.v1 import link_pb2

from fettle_server.estate.endpoints.facts import Happened, Hour, Machine, Reported, Stocktake, Watched
from fettle_server.ingest.cleaning import OutOfBounds, inflated, plain_object, text
from fettle_server.ingest.job_reports import JobSaid, job_said
from fettle_server.proactive.rules import AGENT_REASONS, RECOVERED, SERVER_RULES, Clear, Evidence, Held, Raise

PROTOCOL = 1
AHEAD_MS = 2 * 60_000
BEHIND_MS = 400 * 86_400_000
SEQUENCE_LIMIT = 2**62
EVIDENCE_LIMIT = 60
READING_LIMIT = 512
HELD_LIMIT = 512
COLLECTOR_LIMIT = 100
PENDING_LIMIT = 64
INVENTORY_PACKED_BYTES = 256 * 1024
INVENTORY_PLAIN_BYTES = 4 * 1024 * 1024
FIGURE_LIMIT = 1e9
VALUE_LIMIT = 1e18
"""Beyond any reading's range; what is larger is a mistake that no chart could draw."""
SYSTEMS = ("windows", "linux", "macos")
SECTIONS = ("hardware", "software", "updates")
SEVERITIES = frozenset({"watch", "ill"})

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_HEX = re.compile(r"[0-9a-f]{64}")
_MARK = re.compile(r"[A-Za-z0-9-]{1,64}")
_CODE = re.compile(r"[a-z_]{1,40}")
_POWER = {
    link_pb2.PowerChange.KIND_BOOTED: "booted",
    link_pb2.PowerChange.KIND_SHUTTING_DOWN: "shutting down",
    link_pb2.PowerChange.KIND_SLEEPING: "sleeping",
    link_pb2.PowerChange.KIND_WOKE: "woke",
    link_pb2.PowerChange.KIND_AGENT_STARTED: "agent started",
    link_pb2.PowerChange.KIND_AGENT_STOPPING: "agent stopping",
    link_pb2.PowerChange.KIND_RESTARTING: "restarting",
}
_AWAY_MS = 86_400_000
"""No restart takes longer than a day: what is said beyond that is not believed."""


class Greeting(NamedTuple):
    """A Hello, checked."""

    machine: Machine
    instance: str
    spool: str
    boot: str
    policy_version: int
    policy_digest: int


Fact = Raise | Clear | Happened | Stocktake | JobSaid


def moment(at_ms: int, received_ms: int) -> tuple[int, bool]:
    """The time to keep, and whether it had to be replaced: over 2 minutes ahead, or older than 400 days."""
    if received_ms - BEHIND_MS <= at_ms <= received_ms + AHEAD_MS:
        return at_ms, False
    return received_ms, True


def greeting(hello: link_pb2.Hello) -> Greeting:
    """What a Hello says.

    Raises:
        OutOfBounds: another protocol, or marks that are not what an agent makes.
    """
    if hello.protocol != PROTOCOL:
        raise OutOfBounds(f"This server speaks protocol {PROTOCOL}, the agent {hello.protocol}: update the older of the two.")
    for name in ("instance", "spool", "boot"):
        if not _MARK.fullmatch(getattr(hello, name)):
            raise OutOfBounds(f"The greeting's {name} must be 1 to 64 letters, digits and hyphens.")
    if hello.policy_version >= SEQUENCE_LIMIT:
        raise OutOfBounds("The greeting's policy version cannot be.")
    return Greeting(machine(hello.machine), hello.instance, hello.spool, hello.boot, hello.policy_version, hello.policy_digest)


def machine(said: link_pb2.Machine) -> Machine:
    """Who a machine says it is.

    Raises:
        OutOfBounds: no name, an unknown system, or a fingerprint that is none.
    """
    name = text(said.hostname, 255).strip()
    if not name:
        raise OutOfBounds("The machine has no name.")
    if said.os not in SYSTEMS:
        raise OutOfBounds(f"The system must be one of {', '.join(SYSTEMS)}.")
    if said.fingerprint and not _HEX.fullmatch(said.fingerprint):
        raise OutOfBounds("The machine's fingerprint must be 64 hex digits.")
    return Machine(name, said.os, text(said.os_version, 200).strip(), text(said.agent_version, 40), said.fingerprint)


def event(said: link_pb2.Event, received_ms: int) -> Fact:
    """What one event says.

    Raises:
        OutOfBounds: it will never be taken.
    """
    body = said.WhichOneof("body")
    reader = _EVENTS.get(body or "")
    if reader is None:
        raise OutOfBounds("The event says nothing that this server knows.")
    at_ms, adjusted = moment(said.at_ms, received_ms)
    fact: Fact = reader(getattr(said, body), at_ms, said.at_ms, adjusted)
    return fact


def _raised(said: link_pb2.FaultRaised, at_ms: int, said_ms: int, adjusted: bool) -> Raise:
    rule, instance = _fault_key(said.rule, said.instance)
    if said.severity not in SEVERITIES:
        raise OutOfBounds(f"Fault {rule}: the severity must be watch or ill.")
    if said.policy_version >= SEQUENCE_LIMIT:
        raise OutOfBounds(f"Fault {rule}: the policy version cannot be.")
    return Raise(
        at_ms,
        rule,
        instance,
        said.severity,
        _finite(rule, said.value),
        _since(said.since_ms, at_ms, said_ms),
        _evidence(said.evidence, at_ms, said_ms),
        said.policy_version,
        text(said.detail, 200),
        adjusted,
    )


def _cleared(said: link_pb2.FaultCleared, at_ms: int, said_ms: int, adjusted: bool) -> Clear:
    rule, instance = _fault_key(said.rule, said.instance)
    if said.reason not in AGENT_REASONS:
        raise OutOfBounds(f"Fault {rule}: the reason must be one of {', '.join(sorted(AGENT_REASONS))}.")
    value = _finite(rule, said.value) if said.reason == RECOVERED else 0.0
    since_ms = _since(said.since_ms, at_ms, said_ms)
    return Clear(at_ms, rule, instance, said.reason, value, since_ms, _evidence(said.evidence, at_ms, said_ms), adjusted)


def _fault_key(rule: str, instance: str) -> tuple[str, str]:
    if not _KEY.fullmatch(rule):
        raise OutOfBounds("A fault's rule must be 1 to 80 lower-case letters, digits, dots and hyphens.")
    if rule in SERVER_RULES:
        raise OutOfBounds(f"Rule {rule} is judged by the server.")
    if len(instance) > 200:
        raise OutOfBounds(f"Fault {rule}: the instance's name is longer than 200 characters.")
    return rule, text(instance, 200)


def _finite(rule: str, value: float) -> float:
    if not abs(value) <= VALUE_LIMIT:
        raise OutOfBounds(f"Fault {rule}: the value is not a number that can be.")
    return value


def _since(since_ms: int, at_ms: int, said_ms: int) -> int:
    """When the crossing began: moved with the event's own time, never after it, never absurdly before it."""
    moved = since_ms + at_ms - said_ms
    return moved if at_ms - BEHIND_MS <= moved <= at_ms else at_ms


def _evidence(samples: Any, at_ms: int, said_ms: int) -> Evidence:
    """The newest 60 samples that are numbers of a time that can be, moved with the event's own time."""
    if not samples:
        return []
    moved_ms, first_ms, last_ms = at_ms - said_ms, at_ms - BEHIND_MS, at_ms + AHEAD_MS
    moved = [(sample.at_ms + moved_ms, sample.value) for sample in samples[-EVIDENCE_LIMIT:]]
    return [(at, value) for at, value in moved if first_ms <= at <= last_ms and abs(value) <= VALUE_LIMIT]


def _power(said: link_pb2.PowerChange, at_ms: int, said_ms: int, adjusted: bool) -> Happened:
    kind = _POWER.get(said.kind)
    if kind is None:
        raise OutOfBounds("The power change is of no known kind.")
    back_by_ms = said.back_by_ms + at_ms - said_ms
    is_known = kind == "restarting" and said.back_by_ms and at_ms <= back_by_ms <= at_ms + _AWAY_MS
    return Happened(at_ms, kind, _marked({"back_by_ms": back_by_ms} if is_known else {}, adjusted))


def _notice(said: link_pb2.Notice, at_ms: int, _said_ms: int, adjusted: bool) -> Happened:
    if not _CODE.fullmatch(said.code):
        raise OutOfBounds("A notice's code must be 1 to 40 lower-case letters and underscores.")
    detail = {"subject": text(said.subject, 200), "text": text(said.text, 500)}
    return Happened(at_ms, said.code.replace("_", " "), _marked(detail, adjusted))


def _inventory(said: link_pb2.Inventory, at_ms: int, _said_ms: int, _adjusted: bool) -> Stocktake:
    if said.section not in SECTIONS:
        raise OutOfBounds(f"The inventory's section must be one of {', '.join(SECTIONS)}.")
    plain = inflated(said.json, "The inventory", INVENTORY_PACKED_BYTES, INVENTORY_PLAIN_BYTES)
    if hashlib.sha256(plain).hexdigest() != said.digest:
        raise OutOfBounds("The inventory's digest is not that of its content.")
    content = plain_object(plain, "The inventory")
    names = (content.get("maker"), content.get("model"))
    model = " ".join(text(name, 120).strip() for name in names if isinstance(name, str))
    serial = content.get("serial")
    return Stocktake(
        at_ms, said.section, said.digest, said.json, text(model, 200), text(serial, 120) if isinstance(serial, str) else ""
    )


def _marked(detail: dict[str, Any], adjusted: bool) -> dict[str, Any]:
    return detail | {"time_adjusted": True} if adjusted else detail


_EVENTS: dict[str, Any] = {
    "raised": _raised,
    "cleared": _cleared,
    "power": _power,
    "inventory": _inventory,
    "notice": _notice,
    "job": job_said,
}


def vitals(said: link_pb2.Vitals, received_ms: int) -> tuple[Reported, Held | None, str]:
    """The newest readings, what the agent holds open (None while it has events to tell), and what was dropped, in words."""
    problems = _clean_readings(said.readings)
    at_ms, _ = moment(said.at_ms, received_ms)
    said.at_ms = at_ms
    if said.HasField("agent"):
        _clean_health(said.agent)
    in_sync = said.HasField("agent") and not said.agent.spool_events and len(said.faults) <= HELD_LIMIT
    held = Held(at_ms, frozenset((fault.rule, fault.instance) for fault in said.faults)) if in_sync else None
    del said.faults[HELD_LIMIT:]
    if said.pending:
        _clean_pending(said, received_ms)
    return Reported(at_ms, said.SerializeToString()), held, _dropped(problems)


def _clean_pending(said: link_pb2.Vitals, received_ms: int) -> None:
    """Rules whose duration runs, cleaned in place: at most 64, each of a rule, none from the future."""
    fit = [one for one in said.pending[:PENDING_LIMIT] if one.rule and len(one.rule) <= 80 and len(one.instance) <= 200]
    for one in fit:
        one.rule, one.instance = text(one.rule, 80), text(one.instance, 200)
        one.since_ms, _ = moment(one.since_ms, received_ms)
    del said.pending[:]
    said.pending.extend(fit)


def _clean_health(said: link_pb2.AgentHealth) -> None:
    """What an agent says of itself, cleaned in place; a figure that cannot be becomes 0."""
    del said.collectors[COLLECTOR_LIMIT:]
    for collector in said.collectors:
        collector.name, collector.error = text(collector.name, 80), text(collector.error, 300)
        collector.duration_s = _figure(collector.duration_s)
    said.cpu_percent, said.memory_mib = _figure(said.cpu_percent), _figure(said.memory_mib)


def _figure(value: float) -> float:
    return value if 0 <= value <= FIGURE_LIMIT else 0.0


def live(said: link_pb2.Live, received_ms: int) -> tuple[Watched, str]:
    """One second of a live watch, and what was dropped of it, in words."""
    problems = _clean_readings(said.readings)
    said.at_ms, _ = moment(said.at_ms, received_ms)
    return Watched(said.at_ms, said.SerializeToString()), _dropped(problems)


def _clean_readings(readings: Any) -> list[str]:
    """Take out what is not in the catalogue, out of its range or too much; returns why, one line for each."""
    problems = []
    if len(readings) > READING_LIMIT:
        problems.append(f"{len(readings) - READING_LIMIT} readings over the limit of {READING_LIMIT}")
        del readings[READING_LIMIT:]
    bad = []
    for index, reading in enumerate(readings):
        why = _unfit(reading)
        if why:
            problems.append(why)
            bad.append(index)
        elif not reading.instance.isprintable():
            reading.instance = text(reading.instance, 200)
    for index in reversed(bad):
        del readings[index]
    return problems


def _unfit(reading: link_pb2.Reading) -> str:
    spec = catalogue.BY_NUMBER.get(reading.key)
    if spec is None:
        return f"reading {reading.key} is not in the catalogue"
    if not spec.admits(reading.value):
        return f"{spec.key} cannot be {reading.value:g}"
    return f"{spec.key}: the instance's name is too long" if len(reading.instance) > 200 else ""


def _dropped(problems: list[str]) -> str:
    if not problems:
        return ""
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"Dropped: {'; '.join(problems[:3])}{more}."


def hour(said: link_pb2.History, received_ms: int) -> Hour:
    """One packed hour.

    Raises:
        OutOfBounds: an hour that cannot be, or a pack that no chart could be drawn from.
    """
    now_hour = received_ms // 3_600_000
    if not now_hour - BEHIND_MS // 3_600_000 <= said.hour <= now_hour + 1:
        raise OutOfBounds(f"Hour {said.hour} of history lies in the future or over 400 days back.")
    if len(said.pack) > packing.MAX_PACK_BYTES:
        raise OutOfBounds(f"Hour {said.hour} of history is over {packing.MAX_PACK_BYTES} bytes.")
    try:
        packing.check(said.pack)
    except packing.PackError as error:
        raise OutOfBounds(f"Hour {said.hour} of history cannot be read: {error}.") from error
    return Hour(said.hour, said.pack)
