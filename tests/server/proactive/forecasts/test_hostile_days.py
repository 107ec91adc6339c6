"""Packs that no honest agent makes: they are worth nothing, and cost no other endpoint its night."""

from __future__ import annotations

import zlib

import pytest
from fettle_protocol import catalogue, packing
from fettle_server.proactive.forecasts.days import fold

CPU = catalogue.BY_KEY["cpu.busy_percent"].number


def pack(instance=b"", count=1):
    """An hour of one series; its numbers are all below 128, so that each is one byte."""
    directory = bytes([1, CPU, len(instance)]) + instance + bytes([0, count, 2, 2, 2, 8])
    packed = b"\1" + zlib.compress(directory + bytes(8))
    packing.check(packed)
    return packed


@pytest.mark.parametrize("hostile", [pack(count=0), pack(b"C\0")])
def test_a_series_that_cannot_be_is_left_out_of_the_day(hostile):
    assert fold([hostile, hostile]) == {}
    assert list(fold([hostile, pack()])) == [(CPU, "")]
