"""The agent's own budget: what it takes of the machine, and how far it must stretch its slow work to stay within.

Pure arithmetic over what is passed in. Slow collectors run half as often for each minute over budget, and come back one
step for each five minutes well below it.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_STRETCH = 16.0
_CALM_MINUTES = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """What the agent takes: percent of one core over the last minute, its tools included, and resident MiB."""

    cpu_percent: float = 0.0
    memory_mib: float = 0.0


class Budget:
    """How far slow work is stretched, by the minutes over and under budget."""

    def __init__(self, cpu_percent: float, memory_mib: float) -> None:
        self._limits = Cost(cpu_percent, memory_mib)
        self._spent: tuple[float, float] | None = None
        self._calm = 0
        self.cost = Cost()
        self.stretch = 1.0

    def measure(self, cpu_s: float, memory_bytes: int, now_s: float) -> bool:
        """Take the processor time spent so far and the memory held now; True where the stretch changed."""
        before, self._spent = self._spent, (cpu_s, now_s)
        memory_mib = memory_bytes / 2**20
        if before is None or now_s <= before[1]:
            self.cost = Cost(0.0, memory_mib)
            return False
        self.cost = Cost(100 * (cpu_s - before[0]) / (now_s - before[1]), memory_mib)
        return self._judge()

    def _judge(self) -> bool:
        stretch = self.stretch
        if self.cost.cpu_percent > self._limits.cpu_percent or self.cost.memory_mib > self._limits.memory_mib:
            self._calm, self.stretch = 0, min(stretch * 2, MOST_STRETCH)
        elif self.cost.cpu_percent < self._limits.cpu_percent / 2:
            self._calm += 1
            if self._calm >= _CALM_MINUTES:
                self._calm, self.stretch = 0, max(1.0, stretch / 2)
        else:
            self._calm = 0
        return self.stretch != stretch
