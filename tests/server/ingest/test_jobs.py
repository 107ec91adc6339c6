"""Signed work over the edge: what agents say of jobs reaches them once, and each stream is handed what it is owed once."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
import zlib
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_protocol import signing
from fettle_protocol.v1 import link_pb2
from fettle_server import clock
from fettle_server.change.jobs import actions
from fettle_server.change.jobs.tables import Job, JobEntry
from fettle_server.change.manifests import actions as manifests
from fettle_server.change.manifests import queries as manifest_queries
from fettle_server.change.patches.tables import PatchScan
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.ingest import bounds
from fettle_server.ingest.cleaning import OutOfBounds
from fettle_server.ingest.handing_out import HandingOut
from fettle_server.ingest.streams import Streams
from hypothesis import given
from hypothesis import strategies as st

from tests.server.change.test_manifests import change_of, key_of, wanted

State = link_pb2.JobReport
HOUR = dt.timedelta(hours=1)
UID = "0123456789abcdef" * 2


def told(job: str, state: Any, **fields: Any) -> link_pb2.Event:
    return link_pb2.Event(job=link_pb2.JobReport(job=job, state=state, **fields))


def jobs_for(store: Any, pks: list[int]) -> dict[int, str]:
    """Released jobs of one signed manifest; their uids by endpoint."""
    now, school = clock.utc_now(), store.school()
    with store.begin() as tx:
        key = key_of(tx)
        manifest = manifests.prepare(tx, wanted(change_of(tx), not_before=now, expires=now + 100 * HOUR), now)
        manifests.bring_signature(tx, SYSTEM, manifest, signing.sign(key, manifest_queries.body_of(tx, manifest)), now)
        made = actions.create(tx, manifest, [(pk, school) for pk in pks], 4, now + 99 * HOUR, False, now)
        actions.release(tx, list(made.values()), now, now + HOUR, False, now)
        return {pk: tx.scalar(sa.select(Job.uid).where(Job.id == number)) for pk, number in made.items()}


def test_reports_reach_their_job_once_however_often_they_come(store: Any, line: Any) -> None:
    pk = store.endpoint()
    uid = jobs_for(store, [pk])[pk]
    stream = line.attach(pk)
    result = zlib.compress(json.dumps({"packages": {"nano": ["6", "7"]}}).encode())
    said = link_pb2.Uplink(
        events=line.number(
            stream, told(uid, State.STATE_RECEIVED), told(uid, State.STATE_STARTED), told(uid, State.STATE_DONE, result=result)
        )
    )
    line.say(stream, said)
    line.restart()
    again = line.attach(pk)
    line.say(again, said)
    row = store.rows(sa.select(Job.state, Job.result))[0]
    assert (row.state, row.result) == ("done", {"packages": {"nano": ["6", "7"]}})
    assert store.value(sa.select(sa.func.count()).select_from(JobEntry)) == 3


def test_a_look_at_updates_is_taken_in_with_the_inventory(store: Any, line: Any) -> None:
    pk = store.endpoint()
    plain = json.dumps({"reboot_pending": True, "providers": [], "offers": []}).encode()
    digest = hashlib.sha256(plain).hexdigest()
    inventory = link_pb2.Inventory(section="updates", digest=digest, json=zlib.compress(plain))
    stream = line.attach(pk)
    line.events(stream, link_pb2.Event(inventory=inventory))
    assert store.rows(sa.select(PatchScan.endpoint_pk, PatchScan.reboot_pending)) == [(pk, True)]


BAD = {
    "no state": {},
    "another id": {"job": "../etc", "state": State.STATE_DONE},
    "step": {"state": State.STATE_STEP_DONE, "step": 21},
    "percent": {"state": State.STATE_PROGRESS, "percent": 101},
    "kind": {"state": State.STATE_STEP_DONE, "kind": "rm -rf"},
    "bomb": {"state": State.STATE_DONE, "result": zlib.compress(b" " * 50_000_000)},
    "large": {"state": State.STATE_DONE, "result": bytes(70_000)},
    "list": {"state": State.STATE_DONE, "result": zlib.compress(b"[1]")},
    "not a number": {"state": State.STATE_DONE, "result": zlib.compress(b'{"a": NaN}')},
}


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD)
def test_a_report_that_cannot_be_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(OutOfBounds):
        bounds.event(link_pb2.Event(job=link_pb2.JobReport(**({"job": UID} | fields))), 1_800_000_000_000)


@given(st.text(), st.text(max_size=9000))
def test_what_a_tool_printed_is_clean_and_bounded(why: str, words: str) -> None:
    why, words = (text.encode(errors="ignore").decode() for text in (why, words))
    event = told(UID, State.STATE_STEP_FAILED, why=why, words=words)
    report = bounds.event(event, 1_800_000_000_000).report
    assert len(report.words) <= 4000
    assert len(report.why) <= 500
    assert report.why.isprintable()
    assert all(line.isprintable() for line in report.words.split("\n"))


def test_of_long_words_the_end_is_kept() -> None:
    report = bounds.event(told(UID, State.STATE_STEP_FAILED, words="x\n" * 9000 + "E: broken"), 1_800_000_000_000)
    assert report.report.words.endswith("x\nE: broken")


class Wire:
    """What gRPC would write on one stream."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    async def write(self, body: bytes) -> None:
        self.written.append(body)

    def heard(self) -> link_pb2.Downlink:
        return link_pb2.Downlink.FromString(b"".join(self.written))


class Edge:
    """The sending side of an edge, without the network."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.streams = Streams()
        self.work = HandingOut(self.streams)
        with store.begin() as tx:
            self.work.begin(tx)

    def attach(self, pk: int) -> Wire:
        stream = self.streams.open(wire := Wire())
        stream.endpoint_pk = pk
        self.streams.attach(stream)
        return wire

    async def look(self) -> None:
        with self.store.begin() as tx:
            work = self.work.look(tx, self.streams.take_fresh(), clock.utc_now())
        await self.work.tell(work)
        await asyncio.sleep(0.01)


def test_a_stream_is_handed_each_job_once_and_one_that_comes_back_gets_it_again(store: Any) -> None:
    pks = [store.endpoint() for _ in range(3)]

    async def walk() -> None:
        edge = Edge(store)
        here, there = edge.attach(pks[0]), edge.attach(pks[1])
        await edge.look()
        uids = jobs_for(store, pks)
        await edge.look()
        await edge.look()
        late, back = edge.attach(pks[2]), edge.attach(pks[0])
        await edge.look()
        for wire, pk in ((here, pks[0]), (there, pks[1]), (late, pks[2]), (back, pks[0])):
            assert [job.id for job in wire.heard().jobs] == [uids[pk]]
        job = here.heard().jobs[0]
        with store.begin() as tx:
            public = manifest_queries.active_keys(tx)[0]
        signing.check(public, job.manifest, job.signature)
        assert job.key == signing.key_id(public)
        assert job.until_ms - job.start_ms == 3_600_000

    asyncio.run(walk())


def test_what_was_received_is_not_handed_out_by_a_server_that_starts_anew(store: Any) -> None:
    pk = store.endpoint()

    async def walk() -> None:
        uid = jobs_for(store, [pk])[pk]
        before = Edge(store)
        wire = before.attach(pk)
        await before.look()
        assert [job.id for job in wire.heard().jobs] == [uid]
        report = bounds.event(told(uid, State.STATE_RECEIVED), clock.now_ms()).report
        with store.begin() as tx:
            actions.report(tx, [(pk, clock.utc_now(), report)], clock.utc_now())
        after = Edge(store)
        again = after.attach(pk)
        await after.look()
        assert again.written == []

    asyncio.run(walk())


def test_cancels_and_wakes_reach_whom_they_concern(store: Any) -> None:
    pk = store.endpoint()

    async def walk() -> None:
        uid = jobs_for(store, [pk])[pk]
        edge = Edge(store)
        wire = edge.attach(pk)
        await edge.look()
        with store.begin() as tx:
            number = tx.scalar(sa.select(Job.id))
            actions.cancel(tx, [number], "The ring was halted.", clock.utc_now())
            actions.ask_wake(tx, [(pk, ["aa:bb:cc:dd:ee:ff"])], clock.utc_now())
        await edge.look()
        await edge.look()
        heard = wire.heard()
        assert [(cancel.id, cancel.reason) for cancel in heard.cancelled] == [(uid, "The ring was halted.")]
        assert list(heard.wake.macs) == [bytes.fromhex("aabbccddeeff")]

    asyncio.run(walk())
