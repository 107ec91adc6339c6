"""The agent's own budget: what it takes of the machine, and how far it must stretch its slow work to stay within.

Pure arithmetic over what is passed in, once a minute. Slow collectors run half as often for each minute over budget, and come
back one step for each five minutes well below it. The tools that collectors start count too, but over ten minutes: one look
for updates may take seconds, and is no reason to look less often if it is seldom.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MOST_STRETCH = 16.0
_CALM_MINUTES = 5
_WINDOW_MINUTES = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """What the agent takes: percent of one core over the last minute, its tools included, and resident MiB."""

    cpu_percent: float = 0.0
    memory_mib: float = 0.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of processor time so far, the agent's own and its tools', at a time."""

    at_s: float
    own_s: float
    tools_s: float

    def percent_since(self, before: Spent, *, tools: bool) -> float:
        """Percent of one core between the two."""
        spent_s = self.own_s - before.own_s + (self.tools_s - before.tools_s if tools else 0.0)
        return 100 * spent_s / max(self.at_s - before.at_s, 1.0)


class Budget:
    """How far slow work is stretched, by the minutes over and under budget."""

    def __init__(self, cpu_percent: float, memory_mib: float) -> None:
        self._cpu_percent, self._memory_mib = cpu_percent, memory_mib
        self._spent: deque[Spent] = deque(maxlen=_WINDOW_MINUTES + 1)
        self._calm = 0
        self.cost = Cost()
        self.stretch = 1.0

    def measure(self, now: Spent, memory_bytes: int) -> bool:
        """Take what was spent so far and the memory held now; True where the stretch changed."""
        self._spent.append(now)
        before = self._spent[-2] if len(self._spent) > 1 else now
        self.cost = Cost(now.percent_since(before, tools=True), memory_bytes / 2**20)
        own_percent = now.percent_since(before, tools=False)
        whole_percent = now.percent_since(self._spent[0], tools=True) if len(self._spent) > _WINDOW_MINUTES else 0.0
        return self._judge(max(own_percent, whole_percent))

    def _judge(self, cpu_percent: float) -> bool:
        stretch = self.stretch
        if cpu_percent > self._cpu_percent or self.cost.memory_mib > self._memory_mib:
            self._calm, self.stretch = 0, min(stretch * 2, MOST_STRETCH)
        elif cpu_percent < self._cpu_percent / 2:
            self._calm += 1
            if self._calm >= _CALM_MINUTES:
                self._calm, self.stretch = 0, max(1.0, stretch / 2)
        else:
            self._calm = 0
        return self.stretch != stretch
