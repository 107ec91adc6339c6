"""Which faults can have one cause, and the keys that name the causes. Pure.

A family is what one cause can do to several machines: their connection is lost, names cannot be resolved, or one rule's
fault. Faults of two families never share an incident, except that a lost connection explains what rests on it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fettle_protocol.policy import Policy, Rule, Spread

from fettle_server.proactive.rules import ABSENT

CONNECTION, NAMES = "connection", "names"
_READINGS = {"gateway.reachable": CONNECTION, "dns.working": NAMES}
_RESTS_ON_IT = frozenset({"network", "dns", "power"})
"""Topics of faults that a lost connection or power explains."""
_KEY_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint stands, and what it is."""

    school_id: int
    room_id: int | None
    model: str = ""
    build: str = ""


def spread_of(policy: Policy | None, rule: str) -> Spread:
    """How that rule's fault is shared. Machines that are missed are missed by place."""
    known = policy.rule(rule) if policy else None
    if known is not None:
        return Spread(known.spread)
    return Spread.PLACE if rule == ABSENT else Spread.NONE


def family_of(policy: Policy | None, rule: str) -> str:
    """The family of a rule that spreads by place."""
    known = policy.rule(rule) if policy else None
    if rule == ABSENT:
        return CONNECTION
    return _READINGS.get(known.reading, rule) if known is not None else rule


def wider_keys(policy: Policy | None, rule: str, instance: str, place: Place) -> tuple[str, ...]:
    """The keys of the wider causes that would explain a fault there, the nearest first."""
    known = policy.rule(rule) if policy else None
    spread = spread_of(policy, rule)
    if spread is Spread.KIND:
        return (
            school_kind(place.school_id, rule, instance),
            *((shared_by("build", place.build, rule, instance),) if place.build else ()),
            *((shared_by("model", place.model, rule, instance),) if place.model else ()),
            shared_by("service", "", rule, instance),
        )
    if spread is not Spread.PLACE:
        return ()
    families = dict.fromkeys((family_of(policy, rule), *((CONNECTION,) if _rests(known) else ())))
    return tuple(key for family in families for key in _of_place(family, place))


def room_key(room_id: int, family: str) -> str:
    """The cause that a room's machines share."""
    return f"room:{room_id}/{family}"


def school_key(school_id: int, family: str) -> str:
    """The cause that a school's machines share by their place."""
    return f"school:{school_id}/{family}"


def school_kind(school_id: int, rule: str, instance: str) -> str:
    """The cause that makes one rule's fault on several machines of a school."""
    return _short(f"school:{school_id}/{rule}/{instance}")


def shared_by(what: str, value: str, rule: str, instance: str) -> str:
    """The cause that makes one rule's fault in several schools: by "model", "build", or in a "service" at large."""
    return _short(f"{what}:{value}/{rule}/{instance}")


def _of_place(family: str, place: Place) -> tuple[str, ...]:
    school = school_key(place.school_id, family)
    return (school,) if place.room_id is None else (room_key(place.room_id, family), school)


def _rests(rule: Rule | None) -> bool:
    return rule is not None and rule.topic in _RESTS_ON_IT


def _short(key: str) -> str:
    """Keys are as long as machines make them; what is too long keeps its beginning and a digest of all."""
    if len(key) <= _KEY_LIMIT:
        return key
    return f"{key[: _KEY_LIMIT - 33]}#{hashlib.sha256(key.encode()).hexdigest()[:32]}"
