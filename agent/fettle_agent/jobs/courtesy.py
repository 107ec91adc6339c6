"""What is owed to whoever sits at the PC before it restarts: a warning, and the right to put it off. Pure.

A restart never happens while somebody is active, unless they have put it off as often as the signed order allows.
"""

from __future__ import annotations

from dataclasses import dataclass

from fettle_protocol.manifests import People

ACTIVE_WITHIN_S = 900
"""Whoever touched the PC in the last quarter of an hour is active, and whoever is signed in where the system cannot say."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """Somebody who is signed in; `idle_s` since they last touched anything, None where the system does not say."""

    idle_s: float | None = None

    @property
    def is_active(self) -> bool:
        """True while they work."""
        return self.idle_s is None or self.idle_s < ACTIVE_WITHIN_S


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a restart has come: when it was last warned of (0: not since it was last put off), until when it was put off."""

    warned_ms: int = 0
    deferrals: int = 0
    put_off_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Restart:
    """Now."""


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell whoever is signed in that it comes at `at_ms`."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Rest:
    """The warning runs, or it was put off: look again then."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class PutOff:
    """Off until then; so often it may still be put off. `asked`: by a person, not only because somebody was active."""

    until_ms: int
    left: int
    asked: bool


def next_word(
    people: People, standing: Standing, sitting: tuple[Sitting, ...], *, asked: bool, now_ms: int
) -> Restart | Warn | Rest | PutOff:
    """What to do about a restart that is due. `asked`: somebody asked to put it off since the last warning."""
    left = people.deferrals - standing.deferrals
    if not sitting:
        return Restart()
    if now_ms < standing.put_off_until_ms:
        return Rest(standing.put_off_until_ms)
    if not standing.warned_ms:
        return Warn(now_ms + people.warn_s * 1000)
    if asked and left > 0:
        return PutOff(now_ms + people.defer_s * 1000, left - 1, asked=True)
    at_ms = standing.warned_ms + people.warn_s * 1000
    if now_ms < at_ms:
        return Rest(at_ms)
    if left > 0 and any(one.is_active for one in sitting):
        return PutOff(now_ms + people.defer_s * 1000, left - 1, asked=False)
    return Restart()
