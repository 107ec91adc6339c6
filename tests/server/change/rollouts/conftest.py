"""A school with PCs, an approved and signed change, and PCs that take it, fail or fall ill at times that the test says."""

from __future__ import annotations

import datetime as dt
import json
import zlib

import pytest
import sqlalchemy as sa
from fettle_protocol import signing
from fettle_server.change.jobs import actions as jobs
from fettle_server.change.jobs.rules import Report, Told
from fettle_server.change.jobs.tables import Job
from fettle_server.change.manifests import actions as manifests
from fettle_server.change.manifests import queries as manifest_queries
from fettle_server.change.rollouts import actions
from fettle_server.change.rollouts.plans import Gate, Plan, RingPlan, When
from fettle_server.change.rollouts.tables import Rollout, RolloutRing, RolloutTarget
from fettle_server.change.rollouts.views import Draft, Reach
from fettle_server.change.tables import Change
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.tables import Endpoint, Inventory, Room
from fettle_server.proactive.tables import Fault

NOON = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)  # a Monday in term, in winter time
EVENING = dt.datetime(2026, 11, 23, 17, 0, tzinfo=dt.UTC)
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
UPGRADE = {"kind": "upgrade", "provider": "apt", "packages": [{"name": "nano", "version": "7.2-1"}]}


def two_rings(**more):
    """A bench of one and all others, quick to soak."""
    gate, deadline_s = more.pop("gate", Gate(seen_s=60)), more.pop("deadline_s", 7200)
    rings = (
        RingPlan("bench", 10, at_least=1, at_most=1, soak_s=600, deadline_s=deadline_s, gate=gate),
        RingPlan("all", 100, soak_s=600, deadline_s=deadline_s, gate=gate),
    )
    return Plan(**({"rings": rings, "when": When.ANY_TIME, "stagger_s": 0, "settle_s": 60} | more))


class Scene:
    """A rollout of one school's PCs, and what happens to them."""

    def __init__(self, store):
        self.store = store
        self.now = EVENING
        self.school = store.school()
        with store.begin() as tx:
            self.key = signing.new_key()
            manifests.add_key(tx, SYSTEM, "head", signing.public_pem(signing.public_bytes(self.key)), self.now)

    def pcs(self, count, **columns):
        usual = {"connected": True, "connected_since": self.now - DAY, "last_seen": self.now, "system": "linux"}
        return [self.store.endpoint(**(usual | columns)) for _ in range(count)]

    def room(self, name="Room 1"):
        with self.store.begin() as tx:
            values = {"school_id": self.school, "name": name, "created_at": self.now}
            return int(tx.execute(sa.insert(Room).values(values)).inserted_primary_key[0])

    def rollout(self, plan=None, steps=(UPGRADE,), start=True, reach=None):
        with self.store.begin() as tx:
            values = {"kind": "normal", "state": "approved", "title": "Editors", "why": "holes", "proposer": "user:kim"}
            times = {"created_at": self.now, "updated_at": self.now}
            made = tx.execute(sa.insert(Change).values(**values, schools=[self.school], **times))
            self.change = int(made.inserted_primary_key[0])
            reach = reach or Reach(schools=(self.school,))
            self.id = actions.draft(tx, SYSTEM, Draft(self.change, reach, tuple(steps), plan or two_rings()), self.now)
            actions.prepare(tx, self.id, self.now)
            self.sign(tx)
            if start:
                actions.start(tx, SYSTEM, self.id, self.now)
        return self.id

    def sign(self, tx):
        for row in manifest_queries.of_change(tx, self.change):
            if not row.is_signed:
                signature = signing.sign(self.key, manifest_queries.body_of(tx, row.id))
                manifests.bring_signature(tx, SYSTEM, row.id, signature, self.now)

    def act(self, what, *args, **more):
        with self.store.begin() as tx:
            return what(tx, SYSTEM, self.id, *args, self.now, **more)

    def tick(self, after=dt.timedelta(0), times=1, rollout_id=None):
        """Let the time pass in as many looks, each to its end."""
        for _ in range(times):
            self.now += after
            with self.store.begin() as tx:
                tx.execute(sa.update(Endpoint).where(Endpoint.connected.is_(True)).values(last_seen=self.now))
            for _ in range(20):
                with self.store.begin() as tx:
                    if not actions.tick(tx, rollout_id or self.id, self.now):
                        break

    def jobs(self, *states):
        rows = self.store.rows(sa.select(Job.endpoint_pk, Job.state).where(Job.state.in_(states)).order_by(Job.id))
        return [row.endpoint_pk for row in rows]

    def report(self, pks, *told, why=""):
        with self.store.begin() as tx:
            uids = dict(
                tuple(row)
                for row in tx.execute(sa.select(Job.endpoint_pk, Job.uid).where(Job.endpoint_pk.in_(pks)).order_by(Job.id))
            )
            said = [(pk, self.now, Report(uids[pk], one, why=why)) for one in told for pk in pks]
            jobs.report(tx, said, self.now)

    def take(self, pks, end=Told.DONE, why=""):
        """The PCs receive it and run it to its end."""
        self.report(pks, Told.RECEIVED, Told.STARTED, end, why=why)

    def fall_ill(self, pks, rule="service-stopped", since=None, cleared=None, instance=""):
        at = since or self.now
        with self.store.begin() as tx:
            common = {"rule": rule, "severity": "ill", "since_at": at, "raised_at": at, "cleared_at": cleared, "value": 0.0}
            tx.execute(sa.insert(Fault), [{"endpoint_pk": pk, "instance": instance, **common} for pk in pks])

    def hardware(self, pk, mac):
        body = zlib.compress(json.dumps({"network": [{"name": "eth0", "mac": mac, "kind": "wired"}]}).encode())
        with self.store.begin() as tx:
            values = {"endpoint_pk": pk, "section": "hardware", "digest": "d", "at": self.now, "body": body}
            tx.execute(sa.insert(Inventory).values(values))

    def set(self, pks, **columns):
        with self.store.begin() as tx:
            tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pks)).values(**columns))

    def state(self):
        row = self.store.rows(sa.select(Rollout.state, Rollout.ring).where(Rollout.id == self.id))[0]
        return row.state, row.ring

    @property
    def why(self):
        return self.store.value(sa.select(Rollout.why).where(Rollout.id == self.id))

    def change_state(self):
        return self.store.value(sa.select(Change.state).where(Change.id == self.change))

    def in_ring(self, number):
        chosen = (RolloutTarget.rollout_id == self.id, RolloutTarget.ring == number)
        return [row[0] for row in self.store.rows(sa.select(RolloutTarget.endpoint_pk).where(*chosen))]

    def targets(self):
        rows = self.store.rows(
            sa.select(RolloutTarget.endpoint_pk, RolloutTarget.state).where(RolloutTarget.rollout_id == self.id)
        )
        return dict(tuple(row) for row in rows)

    def ring_row(self, number):
        return self.store.rows(
            sa.select(RolloutRing.__table__).where(RolloutRing.rollout_id == self.id, RolloutRing.number == number)
        )[0]


@pytest.fixture
def scene(sqlite_store):
    """A scene on SQLite: what is decided is the same on both stores."""
    for store in sqlite_store():
        yield Scene(store)


@pytest.fixture
def stored_scene(store):
    """A scene on each of the two stores."""
    return Scene(store)
