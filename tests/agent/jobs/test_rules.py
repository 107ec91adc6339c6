"""What an agent obeys, by case tables; and what no order, however made, may get past."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fettle_agent.jobs import rules
from fettle_agent.jobs.rules import Before, Facts, Keys, Me, Offered, Refuse, Run, Wait
from fettle_protocol import manifests, signing
from fettle_protocol.manifests import Hours, Manifest, Needs, Target
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_800_000_000_000
HOUR = 3_600_000
KEY, STRANGER = signing.new_key(), signing.new_key()
PUBLIC = signing.public_bytes(KEY)
ID = signing.key_id(PUBLIC)
ME = Me("0" * 32, "Bow Primary", "linux")
KEYS = Keys({ID: PUBLIC})
GOOD = Manifest(
    "work",
    "a" * 32,
    serial=7,
    not_before_ms=NOW - HOUR,
    expires_ms=NOW + HOUR,
    title="Work",
    target=Target((ME.endpoint_id,)),
    steps=({"kind": "collect diagnostics"},),
)


def offered(manifest: Manifest = GOOD, signer: Any = KEY, **changes: Any) -> Offered:
    body = manifests.encode(manifest)
    return replace(Offered("1" * 32, body, signing.sign(signer, body), ID), **changes)


NEVER, FACTS = Before(), Facts(NOW)


def decided(manifest: Manifest = GOOD, keys: Keys = KEYS, before: Before = NEVER, facts: Facts = FACTS, **job: Any) -> Any:
    handed = offered(manifest, **job)
    read = rules.read(handed, keys)
    return read if isinstance(read, Refuse) else rules.decide(read, handed, keys, before, ME, facts)


def test_good_order_runs() -> None:
    assert decided() == Run(GOOD)


@pytest.mark.parametrize(
    ("handed", "keys", "why"),
    [
        (offered(), Keys(), "trusts no signer"),
        (offered(signer=STRANGER), KEYS, "does not belong to this order"),
        (offered(signature=b""), KEYS, "does not belong to this order"),
        (Offered("1" * 32, b"fettle manifest 1\n{}", b"", "f" * 16), KEYS, "does not trust"),
        (offered(), replace(KEYS, retired=frozenset({ID})), "retired"),
        (Offered("1" * 32, b"#!/bin/sh\n", b"", ID), KEYS, "not in a form"),
        (Offered("1" * 32, manifests.HEADER + b"x" * manifests.MAX_BYTES, b"", ID), KEYS, "larger than"),
        (
            Offered("1" * 32, manifests.HEADER + b"[]", signing.sign(KEY, manifests.HEADER + b"[]"), ID),
            KEYS,
            "signed but cannot be followed",
        ),
    ],
)
def test_order_that_no_trusted_key_signed_is_refused(handed: Offered, keys: Keys, why: str) -> None:
    read = rules.read(handed, keys)
    assert isinstance(read, Refuse)
    assert why in read.why


@pytest.mark.parametrize(
    ("manifest", "keys", "before", "why"),
    [
        (replace(GOOD, target=Target(("b" * 32,))), KEYS, Before(), "other PCs"),
        (replace(GOOD, target=Target(schools=("Stow School",))), KEYS, Before(), "other PCs"),
        (replace(GOOD, target=Target(schools=("Bow Primary",), systems=("windows",))), KEYS, Before(), "other PCs"),
        (replace(GOOD, expires_ms=NOW), KEYS, Before(), "expired"),
        (GOOD, replace(KEYS, floors={ID: 8}), Before(), "withdrawn"),
        (GOOD, KEYS, Before(done=True), "done this order already"),
        (GOOD, KEYS, Before(attempts=3), "as often as it may"),
        (GOOD, KEYS, Before(begun_once=(2,)), "Step 2 may be begun once only"),
    ],
)
def test_signed_order_that_may_not_run_here_is_refused(manifest: Manifest, keys: Keys, before: Before, why: str) -> None:
    found = decided(manifest, keys, before)
    assert isinstance(found, Refuse)
    assert why in found.why


NIGHT = (Hours((0, 1, 2, 3, 4), 22 * 60, 5 * 60),)


@pytest.mark.parametrize(
    ("manifest", "facts", "job", "until", "why"),
    [
        (replace(GOOD, not_before_ms=NOW + 5), Facts(NOW), {}, NOW + 5, "time has not come"),
        (GOOD, Facts(NOW), {"start_ms": NOW + 9}, NOW + 9, "time has not come"),
        (GOOD, Facts(NOW), {"until_ms": NOW}, GOOD.expires_ms, "window is over"),
        (replace(GOOD, hours=NIGHT), Facts(NOW, weekday=2, minute=9 * 60), {}, NOW + 13 * HOUR, "other hours"),
        (replace(GOOD, hours=NIGHT), Facts(NOW, weekday=5, minute=6 * 60), {}, NOW + 64 * HOUR, "other hours"),
        (GOOD, Facts(NOW, clock_gap_ms=-90_000_000), {}, NOW + 60_000, "set the PC's clock"),
        (GOOD, Facts(NOW, free_bytes=1), {}, NOW + 60_000, "0.5 GB must be free"),
        (replace(GOOD, needs=Needs(0, 40)), Facts(NOW, charge_percent=39.0), {}, NOW + 60_000, "plug it in"),
    ],
)
def test_order_waits_and_says_why(manifest: Manifest, facts: Facts, job: dict[str, int], until: int, why: str) -> None:
    found = decided(manifest, facts=facts, **job)
    assert isinstance(found, Wait)
    assert why in found.why
    assert found.until_ms == until


def test_span_over_midnight_is_open_on_the_next_morning() -> None:
    assert rules.until_hours(NIGHT, 5, 4 * 60) == 0
    assert rules.until_hours(NIGHT, 0, 4 * 60) == 18 * 60
    assert rules.until_hours((), 0, 0) == 0


@given(st.binary(min_size=0, max_size=400), st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_and_no_made_up_order_is_ever_read(noise: bytes, place: int, flip: int) -> None:
    handed = offered()
    body = bytearray(handed.manifest)
    body[place % len(body)] ^= flip
    for one in (
        replace(handed, manifest=bytes(body)),
        replace(handed, manifest=manifests.HEADER + noise),
        replace(handed, signature=noise),
    ):
        assert isinstance(rules.read(one, KEYS), Refuse)


@given(
    serial=st.integers(1, 20),
    floor=st.integers(0, 20),
    now_ms=st.integers(NOW - 3 * HOUR, NOW + 3 * HOUR),
    gap_ms=st.integers(-2 * 86_400_000, 2 * 86_400_000),
    start_ms=st.integers(NOW - 3 * HOUR, NOW + 3 * HOUR),
    mine=st.booleans(),
    before=st.builds(Before, st.booleans(), st.integers(0, 4), st.sampled_from([(), (1,)])),
    signer=st.sampled_from([KEY, STRANGER]),
)
def test_nothing_runs_that_is_not_signed_for_this_pc_now_and_new(
    serial: int, floor: int, now_ms: int, gap_ms: int, start_ms: int, mine: bool, before: Before, signer: Any
) -> None:
    manifest = replace(GOOD, serial=serial, target=GOOD.target if mine else Target(("b" * 32,)))
    facts = Facts(now_ms, clock_gap_ms=gap_ms)
    found = decided(manifest, replace(KEYS, floors={ID: floor}), before, facts, signer=signer, start_ms=start_ms)
    runs = (
        signer is KEY
        and mine
        and serial >= floor
        and not (before.done or before.attempts >= 3 or before.begun_once)
        and max(GOOD.not_before_ms, start_ms) <= now_ms < GOOD.expires_ms
        and abs(gap_ms) <= rules.MAX_CLOCK_GAP_MS
    )
    assert isinstance(found, Run) is runs


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=10))
def test_a_floor_once_heard_is_never_forgotten(said: list[tuple[int, int]]) -> None:
    keys = KEYS
    for serial, floor in said:
        keys = rules.heard(keys, ID, replace(GOOD, serial=serial, floor=floor))
    assert keys.floors.get(ID, 0) == max((floor for _, floor in said), default=0)
    assert rules.forgot(keys).floors.get(ID, 0) > max((serial for serial, _ in said), default=-1)


@given(st.lists(st.tuples(st.sets(st.integers(1, 4)), st.sets(st.integers(0, 4))), max_size=6))
def test_no_order_leaves_the_pc_without_a_key_or_brings_a_retired_one_back(orders: list[tuple[set[int], set[int]]]) -> None:
    publics = [PUBLIC, *(bytes([number]) * 32 for number in range(1, 5))]
    keys = KEYS
    for add, retire in orders:
        manifest = replace(
            GOOD,
            kind="keys",
            steps=(),
            add=tuple(publics[number].hex() for number in add),
            retire=tuple(signing.key_id(publics[number]) for number in retire),
        )
        turned = rules.turned(keys, manifest)
        if isinstance(turned, Keys):
            assert keys.retired <= turned.retired
            keys = turned
        assert keys.public
        assert not set(keys.public) & keys.retired
