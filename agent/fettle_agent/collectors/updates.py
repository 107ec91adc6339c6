"""What is common to all systems' updates: how many wait, how many of them mend security, whether a restart is due."""

from __future__ import annotations

from dataclasses import dataclass

from fettle_agent.collectors import Collected, Reading


@dataclass(frozen=True, slots=True)
class Updates:
    """What a system says of its updates; None where it does not say."""

    pending: int | None = None
    security_pending: int | None = None
    reboot_pending: bool | None = None
    days_since_check: float | None = None

    def collected(self) -> Collected:
        """The readings of what is known."""
        values = {
            "updates.pending": self.pending,
            "updates.security_pending": self.security_pending,
            "updates.reboot_pending": self.reboot_pending,
            "updates.days_since_check": self.days_since_check,
        }
        return Collected(tuple(Reading(key, float(value)) for key, value in values.items() if value is not None))
