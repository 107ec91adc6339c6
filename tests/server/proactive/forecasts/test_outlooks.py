"""What forecasts say of made-up endpoints: honest where nothing can be said, and quiet where nothing comes."""

from __future__ import annotations

import datetime as dt
import random
from zoneinfo import ZoneInfo

import pytest
from fettle_protocol import catalogue
from fettle_server.estate.calendars.rules import Calendar, Entry, Kind
from fettle_server.proactive.forecasts import days, disks, rules, slower, wear
from fettle_server.proactive.forecasts.days import Reading
from fettle_server.proactive.forecasts.outlooks import NEVER
from fettle_server.proactive.forecasts.slower import Peers

FIRST = 20_700


def number(key):
    return catalogue.BY_KEY[key].number


def reading(value):
    return Reading(value, value, value, value, 480)


def history(length, **series):
    """Days from functions of the day: `disk_free_percent__C=lambda day: ...` (double underscore: the instance)."""
    made = []
    for day in range(length):
        row = {}
        for name, of_day in series.items():
            key, _, instance = name.partition("__")
            value = of_day(day)
            if value is not None:
                row[number(key.replace("_", ".", 1)), instance] = reading(float(value))
        made.append((FIRST + day, row))
    return made


def disk(length, free_gb, size_gb=256):
    return history(
        length,
        disk_free_bytes__C=lambda day: free_gb(day) * 1e9,
        disk_free_percent__C=lambda day: 100 * free_gb(day) / size_gb,
    )


def only(found):
    assert len(found) == 1
    return found[0]


def test_a_disk_that_fills_is_told_with_its_interval():
    rng = random.Random(1)
    told = only(disks.fills(disk(40, lambda day: 60 - day * 1.2 + rng.uniform(-0.4, 0.4))))
    assert told.value == pytest.approx(11, abs=2)
    assert told.low <= told.value <= told.high
    assert told.sentence.startswith("Disk C will be full in ")
    assert f"{told.sure_percent} % sure" in told.sentence


@pytest.mark.parametrize(("length", "free"), [(9, lambda day: 60 - day), (1, lambda day: 5)])
def test_a_short_history_says_so(length, free):
    told = only(disks.fills(disk(length, free)))
    assert told.value is None
    assert "14 are needed" in told.sentence


def test_a_disk_that_jumps_about_gets_no_day():
    rng = random.Random(3)
    told = only(disks.fills(disk(30, lambda day: 60 + rng.uniform(-40, 40) - day * 0.8)))
    assert told.value is None or told.value == NEVER


@pytest.mark.parametrize("free", [lambda day: 120, lambda day: 30 + day % 3 * 0.2, lambda day: 60 + day * 0.5])
def test_a_steady_disk_is_not_filling(free):
    assert only(disks.fills(disk(60, free))).value == NEVER


def test_a_cleaned_disk_is_forecast_from_where_it_stands_now():
    told = only(disks.fills(disk(40, lambda day: 40 - day + (100 if day >= 38 else 0))))
    assert told.value == pytest.approx(101, abs=5)


def test_a_disk_that_fills_faster_lately_is_forecast_by_the_lately():
    told = only(disks.fills(disk(60, lambda day: 120 - day * 0.1 if day < 45 else 115.5 - (day - 45) * 5)))
    assert told.value < 15


def test_bad_sectors_count_by_the_week():
    grows = history(30, disk_smart_reallocated__sda=lambda day: 8 if day < 20 else 8 + (day - 20) * 2)
    assert only(disks.sectors(grows)).value == pytest.approx(14, abs=1)
    still = history(30, disk_smart_reallocated__sda=lambda day: 8)
    assert only(disks.sectors(still)).value == 0


def test_a_battery_wears_and_a_new_one_does_not():
    told = only(wear.battery(history(300, battery_health_percent=lambda day: round(90 - day * 0.12))))
    assert told.value == pytest.approx(1, abs=0.7)
    fresh = only(wear.battery(history(300, battery_health_percent=lambda day: 98)))
    assert fresh.value == NEVER / 10
    young = only(wear.battery(history(30, battery_health_percent=lambda day: 98 - day * 0.2)))
    assert young.value is None


def test_a_solid_state_disk_wears_to_nine_tenths():
    told = only(wear.ssd(history(365, disk_smart_wear_percent__sda=lambda day: 50 + day // 10)))
    assert told.value == pytest.approx((90 - 86) * 10 / wear.MONTH, abs=0.7)


def leaking(a_day, boot_days):
    return history(
        28,
        memory_used_percent=lambda day: 30 + a_day * (day % boot_days),
        boot_uptime_days=lambda day: day % boot_days + 0.3,
    )


def test_memory_is_lost_between_restarts_and_only_then():
    assert only(slower.leak(leaking(6, 14))).value == pytest.approx(6, abs=0.2)
    assert only(slower.leak(leaking(0, 14))).value == 0
    assert only(slower.leak(leaking(6, 1))).value == 0


def signing_in(before, now):
    return history(60, logon_duration_seconds=lambda day: (before if day < 52 else now) + day % 3)


def test_sign_ins_are_held_against_the_past_and_the_peers():
    peers = Peers(usual=21, spread=2, count=30)
    assert only(slower.slower(signing_in(20, 60), slower.SIGN_IN, peers)).value == pytest.approx(2.8, abs=0.3)
    assert only(slower.slower(signing_in(20, 21), slower.SIGN_IN, peers)).value <= 1.1
    slow_for_all = Peers(usual=58, spread=5, count=30)
    assert only(slower.slower(signing_in(20, 60), slower.SIGN_IN, slow_for_all)).value == 1


def warming(rise):
    return history(75, temperature_celsius__cpu=lambda day: 45 + (rise if day >= 65 else 0) + day % 3)


def test_heat_counts_only_where_the_school_does_not_share_it():
    assert only(slower.heat(warming(14), Peers(1, 1, 20))).value == pytest.approx(13, abs=1)
    assert only(slower.heat(warming(14), Peers(12, 2, 20))).value <= 0
    assert only(slower.heat(warming(14), None)).value is None


def test_a_day_is_stored_and_read_back():
    day = {(number("disk.free_bytes"), "C:"): Reading(1.5e9, 1.6e9, 1.7e9, 1.6e9, 480)}
    assert days.decode(days.encode(day)) == day


def test_a_warranty_is_told_by_its_date_until_it_is_no_news():
    today = dt.date(2026, 11, 23)
    assert rules.warranty(today + dt.timedelta(days=20), today).value == 20
    assert "ends in 20 days, on 13 December 2026" in rules.warranty(today + dt.timedelta(days=20), today).sentence
    assert rules.warranty(today - dt.timedelta(days=400), today).value is None


LONDON = ZoneInfo("Europe/London")
TERMS = (
    Entry(Kind.TERM, "Autumn", dt.date(2026, 9, 1), dt.date(2026, 12, 18)),
    Entry(Kind.TERM, "Spring", dt.date(2027, 1, 4), dt.date(2027, 3, 26)),
)


@pytest.mark.parametrize(
    ("at", "due", "told"),
    [
        ("2026-11-23 09:00", None, True),
        ("2026-11-23 06:00", None, False),
        ("2026-11-22 11:00", "2026-11-22", False),
        ("2026-12-22 10:00", None, False),
        ("2026-12-22 10:00", "2027-02-01", False),
        ("2026-12-22 10:00", "2026-12-29", True),
        ("2026-12-22 22:00", "2026-12-29", False),
    ],
)
def test_forecasts_speak_in_working_hours_and_in_holidays_only_before_it_is_too_late(at, due, told):
    now = dt.datetime.fromisoformat(at).replace(tzinfo=LONDON)
    due_at = dt.datetime.fromisoformat(due).replace(tzinfo=LONDON) if due else None
    assert rules.may_tell(Calendar(LONDON, TERMS), now, due_at) is told
