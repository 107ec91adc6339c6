"""A PC's state in one sentence."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from fettle_protocol.catalogue import Unit
from fettle_server.estate.endpoints.rules import Health
from fettle_server.proactive.sentences import Condition, Trouble, explain, length, measured

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
FULL = Trouble("ill", "Disk C: is full", "3 %", NOW - dt.timedelta(minutes=25))
HOT = Trouble("watch", "The processor is hot", "", NOW - dt.timedelta(hours=3))


def _condition(**changes: Any) -> Condition:
    plain: dict[str, Any] = {
        "state": Health.WELL,
        "connected": True,
        "last_seen": NOW - dt.timedelta(seconds=20),
        "enrolled_at": NOW - dt.timedelta(days=3),
        "revoked_at": None,
        "rules": 23,
        "troubles": (),
    }
    return Condition(**(plain | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Well: all 23 rules are quiet, last heard 20 seconds ago."),
        ({"rules": 1}, "Well: the one rule is quiet, last heard 20 seconds ago."),
        (
            {"coming": ("Disk C: will be full in 9 days (between 6 and 14 days, 86 % sure)", "The battery is worn out")},
            "Well, but disk C: will be full in 9 days (between 6 and 14 days, 86 % sure), and 1 more thing to come; "
            "last heard 20 seconds ago.",
        ),
        ({"rules": 0, "last_seen": NOW}, "Well: no rule watches it yet; last heard just now."),
        (
            {"state": Health.ILL, "troubles": (FULL, HOT)},
            "Ill: Disk C: is full (3 %), for 25 minutes now, and 1 more fault.",
        ),
        ({"state": Health.WATCH, "troubles": (HOT,)}, "Watch: The processor is hot, for 3 hours now."),
        (
            {"state": Health.WATCH, "troubles": (HOT,), "connected": False},
            "Watch: The processor is hot, for 3 hours now; last heard 20 seconds ago.",
        ),
        (
            {"state": Health.UNKNOWN, "connected": False, "last_seen": NOW - dt.timedelta(days=1)},
            "Unknown: not heard of for 1 day; it was well then.",
        ),
        (
            {"state": Health.UNKNOWN, "last_seen": NOW - dt.timedelta(minutes=4), "troubles": (FULL, HOT, HOT)},
            "Unknown: not heard of for 4 minutes; it was ill then (Disk C: is full and 2 more faults).",
        ),
        (
            {"state": Health.UNKNOWN, "troubles": (HOT,)},
            "Unknown: not heard of for 20 seconds; it was on watch then (The processor is hot).",
        ),
        ({"state": Health.UNKNOWN, "last_seen": None}, "Unknown: enrolled 3 days ago, and not heard of yet."),
        ({"revoked_at": NOW - dt.timedelta(hours=2)}, "Revoked 2 hours ago: this PC may no longer connect."),
    ],
)
def test_each_state_explains_itself(changes: dict[str, Any], sentence: str) -> None:
    assert explain(_condition(**changes), NOW) == sentence


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3.0, Unit.PERCENT, "3 %"),
        (97.25, Unit.PERCENT, "97.2 %"),
        (1.0, Unit.YES_NO, ""),
        (1.5e9, Unit.BYTES, "1.5 GB"),
        (999, Unit.BYTES, "999 bytes"),
        (2e6, Unit.BYTES_PER_SECOND, "2 MB/s"),
        (12_345, Unit.COUNT, "12,345"),
        (40, Unit.PER_HOUR, "40 an hour"),
        (-67, Unit.DBM, "-67 dBm"),
    ],
)
def test_readings_are_told_in_their_unit(value: float, unit: Unit, text: str) -> None:
    assert measured(value, unit) == text


def test_a_clock_that_stepped_back_makes_no_negative_length() -> None:
    assert length(dt.timedelta(seconds=-5)) == "0 seconds"
