"""What is common to all systems' services: what was found of each, and which of them is a reading.

A service counts that is installed and starts by itself. Those that the policy names must run. Of the others only a service
that died, or that ran while this agent watched and then stopped, is wrong; one that was never seen running may be meant to
stop by itself, so nothing is said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from fettle_agent.collectors import Collected, Reading


class Condition(StrEnum):
    """How a service stands, in the system's own words reduced to four."""

    RUNNING = "running"
    STOPPED = "stopped"
    DIED = "died"
    ON_DEMAND = "on demand"


@dataclass(frozen=True, slots=True)
class Service:
    """One installed service that starts by itself; `detail` is the system's word for its state."""

    name: str
    condition: Condition
    detail: str = ""


def is_named(name: str, patterns: Iterable[str]) -> bool:
    """True where one of the policy's glob patterns fits; case does not matter, as on Windows it does not."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


class Watch:
    """Turns what was found into readings, and remembers which services were seen running."""

    __slots__ = ("_patterns", "_ran")

    def __init__(self, patterns: Callable[[], tuple[str, ...]]) -> None:
        self._patterns = patterns
        self._ran: set[str] = set()

    def readings(self, services: Iterable[Service]) -> Collected:
        """The readings of those services about which something can be said, in the order of their names."""
        patterns = self._patterns()
        found = (self._reading(service, patterns) for service in sorted(services, key=lambda service: service.name))
        return Collected(tuple(reading for reading in found if reading is not None))

    def _reading(self, service: Service, patterns: tuple[str, ...]) -> Reading | None:
        if service.condition in (Condition.RUNNING, Condition.ON_DEMAND):
            self._ran.add(service.name)
            return Reading("service.running", 1.0, service.name, service.detail)
        wrong = service.condition is Condition.DIED or service.name in self._ran or is_named(service.name, patterns)
        return Reading("service.running", 0.0, service.name, service.detail) if wrong else None
