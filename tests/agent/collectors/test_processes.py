"""Processes."""

import os

from fettle_agent.collectors import processes
from fettle_agent.collectors.changes import Rates
from fettle_agent.collectors.processes import Process
from hypothesis import given
from hypothesis import strategies as st


def _parse(text):
    return processes.parse_stat(text, ticks=100, page_bytes=4096)


def test_process_of_a_stat_file(sample):
    process = _parse(sample("proc_stat.txt"))

    assert process.name == "cat"
    assert not process.zombie
    assert process.memory_bytes > 100_000


def test_zombie_is_known_by_its_state(sample):
    assert _parse(sample("proc_stat_zombie.txt")).zombie


def test_name_with_brackets_and_spaces_is_read_whole(sample):
    assert _parse(sample("proc_stat.txt").replace("(cat)", "(a) b (c)")).name == "a) b (c"


def test_busiest_and_largest_are_named_by_program(clock):
    rates = Rates(clock)
    before = [Process(1, "init", False, 5.0, 10, 0), Process(2, "game", False, 1.0, 400, 0)]
    after = [Process(1, "init", False, 5.1, 10, 0), Process(2, "game", False, 10.5, 500, 0), Process(3, "gone", True, 0, 0, 0)]
    processes.summary(before, rates, memory_bytes=1000)
    clock.now += 10

    found = {reading.key: (reading.value, reading.detail) for reading in processes.summary(after, rates, memory_bytes=1000)}
    assert found == {
        "process.count": (3, ""),
        "process.zombies": (1, ""),
        "process.largest_cpu_percent": (95, "game"),
        "process.largest_memory_percent": (50, "game"),
    }


def test_new_process_of_an_old_number_is_not_the_old_one(clock):
    rates = Rates(clock)
    processes.summary([Process(2, "old", False, 1.0, 1, 10)], rates, memory_bytes=1000)
    clock.now += 10

    keys = [reading.key for reading in processes.summary([Process(2, "new", False, 900.0, 1, 20)], rates, memory_bytes=1000)]
    assert "process.largest_cpu_percent" not in keys


def test_both_ways_of_looking_see_this_process():
    own = {process.number: process for process in processes._from_proc()}[os.getpid()]
    same = {process.number: process for process in processes._from_psutil()}[os.getpid()]

    assert abs(own.memory_bytes - same.memory_bytes) < 50_000_000
    assert abs(own.cpu_s - same.cpu_s) < 1


@given(st.text())
def test_any_text_is_a_process_or_none(text):
    _parse(text)
