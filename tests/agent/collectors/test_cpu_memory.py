"""The processor and memory."""

from collections import namedtuple

import psutil
from fettle_agent.collectors import cpu, memory
from fettle_agent.collectors.changes import Rates

Swap = namedtuple("Swap", "total used sin sout")


def test_busy_is_all_but_idle_and_waiting():
    before = {"user": 10.0, "system": 5.0, "idle": 80.0, "iowait": 5.0, "guest": 3.0}
    after = {"user": 13.0, "system": 6.0, "idle": 85.0, "iowait": 6.0, "guest": 6.0}

    assert cpu.busy_percent(before, after) == 40.0


def test_too_little_time_is_no_data():
    assert cpu.busy_percent({"user": 1.0, "idle": 1.0}, {"user": 1.0, "idle": 1.0}) is None
    assert cpu.busy_percent({"user": 1.0, "idle": 1.0}, {"user": 1.01, "idle": 1.0}) is None


def test_counters_that_step_back_stay_within_range():
    assert 0 <= cpu.busy_percent({"user": 5.0, "idle": 9.0}, {"user": 6.0, "idle": 8.0}) <= 100


def test_unknown_rated_speed_is_no_data(setup, monkeypatch):
    monkeypatch.setattr(psutil, "cpu_freq", lambda: namedtuple("Speed", "current max")(2596.0, 0.0))

    assert cpu.frequency(setup)().readings == ()


def test_machine_without_swap_has_no_swap_readings(setup, monkeypatch, values):
    monkeypatch.setattr(psutil, "swap_memory", lambda: Swap(0, 0, 0, 0))

    assert {key for key, _ in values(memory.collector(setup)())} == {"memory.used_percent", "memory.available_bytes"}


def test_swap_that_cannot_be_read_costs_only_itself(setup, monkeypatch):
    def refuse():
        raise OSError("no such file")

    monkeypatch.setattr(psutil, "swap_memory", refuse)

    assert len(memory.collector(setup)().readings) == 2


def test_swap_traffic_is_a_rate(setup, monkeypatch, values, clock):
    monkeypatch.setattr(memory, "Rates", lambda: Rates(clock))
    totals = iter([Swap(100, 50, 0, 0), Swap(100, 50, 4096, 8192)])
    monkeypatch.setattr(psutil, "swap_memory", lambda: next(totals))
    collect = memory.collector(setup)
    collect()
    clock.now += 2

    assert values(collect())["swap.io_bytes_per_second", ""] == 6144
