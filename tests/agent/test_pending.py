"""Countdowns: told soon where somebody could read them, and never so often that a trembling reading costs wire."""

from __future__ import annotations

from fettle_agent.pending import ALLOWED, Countdowns, UnderWay


def under_way(since_ms: int = 0, *, lasts_ms: int = 180_000, instance: str = "", clearing: bool = False) -> UnderWay:
    return UnderWay("cpu-busy", instance, clearing, since_ms, lasts_ms)


def test_long_duration_is_news_once_it_has_settled_until_told() -> None:
    countdowns = Countdowns()
    assert not countdowns.is_news([under_way()], 9_000)
    assert countdowns.is_news([under_way()], 10_000)
    countdowns.tell([under_way()])
    assert not countdowns.is_news([under_way()], 20_000)


def test_short_duration_is_never_news_but_is_told_along() -> None:
    countdowns = Countdowns()
    assert not countdowns.is_news([under_way(lasts_ms=30_000)], 20_000)
    assert countdowns.tell([under_way(lasts_ms=30_000)]) == [under_way(lasts_ms=30_000)]
    assert not countdowns.is_news([], 40_000)


def test_end_of_a_told_duration_is_news() -> None:
    countdowns = Countdowns()
    countdowns.tell([under_way()])
    assert countdowns.is_news([], 20_000)
    countdowns.tell([])
    assert not countdowns.is_news([], 30_000)


def test_trembling_reading_is_told_seldom_all_day() -> None:
    countdowns = Countdowns()
    told = sum(countdowns.may_tell(now_ms) for now_ms in range(1, 86_400_000, 60_000))
    assert told == ALLOWED + 47


def test_those_that_end_first_are_told_where_there_are_too_many() -> None:
    many = [under_way(since_ms=1_000 * number, instance=str(number)) for number in range(99, -1, -1)]
    assert [one.instance for one in Countdowns().tell(many)] == [str(number) for number in range(64)]


def test_time_travels_in_the_servers_clock() -> None:
    packed = under_way(5_000, instance="/", clearing=True).packed(1_000)
    assert (packed.rule, packed.instance, packed.clearing, packed.since_ms) == ("cpu-busy", "/", True, 6_000)
