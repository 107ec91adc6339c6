"""The agent's one reader of the clock: steady time for durations, and the best knowledge of the server's time.

A school PC's wall clock may be wrong by years (a dead CMOS battery) and may step. So the agent judges and stamps by steady
time: milliseconds that never step, counted from the machine's start through sleep, and pinned once, when the process
starts, near to the real time. What the server says later (Welcome, Ack) does not move steady time: it moves `shift_ms`,
which is added where a time leaves the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

STEP_MS = 2_000
"""A wall clock that moves by more than this against steady time has been set."""

_NEWS_MS = 250
"""A correction below this is the noise of the line."""


class Clock:
    """Steady time of this process, its relation to the server's time, and the steps of the wall clock."""

    def __init__(
        self,
        boot: str,
        boot_s: Callable[[], float],
        *,
        anchor_ms: int | None = None,
        lead_ms: int = 0,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Pin steady time to where the real time seems to be.

        `anchor_ms` is the server's time at this boot's start, if an earlier process learned it; `lead_ms` how far the wall
        clock was last seen ahead of the server's.
        """
        self.boot = boot
        self._boot_s = boot_s
        self._wall_s = wall_s
        self.anchor_ms = anchor_ms
        wall_base_ms = round(wall_s() * 1000) - self.boot_ms()
        self.zero_ms = anchor_ms if anchor_ms is not None else wall_base_ms - lead_ms
        self._wall_base_ms = wall_base_ms

    def boot_ms(self) -> int:
        """Milliseconds since the machine started, sleep included."""
        return int(self._boot_s() * 1000)

    def steady_ms(self) -> int:
        """Now, in this process's steady time."""
        return self.zero_ms + self.boot_ms()

    @property
    def shift_ms(self) -> int:
        """What to add to steady time for the server's time."""
        return 0 if self.anchor_ms is None else self.anchor_ms - self.zero_ms

    def server_ms(self) -> int:
        """Now, by the best knowledge of the server's clock."""
        return self.steady_ms() + self.shift_ms

    def wall_ms(self) -> int:
        """Now, by the machine's own clock, however wrong."""
        return round(self._wall_s() * 1000)

    def lead_ms(self) -> int | None:
        """How far the wall clock is ahead of the server's; None while no server was heard in this boot."""
        return None if self.anchor_ms is None else self.wall_ms() - self.server_ms()

    def learn(self, server_ms: int, at_boot_ms: int, *, tolerance_ms: int = _NEWS_MS) -> bool:
        """Take the server's time as it was at that moment of this boot; True where that is news worth keeping."""
        anchor_ms = server_ms - at_boot_ms
        if self.anchor_ms is not None and abs(anchor_ms - self.anchor_ms) <= tolerance_ms:
            return False
        self.anchor_ms = anchor_ms
        return True

    def wall_step_ms(self) -> int:
        """By how much the wall clock was set since this was last asked; 0 where it was not."""
        base_ms = self.wall_ms() - self.boot_ms()
        step_ms = base_ms - self._wall_base_ms
        if abs(step_ms) < STEP_MS:
            return 0
        self._wall_base_ms = base_ms
        return step_ms
