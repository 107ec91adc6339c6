"""The agent's own budget: stretched while over, eased when calm, and no storm over one honest tool."""

from __future__ import annotations

from fettle_agent.budget import MOST_STRETCH, Budget, Spent

MIB = 2**20


class Minutes:
    def __init__(self) -> None:
        self.budget = Budget(2.0, 80.0)
        self.now = Spent(0, 0, 0)
        self.budget.measure(self.now, 0)

    def spend(self, own_s: float = 0.0, tools_s: float = 0.0, memory_mib: float = 40) -> float:
        self.now = Spent(self.now.at_s + 60, self.now.own_s + own_s, self.now.tools_s + tools_s)
        self.budget.measure(self.now, int(memory_mib * MIB))
        return self.budget.stretch


def test_minutes_over_budget_double_the_stretch_to_its_bound() -> None:
    minutes = Minutes()
    assert [minutes.spend(own_s=3) for _ in range(6)] == [2, 4, 8, 16, 16, MOST_STRETCH]


def test_memory_over_budget_stretches_too() -> None:
    assert Minutes().spend(memory_mib=81) == 2


def test_calm_minutes_ease_it_step_by_step() -> None:
    minutes = Minutes()
    minutes.spend(own_s=2)
    minutes.spend(own_s=2)
    assert [minutes.spend() for _ in range(10)] == [4, 4, 4, 4, 2, 2, 2, 2, 2, 1]


def test_one_tool_of_a_few_seconds_is_no_reason() -> None:
    minutes = Minutes()
    assert [minutes.spend(tools_s=5)] + [minutes.spend() for _ in range(12)] == [1] * 13


def test_tools_that_never_rest_are_a_reason() -> None:
    minutes = Minutes()
    assert max(minutes.spend(tools_s=3) for _ in range(12)) > 1


def test_cost_is_told_with_tools() -> None:
    minutes = Minutes()
    minutes.spend(own_s=0.3, tools_s=0.3)
    assert minutes.budget.cost.cpu_percent == 1.0
