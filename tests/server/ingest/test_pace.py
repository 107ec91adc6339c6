"""How fast one stream may speak."""

from __future__ import annotations

from fettle_server.ingest.pace import BURST, EFFORT_BURST_S, PATIENCE_S, RATE_PER_S, Effort, Pace


def test_burst_passes_at_once_and_what_follows_is_slowed() -> None:
    pace = Pace()
    assert all(pace.spend(100, 1000.0) == 0 for _ in range(int(BURST)))
    assert pace.spend(100, 1000.0) > 0


def test_stream_at_its_rate_is_never_slowed() -> None:
    pace = Pace()
    assert all(pace.spend(100, 1000.0 + count / RATE_PER_S) == 0 for count in range(20_000))


def test_large_messages_cost_more() -> None:
    pace = Pace()
    assert all(pace.spend(1_000_000, 1000.0) == 0 for _ in range(40))
    assert pace.spend(1_000_000, 1000.0) > 0


def test_stream_that_rests_as_told_is_held_to_its_rate() -> None:
    pace, now_s, sent = Pace(), 1000.0, 0
    while now_s < 1100.0:
        now_s += pace.spend(100, now_s)
        sent += 1
    assert sent < 100 * RATE_PER_S + BURST + 2


def test_flood_is_one_only_after_patience() -> None:
    pace, now_s = Pace(), 1000.0
    for _ in range(int(BURST)):
        pace.spend(100, now_s)
    while not pace.is_flood(now_s):
        assert now_s < 1000.0 + PATIENCE_S + 2
        now_s += pace.spend(100, now_s) or 0.001
    assert now_s > 1000.0 + PATIENCE_S


def test_quiet_moment_forgives() -> None:
    pace = Pace()
    for _ in range(int(BURST) + 1):
        pace.spend(100, 1000.0)
    assert pace.spend(100, 1020.0) == 0
    assert not pace.is_flood(1040.0)


def test_effort_is_over_its_burst_and_comes_back_with_time() -> None:
    effort = Effort()
    effort.begin(1000.0)
    assert not effort.is_over(1000.0 + EFFORT_BURST_S)
    assert effort.is_over(1000.1 + EFFORT_BURST_S)
    effort.end(1000.1 + EFFORT_BURST_S)
    effort.begin(1010.0 + EFFORT_BURST_S)
    assert not effort.is_over(1011.0 + EFFORT_BURST_S)
