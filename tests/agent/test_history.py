"""The hour under way: means by the minute, an hour ends once, and a restart goes on where it was."""

from __future__ import annotations

from fettle_agent.collectors import Reading
from fettle_agent.history import History, Hour
from fettle_protocol import catalogue, packing

HOUR = 480_000
START = HOUR * 3_600_000
CPU = (catalogue.BY_KEY["cpu.busy_percent"].number, "")


def busy(value: float) -> list[Reading]:
    return [Reading("cpu.busy_percent", value)]


def values(hour: Hour | None) -> dict[int, float]:
    assert hour is not None
    (series,) = packing.unpack(hour.pack, None)
    assert series.key == CPU
    return {slot: round(value, 1) for slot, value in enumerate(series.values) if value is not None}


def test_slot_is_the_mean_of_its_minute() -> None:
    history = History()
    for second, value in ((0, 10), (20, 20), (59, 60), (60, 5)):
        assert history.add(busy(value), START + second * 1000) is None
    assert values(history.packed()) == {0: 30, 1: 5}


def test_hour_is_finished_once_with_all_its_minutes() -> None:
    history = History()
    finished = [history.add(busy(minute), START + minute * 60_000) for minute in range(62)]
    whole = [hour for hour in finished if hour]
    assert [hour.hour for hour in whole] == [HOUR]
    assert values(whole[0]) == {minute: minute for minute in range(60)}
    assert values(history.packed()) == {0: 60, 1: 61}


def test_empty_hour_is_not_packed() -> None:
    history = History()
    assert history.roll(START) is None
    assert history.roll(START + 3_600_000) is None


def test_restart_takes_up_the_hour() -> None:
    before = History()
    before.add(busy(7), START + 3 * 60_000)
    kept = before.packed()
    assert kept is not None
    after = History()
    after.restore(kept.hour, kept.pack)
    after.add(busy(9), START + 10 * 60_000)
    assert values(after.packed()) == {3: 7, 10: 9}


def test_hour_that_ended_while_the_agent_was_off_is_finished_at_the_start() -> None:
    before = History()
    before.add(busy(7), START)
    kept = before.packed()
    assert kept is not None
    after = History()
    after.restore(kept.hour, kept.pack)
    finished = after.roll(START + 5 * 3_600_000)
    assert finished is not None
    assert (finished.hour, values(finished)) == (HOUR, {0: 7})


def test_correction_of_a_few_seconds_does_not_reopen_a_finished_hour() -> None:
    history = History()
    history.add(busy(1), START - 1_000)
    assert history.add(busy(2), START + 500) is not None
    assert history.add(busy(3), START - 2_000) is None
    assert values(history.packed()) == {0: 2.5}


def test_packing_the_hour_in_progress_loses_no_later_sample() -> None:
    history = History()
    history.add(busy(10), START)
    history.packed()
    history.add(busy(20), START + 1_000)
    assert values(history.packed()) == {0: 15}


def test_series_are_bounded() -> None:
    history = History()
    history.add([Reading("service.running", 1, f"service{number}") for number in range(600)], START)
    kept = history.packed()
    assert kept is not None
    assert len(packing.unpack(kept.pack)) == packing.MAX_SERIES
