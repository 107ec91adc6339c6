"""The pack of an hour: what goes in comes out to the catalogue's precision, and no junk gets in."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from fettle_protocol import catalogue, packing
from fettle_protocol.packing import PackError
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def series(draw):
    spec = draw(st.sampled_from(catalogue.ALL))
    values = st.one_of(st.none(), st.floats(max(spec.low, -1e9), min(spec.high, 1e12)))
    return (spec.number, draw(st.text(max_size=20))), draw(st.lists(values, min_size=60, max_size=60))


hours = st.dictionaries(st.text(), series(), max_size=4).map(lambda found: dict(found.values()))


@given(hours)
def test_what_goes_in_comes_out_to_the_catalogues_precision(hour):
    packed = packing.pack(hour)
    packing.check(packed)
    found = {each.key: each for each in packing.unpack(packed, None)}
    assert set(found) == {key for key, values in hour.items() if any(value is not None for value in values)}
    for key, each in found.items():
        precision = 10.0 ** -catalogue.BY_NUMBER[key[0]].decimals
        for was, now in zip(hour[key], each.values, strict=True):
            assert (was is None) == (now is None)
            assert was is None or abs(was - now) <= precision * 0.51


@given(hours)
def test_summaries_agree_with_the_minutes(hour):
    for each in packing.unpack(packing.pack(hour), None):
        present = [value for value in each.values if value is not None]
        assert (each.count, each.lowest, each.highest) == (len(present), min(present), max(present))
        assert each.lowest <= each.mean <= each.highest


@given(hours)
def test_the_quick_summaries_are_the_same(hour):
    packed = packing.pack(hour)
    numbers = {number for number, _ in hour}
    assert packing.summaries(packed, numbers) == packing.unpack(packed)


def test_minutes_are_walked_only_for_what_is_wanted():
    packed = packing.pack({(1, ""): [1.0] * 60, (2, ""): [2.0] * 60})
    assert [len(each.values) for each in packing.unpack(packed, [(2, "")])] == [0, 60]


@given(st.binary(max_size=400))
def test_junk_is_refused_by_the_check_or_can_be_unpacked(junk):
    for packed in (junk, b"\x01" + zlib.compress(junk)):
        with contextlib.suppress(PackError):
            packing.check(packed)
            packing.unpack(packed)


@pytest.mark.parametrize("spoil", [lambda p: p[:-4], lambda p: p + b"x", lambda p: b"\x02" + p[1:], lambda _: b""])
def test_a_spoiled_pack_is_refused(spoil):
    packed = spoil(packing.pack({(1, "a"): [1.0] * 60}))
    for reader in (packing.check, packing.unpack):
        with pytest.raises(PackError):
            reader(packed)


def test_a_bomb_is_refused():
    bomb = b"\x01" + zlib.compress(b"\0" * (packing.MAX_PLAIN_BYTES + 1))
    with pytest.raises(PackError, match="size limit"):
        packing.check(bomb)


@pytest.mark.parametrize(("number", "slots"), [(9999, 60), (1, 59)])
def test_an_unknown_series_or_a_short_hour_cannot_be_packed(number, slots):
    with pytest.raises(PackError):
        packing.pack({(number, ""): [1.0] * slots})


def test_a_quiet_hour_of_twenty_series_takes_little():
    hour = {(number, ""): [50.0 + number % 3] * 60 for number in list(catalogue.BY_NUMBER)[:20]}
    assert len(packing.pack(hour)) < 600
