"""What is common to all systems' updates: how many wait, how many mend security, whether a restart is due, and which they are.

Owns the "updates" section: {reboot_pending, providers: [{provider, error}], offers: [the fields of packages.Offer]}, sorted.
What a package manager offers is asked anew only when its lists or packages changed, and kept packed in between, so that the
section can be sent anew at any time and costs an idle agent next to nothing.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fettle_agent.collectors import Collected, CollectError, NothingKnown, Reading
from fettle_agent.collectors.changes import Renewed
from fettle_agent.packages import Offer

MAX_OFFERS = 3000
MAX_WORDS = 2000
_WAITING = ("offered", "downloaded", "failed")
_FIELDS = tuple(field.name for field in fields(Offer))


@dataclass(frozen=True, slots=True)
class Updates:
    """What a system says of its updates; None where it does not say."""

    pending: int | None = None
    security_pending: int | None = None
    reboot_pending: bool | None = None
    days_since_check: float | None = None

    def readings(self) -> tuple[Reading, ...]:
        """The readings of what is known."""
        values = {
            "updates.pending": self.pending,
            "updates.security_pending": self.security_pending,
            "updates.reboot_pending": self.reboot_pending,
            "updates.days_since_check": self.days_since_check,
        }
        return tuple(Reading(key, float(value)) for key, value in values.items() if value is not None)


@dataclass(frozen=True, slots=True)
class Look:
    """What one provider offered: how many wait and how many of those mend security, all of it packed, or why nobody knows."""

    provider: str
    pending: int | None = None
    security: int | None = None
    packed: bytes = b""
    error: str = ""
    failed: bool = False


def look(provider: str, offers: Iterable[Offer]) -> Look:
    """The offers, each version once, counted and packed. What is held is told but not counted: nobody waits for it."""
    once = {(offer.name, offer.version): offer for offer in sorted(offers, key=repr)}
    told = [once[key] for key in sorted(once)][:MAX_OFFERS]
    waiting = [offer for offer in told if offer.state in _WAITING and not offer.held]
    rows = json.dumps([_row(offer) for offer in told], ensure_ascii=False, separators=(",", ":"))
    packed = zlib.compress(rows.encode("utf-8", "replace"), 6)
    return Look(provider, len(waiting), sum(1 for offer in waiting if offer.security), packed)


def section(reboot_pending: bool | None, looks: Sequence[Look]) -> dict[str, Any]:
    """The "updates" section of what the providers offered."""
    in_order = sorted(looks, key=lambda one: one.provider)
    return {
        "reboot_pending": reboot_pending,
        "providers": [{"provider": one.provider, "error": one.error} for one in in_order],
        "offers": [row for one in in_order if one.packed for row in json.loads(zlib.decompress(one.packed))],
    }


def collected(updates: Updates, looks: Sequence[Look]) -> Collected:
    """The readings and the section; the first look is the system's own, whose failure is the collector's."""
    inventory = {"updates": section(updates.reboot_pending, looks)} if looks else {}
    return Collected(updates.readings(), inventory, looks[0].error if looks and looks[0].failed else "")


def source(
    provider: str,
    ask: Callable[[], Iterable[Offer]],
    signature: Callable[[], Hashable],
    *,
    max_age_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[], Look]:
    """Gives what a provider offers, asked anew when the cheap signature of its source changed; a failure is a look too."""
    renewed = Renewed(lambda: look(provider, ask()), signature, max_age_s=max_age_s, clock=clock)

    def value() -> Look:
        try:
            return renewed.value()
        except CollectError as error:
            return Look(provider, error=str(error), failed=not isinstance(error, NothingKnown))

    return value


def _row(offer: Offer) -> dict[str, Any]:
    row = {name: getattr(offer, name) for name in _FIELDS}
    return row | {"cves": list(offer.cves), "words": offer.words[:MAX_WORDS]}
