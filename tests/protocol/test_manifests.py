"""Manifests: what goes in comes out, and what may not be is refused by name, never by a crash."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from fettle_protocol.manifests import HEADER, Manifest, ManifestError, Target, decode, encode
from hypothesis import given
from hypothesis import strategies as st

GOOD = Manifest(
    kind="work",
    id="a" * 32,
    serial=7,
    not_before_ms=1000,
    expires_ms=2000,
    title="Player 1.1",
    target=Target(schools=("Bow Primary",)),
    steps=({"kind": "upgrade", "provider": "apt", "packages": [{"name": "player", "version": "1.1"}]},),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


def said(**fields: Any) -> bytes:
    document = json.loads(encode(GOOD)[len(HEADER) :]) | fields
    return HEADER + json.dumps(document).encode()


def test_what_is_encoded_is_what_is_read():
    assert decode(encode(GOOD)) == GOOD


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": ["work"]},
        {"people": {"reboots": ["never"], "warn_s": 1, "deferrals": 1, "defer_s": 1}},
        {"steps": [{"kind": ["reboot"]}]},
        {"steps": [{"kind": "reboot", "packages": ["x"]}]},
        {"steps": [{"kind": "shell", "words": "rm"}]},
        {"title": "\ud800"},
        {"expires_ms": 500},
        {"floor": 8},
        {"serial": 0},
        {"serial": True},
        {"unknown": 1},
    ],
)
def test_what_may_not_be_is_refused(fields):
    with pytest.raises(ManifestError):
        decode(said(**fields))


@given(st.sampled_from(sorted(json.loads(encode(GOOD)[len(HEADER) :]))), JSON)
def test_no_value_of_any_field_crashes_the_reader(field, value):
    with contextlib.suppress(ManifestError):
        decode(said(**{field: value}))


def test_a_manifest_beyond_its_bounds_is_never_made():
    with pytest.raises(ManifestError, match="serial"):
        encode(replace(GOOD, serial=-1))
