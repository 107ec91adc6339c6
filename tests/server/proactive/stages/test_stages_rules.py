"""The stages: which one holds a fault back, why, and until when."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from fettle_server.estate.calendars.rules import Exam
from fettle_server.proactive.stages.rules import AGAIN, Facts, Order, Stage, Surroundings, Wider, ask, quiet_for

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)
FACTS = Facts(endpoint_pk=1, school_id=2, room_id=3, rule="disk-full", severity="watch", at=NOW)
PLACE = dataclasses.replace(FACTS, rule="gateway-lost", severity="ill", spread="place", gather=MINUTE)


def order(stage=Stage.WINDOW, start=-HOUR, end=HOUR, **reach):
    return Order(7, stage, "Summer", "re-imaging", ((NOW + start, NOW + end),), **reach)


def wider(opened=-HOUR, resolved=None):
    return Wider(12, "Room R12 is lost", NOW + opened, None if resolved is None else NOW + resolved)


def test_nothing_around_lets_a_fault_be_told():
    assert ask(FACTS, Surroundings(), NOW) is None


@pytest.mark.parametrize("reach", [{}, {"school_id": 2}, {"room_id": 3}, {"endpoint_pk": 1}, {"rule": "disk-full"}])
def test_a_window_holds_what_it_reaches_until_it_ends(reach):
    hold = ask(FACTS, Surroundings(orders=[order(**reach)]), NOW)
    assert (hold.stage, hold.until, hold.order) == (Stage.WINDOW, NOW + HOUR, 7)
    assert hold.reason == "Maintenance window “Summer”: re-imaging"


@pytest.mark.parametrize("reach", [{"school_id": 9}, {"room_id": 9}, {"endpoint_pk": 9}, {"rule": "other"}])
def test_a_window_leaves_alone_what_it_does_not_reach(reach):
    assert ask(FACTS, Surroundings(orders=[order(**reach)]), NOW) is None


def test_a_window_that_is_over_holds_nothing_but_what_fell_into_it():
    over = Surroundings(orders=[order(end=-MINUTE)])
    assert ask(FACTS, over, NOW) is None
    told_late = dataclasses.replace(FACTS, at=NOW - 30 * MINUTE, over_at=NOW - 20 * MINUTE)
    assert ask(told_late, over, NOW).stage is Stage.WINDOW


def test_an_exam_holds_only_what_can_wait():
    around = Surroundings(exam=Exam("GCSE Maths", 3, NOW - HOUR, NOW + HOUR))
    hold = ask(FACTS, around, NOW)
    assert (hold.stage, hold.reason, hold.until) == (Stage.FREEZE, "Exam freeze: GCSE Maths", NOW + HOUR)
    assert ask(dataclasses.replace(FACTS, severity="ill"), around, NOW) is None


def test_the_stages_are_asked_in_their_order():
    around = Surroundings(orders=[order(Stage.SILENCE), order(Stage.WINDOW)], wider=[wider()])
    assert ask(PLACE, around, NOW).stage is Stage.WINDOW
    assert ask(PLACE, dataclasses.replace(around, orders=around.orders[:1]), NOW).stage is Stage.SILENCE
    assert ask(PLACE, dataclasses.replace(around, orders=()), NOW).stage is Stage.PARENT
    assert ask(PLACE, Surroundings(), NOW).stage is Stage.GATHERING


def test_a_fault_is_part_of_an_open_wider_incident():
    hold = ask(PLACE, Surroundings(wider=[wider()]), NOW)
    assert (hold.stage, hold.reason, hold.parent) == (Stage.PARENT, "Part of incident 12: Room R12 is lost", 12)


def test_the_third_opening_in_six_hours_is_flapping():
    twice = [NOW - 2 * HOUR, NOW - HOUR]
    assert ask(FACTS, Surroundings(earlier=twice[:1]), NOW) is None
    assert ask(FACTS, Surroundings(earlier=twice), NOW).stage is Stage.FLAPPING


def test_what_may_have_a_wider_cause_looks_around_before_it_is_called_flapping():
    twice = [NOW - 2 * HOUR, NOW - HOUR]
    assert ask(PLACE, Surroundings(earlier=twice), NOW).stage is Stage.GATHERING
    assert ask(PLACE, Surroundings(earlier=twice, returns=True), NOW).stage is Stage.FLAPPING


def test_what_the_server_judges_waits_for_the_longer_of_the_two_times():
    hold = ask(dataclasses.replace(PLACE, hold_until=NOW + HOUR), Surroundings(), NOW)
    assert (hold.stage, hold.until) == (Stage.GATHERING, NOW + HOUR)


@pytest.mark.parametrize("resolved", [None, -10 * MINUTE])
def test_what_is_over_when_it_is_told_and_fell_into_a_wider_cause_is_late(resolved):
    facts = dataclasses.replace(PLACE, at=NOW - 50 * MINUTE, over_at=NOW - 20 * MINUTE)
    hold = ask(facts, Surroundings(wider=[wider(resolved=resolved)]), NOW)
    assert (hold.stage, hold.parent, hold.until) == (Stage.LATE, 12, None)


def test_what_fell_into_a_wider_cause_and_lasts_is_looked_at_again():
    facts = dataclasses.replace(PLACE, at=NOW - 50 * MINUTE)
    hold = ask(facts, Surroundings(wider=[wider(resolved=-10 * MINUTE)]), NOW)
    assert (hold.stage, hold.until) == (Stage.LATE, NOW + 5 * MINUTE)
    assert ask(facts, Surroundings(wider=[wider(resolved=-10 * MINUTE)]), NOW, AGAIN) is None


def test_a_wider_cause_that_is_long_over_explains_nothing():
    facts = dataclasses.replace(PLACE, at=NOW - 50 * MINUTE)
    assert ask(facts, Surroundings(wider=[wider(resolved=-40 * MINUTE)]), NOW).stage is Stage.GATHERING


def test_a_lost_network_that_came_back_long_ago_is_never_told():
    past = dataclasses.replace(PLACE, at=NOW - 9 * MINUTE, over_at=NOW - 5 * MINUTE)
    assert ask(past, Surroundings(), NOW).stage is Stage.LATE
    assert ask(dataclasses.replace(past, spread=""), Surroundings(), NOW, AGAIN) is None


def test_quiet_is_four_intervals_between_two_and_twenty_four_hours():
    def every(length):
        return [NOW + length * number for number in range(3)]

    assert quiet_for(every(MINUTE)) == 2 * HOUR
    assert quiet_for(every(2 * HOUR)) == 8 * HOUR
    assert quiet_for(every(9 * HOUR)) == 24 * HOUR
    assert quiet_for([]) == 2 * HOUR
