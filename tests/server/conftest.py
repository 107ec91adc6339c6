"""The stores that the server's tests run on, each fresh and migrated for one test, and factories for what stands in them."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2
from fettle_server import clock, db, migrations
from fettle_server.config import Settings
from fettle_server.estate.tables import Certificate, Endpoint, School
from fettle_server.ingest.messages import Answer, Arrived, Attached, Detached, Knock, Known, Refused
from fettle_server.ingest.writer import Writer
from fettle_server.proactive.actions import publish_shipped
from fettle_server.reactive.actions import seed_priorities
from hypothesis import settings

settings.register_profile("fettle", deadline=None)  # a busy machine is no failure
settings.load_profile("fettle")

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Store:
    """One test's own store: its URL and an engine for writing."""

    url: str
    engine: sa.Engine
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def begin(self) -> Any:
        """A transaction, for a with statement."""
        return self.engine.begin()

    def rows(self, statement: Any) -> list[Any]:
        """All rows of a statement."""
        with self.engine.begin() as tx:
            return list(tx.execute(statement).all())

    def value(self, statement: Any) -> Any:
        """The one value of a statement."""
        with self.engine.begin() as tx:
            return tx.scalar(statement)

    def school(self, name: str = "Harbour School") -> int:
        """A school's id; the same one for the same name."""
        found = self.value(sa.select(School.id).where(School.name == name))
        if found is not None:
            return int(found)
        with self.engine.begin() as tx:
            return int(tx.execute(sa.insert(School).values(name=name, created_at=NOW)).inserted_primary_key[0])

    def endpoint(self, name: str | None = None, school: str = "Harbour School", **columns: Any) -> int:
        """A new endpoint's pk; its certificate's fingerprint is `fingerprint_of(pk)`."""
        number = next(self._numbers)
        name = name or f"pc-{number:03}"
        values = {"id": f"{number:032x}", "name": name, "search": name, "school_id": self.school(school), "enrolled_at": NOW}
        with self.engine.begin() as tx:
            pk = int(tx.execute(sa.insert(Endpoint).values(**(values | columns))).inserted_primary_key[0])
            later = NOW + dt.timedelta(days=90)
            tx.execute(
                sa.insert(Certificate).values(fingerprint=fingerprint_of(pk), endpoint_pk=pk, issued_at=NOW, not_after=later)
            )
        return pk


def fingerprint_of(pk: int) -> str:
    """What stands for the sha256 of the certificate of a factory's endpoint."""
    return hashlib.sha256(f"certificate {pk}".encode()).hexdigest()


def _prepare(url: str) -> None:
    engine = db.open_engine(url)
    migrations.upgrade(engine)
    with engine.begin() as tx:
        seed_priorities(tx)
        publish_shipped(tx, NOW)
    engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "fettle.db"
    _prepare(f"sqlite:///{path}")
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


class Reused:
    """One migrated database that goes back to where it was after each test: making a new one takes twenty times as long."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.url = _named(server, "fettle_tests")
        self._make()

    def _make(self) -> None:
        self._admin("DROP DATABASE IF EXISTS fettle_tests WITH (FORCE)", "CREATE DATABASE fettle_tests")
        _prepare(self.url)
        with self._open() as tx:
            self._shape, self._known = self._seen(tx), set(self._tables(tx))
            tx.exec_driver_sql("CREATE SCHEMA seed")
            for table in self._known:
                tx.exec_driver_sql(f"CREATE TABLE seed.{table} AS TABLE public.{table}")
            self._sequences = [tuple(row) for row in tx.exec_driver_sql(_SEQUENCES)]

    def reset(self) -> None:
        """Forget what a test did; a test that changed the tables themselves costs a new database."""
        self._admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'fettle_tests'")
        with self._open() as tx:
            for name in set(self._tables(tx)) - self._known:  # history's weeks
                tx.exec_driver_sql(f"DROP TABLE public.{name} CASCADE")
            is_whole = self._seen(tx) == self._shape
            if is_whole:
                self._put_back(tx)
        if not is_whole:
            self._make()

    def _put_back(self, tx: sa.Connection) -> None:
        tx.exec_driver_sql("SET LOCAL session_replication_role = replica")  # in any order of the tables
        for table in self._known:
            tx.exec_driver_sql(f"DELETE FROM public.{table}")
            tx.exec_driver_sql(f"INSERT INTO public.{table} OVERRIDING SYSTEM VALUE TABLE seed.{table}")
        for name, last in self._sequences:
            tx.exec_driver_sql("SELECT setval(%s::regclass, %s, %s)", (f"public.{name}", last or 1, last is not None))

    @staticmethod
    def _tables(tx: sa.Connection) -> list[str]:
        return list(tx.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").scalars())

    @staticmethod
    def _seen(tx: sa.Connection) -> list[Any]:
        return [tuple(row) for row in tx.exec_driver_sql(_SHAPE)]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sa.Connection]:
        engine = db.open_engine(self.url)
        with engine.begin() as tx:
            yield tx
        engine.dispose()

    def _admin(self, *statements: str) -> None:
        admin = sa.create_engine(self._server, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        admin.dispose()


_SHAPE = """SELECT relname, attname, atttypid, attnotnull FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
 WHERE relnamespace = 'public'::regnamespace ORDER BY relname, attname"""
_SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public'"


@pytest.fixture(scope="session")
def postgresql_database(postgresql_server: str) -> Reused:
    """One migrated database of the real PostgreSQL, which goes back to where it was after each test."""
    return Reused(postgresql_server)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A fresh, migrated store with the shipped policy and priorities, on each of the two engines."""
    yield from request.getfixturevalue(f"{request.param}_store")()


@pytest.fixture
def sqlite_store(sqlite_template: Path, tmp_path: Path) -> Callable[[], Iterator[Store]]:
    def opened() -> Iterator[Store]:
        path = tmp_path / "fettle.db"
        shutil.copyfile(sqlite_template, path)
        url = f"sqlite:///{path}"
        engine = db.open_engine(url)
        yield Store(url, engine)
        engine.dispose()

    return opened


@pytest.fixture
def postgresql_store(postgresql_database: Reused) -> Callable[[], Iterator[Store]]:
    def opened() -> Iterator[Store]:
        engine = db.open_engine(postgresql_database.url)
        yield Store(postgresql_database.url, engine)
        engine.dispose()
        postgresql_database.reset()

    return opened


def _named(url: str, database: str) -> str:
    return sa.engine.make_url(url).set(database=database).render_as_string(hide_password=False)


@pytest.fixture
def now() -> dt.datetime:
    """The moment at which the factories' world stands."""
    return NOW


@pytest.fixture
def fingerprint() -> Callable[[int], str]:
    """The certificate fingerprint of a factory's endpoint, by its pk."""
    return fingerprint_of


class Line:
    """Agents on the line to a writer, without the edge and its gRPC: says what they say, and keeps what they hear."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.settings = Settings(data=Path(), database=store.url)
        self._streams = itertools.count(1)
        self._sequences: dict[int, int] = {}
        self.pks: dict[int, int] = {}
        self.writer = Writer(self.settings)
        self.writer.start()

    def restart(self) -> None:
        """End the writer without a word, as a crash would, and start another one."""
        self.writer.close()
        self.writer = Writer(self.settings)
        self.writer.start()

    def knock(self, pk: int, certificate: str | None = None, **hello: Any) -> tuple[int, Known | Refused]:
        """A new stream of that endpoint asks to come in; returns its number and the writer's decision."""
        stream = next(self._streams)
        said = {"protocol": 1, "instance": "i1", "spool": "s1", "boot": "b1"} | hello
        machine = said.pop(
            "machine", {"hostname": f"pc-{pk}", "os": "linux", "os_version": "Debian 12", "agent_version": "0.1.0"}
        )
        body = link_pb2.Uplink(hello=link_pb2.Hello(machine=link_pb2.Machine(**machine), **said)).SerializeToString()
        knock = Knock(stream, certificate or fingerprint_of(pk), body, "192.0.2.7", clock.now_ms())
        (answer,) = [a for a in self.writer.take([knock]) if isinstance(a, Known | Refused)]
        self.pks[stream] = pk
        return stream, answer

    def attach(self, pk: int, **hello: Any) -> int:
        """A new stream of that endpoint, let in; returns its number."""
        stream, answer = self.knock(pk, **hello)
        assert isinstance(answer, Known)
        self.writer.take([Attached(stream)])
        self._sequences[stream] = link_pb2.Downlink.FromString(answer.welcome).welcome.events_acked
        return stream

    def detach(self, stream: int, *, replaced: bool = False) -> None:
        """The stream ends."""
        self.writer.take([Detached(stream, clock.now_ms(), replaced)])

    def number(self, stream: int, *events: link_pb2.Event) -> list[link_pb2.Event]:
        """The events with the stream's next numbers, and a time where they have none."""
        for event in events:
            self._sequences[stream] += 1
            event.sequence = event.sequence or self._sequences[stream]
            event.at_ms = event.at_ms or clock.now_ms()
        return list(events)

    def events(self, stream: int, *events: link_pb2.Event) -> link_pb2.Downlink | None:
        """Say events, numbered as they come; returns what the stream hears."""
        return self.say(stream, link_pb2.Uplink(events=self.number(stream, *events)))

    def say(self, stream: int, uplink: link_pb2.Uplink | bytes) -> link_pb2.Downlink | None:
        """Say one message; returns what the stream hears."""
        return self.say_all([(stream, uplink)]).get(stream)

    def say_all(self, said: list[tuple[int, link_pb2.Uplink | bytes]]) -> dict[int, link_pb2.Downlink]:
        """Say messages of many streams in one batch; returns what each stream hears."""
        batch = [
            Arrived(stream, clock.now_ms(), uplink if isinstance(uplink, bytes) else uplink.SerializeToString())
            for stream, uplink in said
        ]
        answers = [answer for answer in self.writer.take(batch) if isinstance(answer, Answer)]
        return {answer.stream: link_pb2.Downlink.FromString(answer.downlink) for answer in answers}


@pytest.fixture
def line(store: Store) -> Iterator[Line]:
    """A writer on the test's store, and agents that talk to it."""
    line = Line(store)
    yield line
    line.writer.close()


def raised(rule: str = "disk-full", instance: str = "C:", severity: str = "ill", at_ms: int = 0, **more: Any) -> link_pb2.Event:
    """A fault begins."""
    at_ms = at_ms or clock.now_ms()
    fields = {"value": 3.5, "since_ms": at_ms - 30_000, "policy_version": 1} | more
    return link_pb2.Event(at_ms=at_ms, raised=link_pb2.FaultRaised(rule=rule, instance=instance, severity=severity, **fields))


def cleared(rule: str = "disk-full", instance: str = "C:", reason: str = "recovered", at_ms: int = 0) -> link_pb2.Event:
    """A fault ends."""
    at_ms = at_ms or clock.now_ms()
    said = link_pb2.FaultCleared(rule=rule, instance=instance, reason=reason, value=20, since_ms=at_ms - 30_000)
    return link_pb2.Event(at_ms=at_ms, cleared=said)


@dataclass(frozen=True, slots=True)
class Tell:
    """Makes the events that agents tell."""

    raised: Callable[..., link_pb2.Event] = raised
    cleared: Callable[..., link_pb2.Event] = cleared


@pytest.fixture
def tell() -> Tell:
    """What agents can tell: tell.raised(rule, instance, ...) and tell.cleared(...)."""
    return Tell()
