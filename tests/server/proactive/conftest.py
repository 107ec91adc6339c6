"""A scene for faults with causes: endpoints that fall ill and well, and a worker that looks, at times that the test says."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_protocol.policy import Direction, Impact, Judge, Policy, Rule, Severity, Spread
from fettle_server.estate.tables import Endpoint, Room
from fettle_server.notify.tables import Outbox
from fettle_server.proactive import actions
from fettle_server.proactive.causes import triage
from fettle_server.proactive.rules import ABSENT, Clear, Raise
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import Incident

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
WITHIN = dt.timedelta(minutes=30)


def seconds(number):
    return dt.timedelta(seconds=number)


def rule(key, reading, topic, **more):
    usual = {
        "direction": Direction.BELOW, "raise_level": 0.5, "raise_for_s": 30, "clear_level": 0.5, "clear_for_s": 30,
        "severity": Severity.ILL, "impact": Impact.USER, "title": key, "meaning": "m", "first_step": "f",
    }  # fmt: skip
    return Rule(**(usual | {"key": key, "reading": reading, "topic": topic} | more))


POLICY = Policy(
    version=1,
    rules=(
        rule("gateway-lost", "gateway.reachable", "network", title="The network is lost", spread=Spread.PLACE, gather_s=60),
        rule(
            "absent", "presence.absent_minutes", "presence", title="Not heard of", direction=Direction.ABOVE,
            judge=Judge.SERVER, spread=Spread.PLACE, gather_s=90,
        ),
        rule("dns-lost", "dns.working", "dns", title="Names cannot be resolved", spread=Spread.PLACE, gather_s=60),
        rule(
            "service-stopped", "service.running", "services", title="Service {instance} has stopped", spread=Spread.KIND,
            gather_s=600,
        ),
        rule("disk-full", "disk.free_percent", "disk-space", title="Disk {instance} is full"),
    ),
)  # fmt: skip


class Scene:
    """Endpoints that fall ill and well, and a worker that looks, at times that the test says (seconds from 09:00)."""

    def __init__(self, store):
        self.store = store
        with store.begin() as tx:
            actions.publish(tx, POLICY, "system", NOW)

    def room(self, name, school="Harbour School"):
        school_id = self.store.school(school)
        with self.store.begin() as tx:
            values = {"school_id": school_id, "name": name, "created_at": NOW}
            return int(tx.execute(sa.insert(Room).values(values)).inserted_primary_key[0])

    def pcs(self, count, room=None, school="Harbour School", **columns):
        self.store.school(school)
        return [self.store.endpoint(school=school, room_id=room, connected=True, **columns) for _ in range(count)]

    def fall(self, pks, at, rule="gateway-lost", instance="", severity="ill", since=None):
        moment_ms = int((NOW + seconds(at)).timestamp() * 1000)
        since_ms = moment_ms - 30_000 if since is None else int((NOW + seconds(since)).timestamp() * 1000)
        said = [(pk, Raise(moment_ms, rule, instance, severity, 1.0, since_ms, [], 1, "", False)) for pk in pks]
        self._judge(said, at)

    def recover(self, pks, at, rule="gateway-lost", instance=""):
        moment_ms = int((NOW + seconds(at)).timestamp() * 1000)
        self._judge([(pk, Clear(moment_ms, rule, instance, "recovered", 0.0, moment_ms, [], False)) for pk in pks], at)

    def absent(self, pks, at, since=None):
        with self.store.begin() as tx:
            tx.execute(sa.update(Endpoint).where(Endpoint.pk.in_(pks)).values(connected=False))
        self.fall(pks, at, ABSENT, since=since)

    def _judge(self, said, at):
        with self.store.begin() as tx:
            actions.judge(tx, said, now=NOW + seconds(at), reopen_within=WITHIN)

    def look(self, at):
        while True:
            with self.store.begin() as tx:
                if not triage(tx, now=NOW + seconds(at), reopen_within=WITHIN):
                    return

    def look_until(self, start, end, step=10):
        for at in range(start, end + 1, step):
            self.look(at)

    def incidents(self, *more):
        columns = (Incident.scope, Incident.title, Incident.state, Incident.open_faults, *more)
        rows = self.store.rows(sa.select(*columns).where(Incident.merged_into.is_(None)).order_by(Incident.number))
        return [tuple(row) for row in rows]

    def told(self):
        rows = self.store.rows(sa.select(Outbox.kind, Outbox.incident_number).order_by(Outbox.id))
        return [(kind.removeprefix("incident."), number) for kind, number in rows]

    def stages(self):
        counted = sa.select(Fault.stage, sa.func.count()).where(Fault.cleared_at.is_(None)).group_by(Fault.stage)
        return dict(tuple(row) for row in self.store.rows(counted))


@pytest.fixture
def scene(sqlite_store):
    """A scene on SQLite: what is decided is the same on both stores."""
    for store in sqlite_store():
        yield Scene(store)


@pytest.fixture
def stored_scene(store):
    """A scene on each of the two stores, where what is written is at stake."""
    return Scene(store)
