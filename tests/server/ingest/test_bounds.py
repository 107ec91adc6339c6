"""The bounds: every limit on what arrives, and that a checked message says what it said."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib

import pytest
from fettle_protocol import packing
from fettle_protocol.v1 import link_pb2
from fettle_server.ingest import bounds
from fettle_server.ingest.bounds import OutOfBounds
from fettle_server.proactive.rules import Clear, Raise
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_795_000_000_000
DAY = 86_400_000


def event(**fields):
    return link_pb2.Event(sequence=1, at_ms=fields.pop("at_ms", NOW), **fields)


def fault(**fields):
    known = {"rule": "disk-full", "instance": "C:", "severity": "ill", "value": 3.0, "since_ms": NOW - 30_000}
    return link_pb2.FaultRaised(**(known | fields))


@given(st.text(), st.integers(1, 50))
def test_text_keeps_nothing_that_cannot_be_seen(value, limit):
    cleaned = bounds.text(value, limit)
    assert cleaned.isprintable()
    assert len(cleaned) <= limit


def test_text_keeps_every_language():
    assert bounds.text("Büro 3 – школа 学校", 40) == "Büro 3 – школа 学校"


def test_direction_marks_and_line_breaks_do_not_survive():
    assert bounds.text("a\u202eb\nc\0d", 40) == "ab cd"


def test_evidence_of_a_time_or_size_that_cannot_be_is_left_out():
    said = [(2**63 - 1, 1.0), (-(2**63), 1.0), (0, 1.0), (NOW, 1e308), (NOW, float("nan")), (NOW - 5_000, 2.0)]
    samples = [link_pb2.Sample(at_ms=at_ms, value=value) for at_ms, value in said]
    assert bounds.event(event(raised=fault(evidence=samples)), NOW).evidence == [(NOW - 5_000, 2.0)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, -1.0])
def test_what_an_agent_says_it_costs_is_a_number_that_a_page_can_show(value):
    health = link_pb2.AgentHealth(cpu_percent=value, memory_mib=value, collectors=[link_pb2.CollectorHealth(duration_s=value)])
    reported, _, _ = bounds.vitals(link_pb2.Vitals(at_ms=NOW, agent=health), NOW)
    kept = link_pb2.Vitals.FromString(reported.body).agent
    assert (kept.cpu_percent, kept.memory_mib, kept.collectors[0].duration_s) == (0, 0, 0)


@pytest.mark.parametrize(
    "plain",
    [
        b'{"size_bytes":' + b"9" * 4000 + b"}",
        b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"a":"\\ud800"}',
        b'{"a":NaN}',
        b'{"a":1e999}',
    ],
)
def test_an_inventory_that_no_page_could_show_is_refused(plain):
    said = link_pb2.Inventory(section="hardware", digest=hashlib.sha256(plain).hexdigest(), json=zlib.compress(plain))
    with pytest.raises(OutOfBounds, match="inventory"):
        bounds.event(event(inventory=said), NOW)


@pytest.mark.parametrize(
    ("at_ms", "kept"),
    [
        (NOW, (NOW, False)),
        (NOW + 119_000, (NOW + 119_000, False)),
        (NOW + 121_000, (NOW, True)),
        (NOW - 399 * DAY, (NOW - 399 * DAY, False)),
        (NOW - 401 * DAY, (NOW, True)),
        (-(2**63), (NOW, True)),
    ],
)
def test_a_time_that_cannot_be_becomes_the_time_of_receipt(at_ms, kept):
    assert bounds.moment(at_ms, NOW) == kept


def test_a_fault_is_taken_as_it_was_said():
    samples = [link_pb2.Sample(at_ms=NOW - 1000, value=3.5), link_pb2.Sample(at_ms=NOW, value=3.0)]
    said = event(raised=fault(evidence=samples, policy_version=4, detail="winword"))
    expected = Raise(NOW, "disk-full", "C:", "ill", 3.0, NOW - 30_000, [(NOW - 1000, 3.5), (NOW, 3.0)], 4, "winword", False)
    assert bounds.event(said, NOW) == expected


def test_a_wrong_clock_keeps_durations_and_evidence_in_step():
    samples = [link_pb2.Sample(at_ms=5_000, value=3.5)]
    fact = bounds.event(event(at_ms=35_000, raised=fault(since_ms=5_000, evidence=samples)), NOW)
    assert (fact.at_ms, fact.since_ms, fact.adjusted) == (NOW, NOW - 30_000, True)
    assert fact.evidence == [(NOW - 30_000, 3.5)]


def test_a_crossing_after_its_own_event_begins_with_it():
    assert bounds.event(event(raised=fault(since_ms=NOW + 5)), NOW).since_ms == NOW


def test_only_the_newest_sixty_samples_are_kept_and_only_numbers():
    samples = [link_pb2.Sample(at_ms=NOW - 100 + at, value=at) for at in range(100)] + [link_pb2.Sample(value=float("inf"))]
    assert len(bounds.event(event(raised=fault(evidence=samples)), NOW).evidence) == 59


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"rule": ""}, "rule"),
        ({"rule": "Disk Full"}, "rule"),
        ({"rule": "a" * 81}, "rule"),
        ({"rule": "identity-clash"}, "judged by the server"),
        ({"instance": "x" * 201}, "instance"),
        ({"severity": "dead"}, "severity"),
        ({"value": float("nan")}, "not a number"),
        ({"value": float("-inf")}, "not a number"),
        ({"policy_version": 2**63}, "policy version"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_in_words(fields, why):
    with pytest.raises(OutOfBounds, match=why):
        bounds.event(event(raised=fault(**fields)), NOW)


def test_a_clear_that_did_not_recover_has_no_value():
    said = link_pb2.FaultCleared(rule="disk-full", instance="C:", reason="gone", value=float("nan"))
    fact = bounds.event(event(cleared=said), NOW)
    assert isinstance(fact, Clear)
    assert (fact.reason, fact.value) == ("gone", 0.0)


@pytest.mark.parametrize("reason", ["", "reconciled", "settled", "because"])
def test_an_agent_clears_only_for_an_agents_reasons(reason):
    with pytest.raises(OutOfBounds, match="reason"):
        bounds.event(event(cleared=link_pb2.FaultCleared(rule="disk-full", reason=reason)), NOW)


def test_an_event_without_a_body_is_refused():
    with pytest.raises(OutOfBounds, match="nothing that this server knows"):
        bounds.event(event(), NOW)


def test_a_power_change_of_no_kind_is_refused():
    with pytest.raises(OutOfBounds, match="kind"):
        bounds.event(event(power=link_pb2.PowerChange()), NOW)


def test_a_notice_is_cleaned():
    fact = bounds.event(event(notice=link_pb2.Notice(code="spool_shed", subject="a\0b", text="x" * 900)), NOW)
    assert (fact.kind, fact.detail["subject"], len(fact.detail["text"])) == ("spool shed", "ab", 500)


# ---- inventory ----


def inventory(plain: bytes, **fields):
    known = {"section": "hardware", "digest": hashlib.sha256(plain).hexdigest(), "json": zlib.compress(plain)}
    return event(inventory=link_pb2.Inventory(**(known | fields)))


def test_an_inventory_gives_model_and_serial():
    fact = bounds.event(inventory(json.dumps({"maker": "HP", "model": "ProBook\n450", "serial": 7}).encode()), NOW)
    assert (fact.model, fact.serial) == ("HP ProBook 450", "")


def test_an_inventory_bomb_is_refused_before_it_is_unpacked():
    with pytest.raises(OutOfBounds, match="unpacked"):
        bounds.event(inventory(b" " * (5 * 1024 * 1024)), NOW)


@pytest.mark.parametrize(
    ("plain", "fields", "why"),
    [
        (b"{}", {"digest": "0" * 64}, "digest"),
        (b"[]", {}, "object"),
        (b"{", {}, "not JSON"),
        (b"[" * 100_000, {}, "not JSON"),
        (b"{}", {"section": "pupils"}, "section"),
        (b"{}", {"json": b"no zlib"}, "unpacked"),
        (b"{}", {"json": zlib.compress(b"{}")[:-3]}, "cut short"),
        (b"{}", {"json": b"x" * (256 * 1024 + 1)}, "over"),
    ],
)
def test_an_inventory_that_cannot_be_is_refused_in_words(plain, fields, why):
    with pytest.raises(OutOfBounds, match=why):
        bounds.event(inventory(plain, **fields), NOW)


# ---- vitals and history ----


def test_vitals_drop_what_is_out_of_range_and_say_so():
    readings = [link_pb2.Reading(key=1, value=50), link_pb2.Reading(key=1, value=-1), link_pb2.Reading(key=12345, value=1)]
    reported, _, dropped = bounds.vitals(link_pb2.Vitals(at_ms=NOW, readings=readings), NOW)
    assert len(link_pb2.Vitals.FromString(reported.body).readings) == 1
    assert "cpu.busy_percent cannot be -1" in dropped
    assert "12345" in dropped


def test_vitals_over_the_limit_are_cut():
    readings = [link_pb2.Reading(key=20, instance=str(number), value=50) for number in range(600)]
    reported, _, dropped = bounds.vitals(link_pb2.Vitals(at_ms=NOW, readings=readings), NOW)
    assert len(link_pb2.Vitals.FromString(reported.body).readings) == 512
    assert "88 readings over the limit" in dropped


@pytest.mark.parametrize(("spool_events", "in_sync"), [(0, True), (1, False)])
def test_only_an_agent_with_nothing_left_to_tell_disowns_faults(spool_events, in_sync):
    agent = link_pb2.AgentHealth(spool_events=spool_events)
    _, held, _ = bounds.vitals(link_pb2.Vitals(at_ms=NOW, agent=agent), NOW)
    assert (held is not None) is in_sync


def test_an_hour_in_the_far_future_or_past_is_refused():
    pack = packing.pack({(1, ""): [1.0] * 60})
    for hour in (NOW // 3_600_000 + 2, NOW // 3_600_000 - 401 * 24, 0):
        with pytest.raises(OutOfBounds, match="future or over 400 days"):
            bounds.hour(link_pb2.History(hour=hour, pack=pack), NOW)


def test_a_huge_pack_is_refused():
    with pytest.raises(OutOfBounds, match="over"):
        bounds.hour(link_pb2.History(hour=NOW // 3_600_000, pack=b"x" * (packing.MAX_PACK_BYTES + 1)), NOW)


# ---- whatever comes ----


@given(st.binary(max_size=300))
def test_no_bytes_of_a_pack_get_past_as_anything_but_a_pack(junk):
    try:
        bounds.hour(link_pb2.History(hour=NOW // 3_600_000, pack=b"\x01" + junk), NOW)
    except OutOfBounds:
        return
    packing.unpack(b"\x01" + junk)


@given(st.binary(max_size=200))
def test_no_event_raises_anything_but_out_of_bounds(junk):
    with contextlib.suppress(DecodeError, OutOfBounds):
        bounds.event(link_pb2.Event.FromString(junk), NOW)


def test_durations_under_way_are_cleaned_and_bounded():
    pending = [link_pb2.Pending(rule="a\nb", instance="\x07/", since_ms=NOW + 10**9), link_pb2.Pending(since_ms=NOW)]
    pending += [link_pb2.Pending(rule="cpu-busy", instance=str(number), since_ms=NOW - 5) for number in range(100)]
    reported, _, _ = bounds.vitals(link_pb2.Vitals(at_ms=NOW, pending=pending), NOW)
    kept = link_pb2.Vitals.FromString(reported.body).pending
    assert (kept[0].rule, kept[0].instance, kept[0].since_ms) == ("a b", "/", NOW)
    assert (len(kept), kept[1].since_ms) == (63, NOW - 5)
