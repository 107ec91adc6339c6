"""Rings: the same for everybody who asks, spread over models, builds and schools, and sensible for six PCs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from fettle_server.change.rollouts.places import Candidate, assign, fraction, late, spread
from fettle_server.change.rollouts.plans import DEFAULT_RINGS, RingPlan
from hypothesis import given
from hypothesis import strategies as st


def pc(number, model="M", build="B", school=1, endpoint_class="fixed suite", room=None):
    return Candidate(number, f"{number:032x}", school, room, endpoint_class, model, build)


estates = st.lists(
    st.builds(
        pc,
        st.integers(0, 2**40),
        st.sampled_from("MNO"),
        st.sampled_from("BC"),
        st.integers(1, 4),
        st.sampled_from(["fixed suite", "server", "staff laptop"]),
    ),
    unique_by=lambda one: one.pk,
    max_size=120,
)


def sizes(rings, found):
    counted = Counter(found.values())
    return [counted[number] for number in range(len(rings))]


@pytest.mark.parametrize(
    ("many", "expected"),
    [(0, [0, 0, 0, 0]), (1, [1, 0, 0, 0]), (2, [1, 1, 0, 0]), (6, [1, 2, 0, 3]), (30, [1, 2, 5, 22]), (400, [4, 16, 80, 300])],
)
def test_small_rollouts_get_sensible_rings(many, expected):
    assert sizes(DEFAULT_RINGS, assign(DEFAULT_RINGS, [pc(number) for number in range(many)], {})) == expected


def test_a_large_estate_has_a_small_bench():
    found = assign(DEFAULT_RINGS, [pc(number, school=number % 100) for number in range(5000)], {})
    assert sizes(DEFAULT_RINGS, found) == [10, 240, 1000, 3750]


@given(estates, st.randoms())
def test_a_place_does_not_depend_on_the_order_of_joining(estate, random):
    shuffled = list(estate)
    random.shuffle(shuffled)
    found = assign(DEFAULT_RINGS, estate, {})
    assert found == assign(DEFAULT_RINGS, shuffled, {})
    assert set(found) == {one.pk for one in estate}


@given(estates)
def test_every_beginning_of_the_order_has_its_share_of_each_model(estate):
    order = spread(estate)
    whole = Counter(one.model for one in order)
    seen = Counter()
    for place, one in enumerate(order, 1):
        seen[one.model] += 1
        assert all(abs(seen[model] - count * place / len(order)) < len(whole) + 1 for model, count in whole.items())


@given(estates, st.sampled_from(range(0, 101, 5)), st.sampled_from(range(0, 101, 5)))
def test_a_larger_share_takes_nobody_out(estate, first, second):
    small, large = sorted((first, second))
    everybody = [replace(one, endpoint_class="fixed suite") for one in estate]

    def early(share):
        rings = (RingPlan("pilot room", share), RingPlan("all", 100))
        return {pk for pk, ring in assign(rings, everybody, {}).items() if ring == 0}

    assert early(small) <= early(large)


@given(estates)
def test_within_a_model_build_and_school_the_order_is_that_of_the_hash_alone(estate):
    alike = [one for one in spread(estate) if (one.model, one.build, one.school_id) == ("M", "B", 1)]
    assert [one.id for one in alike] == sorted((one.id for one in alike), key=lambda text: (fraction(text), text))


def test_the_pilot_meets_every_common_model_and_build():
    estate = [pc(n, model=f"M{n % 5}", build=f"B{n % 3}", school=n % 20) for n in range(3000)]
    found = assign(DEFAULT_RINGS, estate, {})
    pilot = [one for one in estate if found[one.pk] == 1]
    assert len({(one.model, one.build) for one in pilot}) == 15
    assert len({one.school_id for one in pilot}) == 20


def test_servers_and_staff_laptops_wait_unless_they_are_chosen_or_alone():
    estate = [pc(n, endpoint_class="server") for n in range(20)] + [pc(n) for n in range(100, 120)]
    found = assign(DEFAULT_RINGS, estate, {3: "Bench"})
    early = {pk for pk, ring in found.items() if ring < 2}
    assert 3 in early
    assert early - {3} <= {one.pk for one in estate if one.endpoint_class == "fixed suite"}
    assert found[3] == 0
    assert sizes(DEFAULT_RINGS, assign(DEFAULT_RINGS, estate[:20], {}))[0] == 1


@given(st.integers(0, 2**64), st.integers(0, 3))
def test_a_late_joiner_never_enters_a_ring_that_has_passed(number, current):
    assert late(DEFAULT_RINGS, f"{number:032x}", current) >= current
    assert late(DEFAULT_RINGS, f"{number:032x}", 0) <= late(DEFAULT_RINGS, f"{number:032x}", current)
    assert late(DEFAULT_RINGS, f"{number:032x}", current, "bench") == current
