"""The writer: what is taken, and that nothing is lost or counted twice. Who is let in is in test_knocking.py."""

from __future__ import annotations

import hashlib
import json
import zlib

import pytest
import sqlalchemy as sa
from fettle_protocol import packing, policy
from fettle_protocol.policy import EndpointClass
from fettle_protocol.v1 import link_pb2
from fettle_server import clock
from fettle_server.change.patches import actions as patches
from fettle_server.estate import history
from fettle_server.estate.endpoints.facts import Stocktake
from fettle_server.estate.tables import Endpoint, EndpointEvent, Inventory, Vitals, Watch
from fettle_server.ingest import commit, pace
from fettle_server.ingest.messages import Answer, Arrived, Attached, Clashed, Detached, Refused
from fettle_server.ingest.pieces import Piece
from fettle_server.proactive.actions import publish, settle_clashes
from fettle_server.proactive.policies import shipped
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import Incident

from tests.server.ingest.conftest import downlink, row


def count(store, model):
    return store.value(sa.select(sa.func.count()).select_from(model))


def news(line, stream):
    """What the stream is told when the writer next looks for policies and classes."""
    line.writer._policy_read_s = -10.0
    return [downlink(answer) for answer in line.writer.idle() if getattr(answer, "stream", 0) == stream]


# ---- nothing lost, nothing twice ----


def test_an_event_is_acknowledged_and_stored(store, line, tell):
    stream = line.attach(store.endpoint())
    assert line.events(stream, tell.raised()).ack.events == 1
    assert count(store, Fault) == 1


def test_the_same_batch_twice_is_taken_once(store, line, tell):
    stream = line.attach(store.endpoint())
    uplink = link_pb2.Uplink(events=line.number(stream, tell.raised(), tell.cleared(), tell.raised()))
    line.say(stream, uplink)
    assert line.say(stream, uplink).ack.events == 3
    assert count(store, Fault) == 2
    assert count(store, Incident) == 1


def test_a_crash_between_commit_and_acknowledgement_doubles_nothing(store, line, tell):
    pk = store.endpoint()
    stream = line.attach(pk)
    uplink = link_pb2.Uplink(events=line.number(stream, power(), power()))
    line.say(stream, uplink)
    line.restart()
    stream, answer = line.knock(pk)
    assert downlink(answer).welcome.events_acked == 2
    line.writer.take([Attached(stream)])
    assert line.say(stream, uplink).ack.events == 2
    assert count(store, EndpointEvent) == 2


def test_events_before_and_after_attaching_in_one_batch_are_all_marked(store, line):
    pk = store.endpoint()
    first = line.attach(pk)
    second, _ = line.knock(pk)
    body = link_pb2.Uplink(events=line.number(first, power(), power())).SerializeToString()
    line.writer.take([Arrived(first, clock.now_ms(), body), Detached(first, clock.now_ms(), True), Attached(second)])
    assert row(store, pk, Endpoint.last_sequence, Endpoint.connected) == (2, True)


def test_a_new_spool_counts_from_one_again(store, line):
    pk = store.endpoint()
    line.events(line.attach(pk), power(), power(), power())
    stream, answer = line.knock(pk, spool="s2")
    assert downlink(answer).welcome.events_acked == 0
    line.writer.take([Attached(stream)])
    said = power()
    said.sequence, said.at_ms = 1, clock.now_ms()
    assert line.say(stream, link_pb2.Uplink(events=[said])).ack.events == 1
    assert row(store, pk, Endpoint.last_sequence, Endpoint.spool) == (1, "s2")
    assert count(store, EndpointEvent) == 4


def test_a_clone_that_only_knocks_does_not_touch_the_spool(store, line):
    pk = store.endpoint()
    stream = line.attach(pk)
    line.events(stream, power())
    line.knock(pk, spool="s2", instance="i2")
    assert line.events(stream, power()).ack.events == 2


def power():
    return link_pb2.Event(power=link_pb2.PowerChange(kind=link_pb2.PowerChange.KIND_BOOTED))


# ---- what cannot be taken ----


def test_bytes_that_are_no_message_are_rejected_and_the_stream_goes_on(store, line):
    stream = line.attach(store.endpoint())
    assert line.say(stream, b"\xff\xff\xff").rejected[0].sequence == 0
    assert line.events(stream, power()).ack.events == 1


def test_a_bad_event_is_rejected_and_its_neighbours_are_taken(store, line):
    stream = line.attach(store.endpoint())
    bad = link_pb2.Event(raised=link_pb2.FaultRaised(rule="disk-full", severity="terrible"))
    down = line.events(stream, power(), bad, power())
    assert down.ack.events == 3
    assert [(r.sequence, "severity" in r.reason) for r in down.rejected] == [(2, True)]
    assert count(store, EndpointEvent) == 2


def test_an_event_that_the_store_cannot_hold_costs_only_itself(store, line, tell, monkeypatch):
    """Bounds let nothing such through, so the store is made to choke on one rule."""
    from fettle_server.proactive import detection

    whole = detection.standing

    def choking(known, rule, instance, endpoint):
        if rule == "poison":
            raise OverflowError
        return whole(known, rule, instance, endpoint)

    monkeypatch.setattr(detection, "standing", choking)
    streams = [line.attach(store.endpoint()) for _ in range(5)]
    said = [(s, link_pb2.Uplink(events=line.number(s, power(), tell.raised()))) for s in streams]
    said[2] = (streams[2], link_pb2.Uplink(events=line.number(streams[2], tell.raised("poison"), tell.raised("dns-lost", ""))))
    heard = line.say_all(said)
    assert [[r.sequence for r in heard[s].rejected] for s in streams] == [[], [], [3], [], []]
    assert heard[streams[2]].ack.events == 4
    assert count(store, Fault) == 5
    assert row(store, line.pks[streams[2]], Endpoint.last_sequence)[0] == 4


def test_a_mistake_of_ours_in_reading_costs_one_message_only(store, line, monkeypatch):
    from fettle_server.ingest import bounds

    def mistaken(*_):
        raise KeyError

    monkeypatch.setitem(bounds._EVENTS, "notice", mistaken)
    stream = line.attach(store.endpoint())
    down = line.events(stream, power(), link_pb2.Event(notice=link_pb2.Notice(code="spool_shed")), power())
    assert ([r.sequence for r in down.rejected], down.ack.events) == ([2], 3)


def test_a_store_that_cannot_be_read_turns_knocks_away_for_now(store, line, monkeypatch):
    def lost(*_):
        raise sa.exc.OperationalError("SELECT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(line.writer._register, "admit", lost)
    _, answer = line.knock(store.endpoint())
    assert downlink(answer).refusal.code == "busy"


def test_nothing_is_acknowledged_until_a_locked_store_is_free(store, line, monkeypatch):
    stream = line.attach(store.endpoint())
    commit, tries = line.writer._committer._commit, []

    def locked_twice(pieces):
        tries.append(len(pieces))
        if len(tries) < 3:
            raise sa.exc.OperationalError("INSERT", {}, Exception("database is locked"))
        commit(pieces)

    monkeypatch.setattr(line.writer._committer, "_commit", locked_twice)
    assert line.events(stream, power()).ack.events == 1
    assert tries == [1, 1, 1]
    assert count(store, EndpointEvent) == 1


def test_readings_out_of_range_are_dropped_and_the_rest_is_kept(store, line):
    stream = line.attach(store.endpoint())
    readings = [
        link_pb2.Reading(key=1, value=40),
        link_pb2.Reading(key=1, value=400),
        link_pb2.Reading(key=9999, value=1),
        link_pb2.Reading(key=2, value=float("nan")),
    ]
    down = line.say(stream, link_pb2.Uplink(vitals=link_pb2.Vitals(at_ms=clock.now_ms(), readings=readings)))
    assert "cpu.busy_percent cannot be 400" in down.rejected[0].reason
    body = link_pb2.Vitals.FromString(store.value(sa.select(Vitals.body)))
    assert [reading.value for reading in body.readings] == [40]


# ---- vitals, live, history, inventory ----


def test_the_newest_vitals_win(store, line):
    stream = line.attach(store.endpoint())
    for value in (10, 20):
        vitals = link_pb2.Vitals(at_ms=clock.now_ms(), readings=[link_pb2.Reading(key=1, value=value)])
        line.say(stream, link_pb2.Uplink(vitals=vitals))
    (body,) = [link_pb2.Vitals.FromString(body) for (body,) in store.rows(sa.select(Vitals.body))]
    assert body.readings[0].value == 20


def test_a_live_second_is_kept_only_while_somebody_looks(store, line, now):
    pk, unseen = store.endpoint(), store.endpoint()
    with store.begin() as tx:
        tx.execute(sa.insert(Watch).values(endpoint_pk=pk, until=now))
    live = link_pb2.Live(at_ms=clock.now_ms(), readings=[link_pb2.Reading(key=1, value=10)])
    for endpoint in (pk, unseen):
        line.say(line.attach(endpoint), link_pb2.Uplink(live=live))
    assert [(watched, live is not None) for watched, live in store.rows(sa.select(Watch.endpoint_pk, Watch.live))] == [
        (pk, True)
    ]


def test_an_hour_in_progress_replaces_itself_and_a_final_one_is_acknowledged(store, line):
    pk = store.endpoint()
    stream, hour = line.attach(pk), clock.now_ms() // 3_600_000
    for value in (10.0, 20.0):
        pack = packing.pack({(1, ""): [value] + [None] * 59})
        line.say(stream, link_pb2.Uplink(history=[link_pb2.History(hour=hour, pack=pack)]))
    down = line.say(stream, link_pb2.Uplink(history=[link_pb2.History(hour=hour, pack=pack, final=True, sequence=1)]))
    assert down.ack.history == 1
    with store.begin() as tx:
        (kept,) = history.read(tx, pk, hour - 3, hour)
    assert packing.unpack(kept.pack)[0].mean == 20
    assert row(store, pk, Endpoint.last_history)[0] == 1


def test_history_that_is_no_pack_is_rejected(store, line):
    stream = line.attach(store.endpoint())
    hour = clock.now_ms() // 3_600_000
    down = line.say(stream, link_pb2.Uplink(history=[link_pb2.History(hour=hour, pack=b"\x01junk", sequence=1)]))
    assert down.ack.history == 1
    assert "cannot be read" in down.rejected[0].reason


def test_an_inventory_fills_the_endpoints_row_and_is_skipped_when_known(store, line):
    pk = store.endpoint()
    stream = line.attach(pk)
    plain = json.dumps({"maker": "Dell Inc.", "model": "OptiPlex 7090", "serial": "ABC1234"}).encode()
    said = link_pb2.Inventory(section="hardware", digest=hashlib.sha256(plain).hexdigest(), json=zlib.compress(plain))
    for _ in range(2):
        line.events(stream, link_pb2.Event(inventory=said))
    model, serial, search = row(store, pk, Endpoint.model, Endpoint.serial, Endpoint.search)
    assert (model, serial) == ("Dell Inc. OptiPlex 7090", "ABC1234")
    assert "abc1234" in search
    assert count(store, Inventory) == 1
    assert store.rows(sa.select(EndpointEvent.kind)) == [("inventory changed",)]


def test_a_new_policy_is_pushed_to_everybody_connected(store, line, now):
    stream = line.attach(store.endpoint())
    with store.begin() as tx:
        publish(tx, shipped(), "user:ada", now)
    (pushed,) = news(line, stream)
    assert pushed.policy.version == 2
    assert news(line, stream) == []


def test_a_stream_that_attaches_while_a_policy_is_published_gets_it(store, line, now):
    stream, _ = line.knock(store.endpoint())
    with store.begin() as tx:
        publish(tx, shipped(), "user:ada", now)
    assert news(line, stream) == []
    pushed = [answer for answer in line.writer.take([Attached(stream)]) if getattr(answer, "stream", 0) == stream]
    assert downlink(pushed[-1]).policy.version == 2


def test_an_endpoint_of_another_class_gets_the_rules_of_that_class(store, line, now):
    pk = store.endpoint()
    stream = line.attach(pk)
    with store.begin() as tx:
        tx.execute(sa.update(Endpoint).values(endpoint_class="staff laptop", classed_at=clock.utc_now()))
    (pushed,) = news(line, stream)
    assert policy.decode(pushed.policy.json) == policy.for_agents(shipped(1), EndpointClass.STAFF_LAPTOP)
    assert news(line, stream) == []


def test_an_endpoint_holds_the_version_that_it_says_it_judges_by(store, line):
    pk = store.endpoint()
    stream = line.attach(pk)
    assert row(store, pk, Endpoint.policy_version) == (0,)
    line.say(stream, link_pb2.Uplink(vitals=link_pb2.Vitals(at_ms=clock.now_ms(), policy_version=1)))
    assert row(store, pk, Endpoint.policy_version) == (1,)


def test_an_agent_with_another_policy_of_the_same_number_holds_none_that_counts(store, line):
    pk = store.endpoint()
    line.attach(pk, policy_version=1, policy_digest=7)
    assert row(store, pk, Endpoint.policy_version) == (0,)


# ---- clashes ----


def test_a_clash_is_an_incident_that_settles_after_a_quiet_hour(store, line, now):
    pk = store.endpoint(name="pc-lab-1")
    line.attach(pk, machine={"hostname": "pc-lab-1", "os": "linux"})
    line.writer.take([Clashed(pk, "192.0.2.9", clock.now_ms())] * 2)
    assert store.rows(sa.select(Incident.title, Incident.state)) == [("Two machines use the identity of pc-lab-1", "new")]
    with store.begin() as tx:
        assert settle_clashes(tx, clock.utc_now()) == 0
    with store.begin() as tx:
        later = clock.utc_now().replace(year=2030)
        assert settle_clashes(tx, later) == 1
    assert store.value(sa.select(Incident.state)) == "resolved"


def test_messages_that_cost_too_much_end_their_stream_and_lose_nothing(store, line, monkeypatch):
    pk = store.endpoint()
    stream = line.attach(pk)
    said = line.number(stream, *(link_pb2.Event(power=link_pb2.PowerChange(kind=1)) for _ in range(40)))
    monkeypatch.setattr(pace, "EFFORT_BURST_S", 0.0)
    bodies = [link_pb2.Uplink(events=part).SerializeToString() for part in (said, said[-1:])]
    first, later = (Arrived(stream, clock.now_ms(), body) for body in bodies)
    answers = [answer for answer in line.writer.take([first, later]) if isinstance(answer, Answer | Refused)]
    assert [type(answer) for answer in answers] == [Answer, Refused]
    assert link_pb2.Downlink.FromString(answers[1].downlink).refusal.retry_after_s == 60
    line.detach(stream)
    monkeypatch.undo()
    again = line.attach(pk)
    acked = link_pb2.Downlink.FromString(answers[0].downlink).ack.events
    assert 0 < acked < 40
    line.say(again, link_pb2.Uplink(events=said[acked:]))
    assert store.value(sa.select(sa.func.count()).select_from(EndpointEvent)) == 40


def test_many_looks_at_updates_are_stored_piece_by_piece_and_acknowledged_together(store, line, monkeypatch):
    monkeypatch.setattr(commit, "LOOKS_LIMIT", 2)
    sizes = []
    take = patches.take
    monkeypatch.setattr(patches, "take", lambda tx, looks, now: (sizes.append(len(looks)), take(tx, looks, now)))
    pks = [store.endpoint() for _ in range(5)]
    reading = []
    for number, pk in enumerate(pks):
        body = zlib.compress(json.dumps({"reboot_pending": None, "providers": [], "offers": []}).encode())
        reading.append(Piece(pk, number, 1000, 1, 0, Stocktake(1000, "updates", "d", body, "", "")))
    line.writer._committer.settle(reading, lambda piece: pytest.fail("refused"))
    assert sizes == [2, 2, 1]
    assert store.rows(sa.select(Inventory.endpoint_pk).order_by(Inventory.endpoint_pk)) == [(pk,) for pk in pks]
