"""A console over a fresh store: two schools with a PC and an incident each, people of every role, and clients for them."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argon2
import pytest
import sqlalchemy as sa
from fettle_server import clock, db, migrations
from fettle_server.config import Settings
from fettle_server.estate.enrolment.pki import make_authority
from fettle_server.estate.people import actions as people
from fettle_server.estate.people import passwords
from fettle_server.estate.people import queries as people_queries
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.estate.tables import Certificate, Endpoint, School, User, Vitals
from fettle_server.proactive.actions import publish_shipped
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.actions import seed_priorities
from fettle_server.reactive.tables import Incident
from fettle_web import security
from fettle_web.app import create_app
from flask.testing import FlaskClient

HARBOUR, HILLTOP = "Harbour School", "Hilltop College"
PASSWORD = "four words in a row"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass(slots=True)
class Console:
    """The app of one test with its store, and who is in it."""

    app: Any
    settings: Settings
    engine: sa.Engine
    people: dict[str, Person] = field(default_factory=dict)

    def begin(self) -> Any:
        """A writing transaction, for a with statement."""
        return self.engine.begin()

    def close(self) -> None:
        """Let go of the store."""
        store = self.app.extensions["fettle"]
        for engine in (self.engine, store.reader, store.writer):
            engine.dispose()

    def value(self, statement: Any) -> Any:
        """The one value of a statement."""
        with self.engine.begin() as tx:
            return tx.scalar(statement)

    def person(self, name: str, role: Role, *schools: str, password: str = "") -> Person:
        """A person of that role; with a password of their own where one is given, else with one that nobody knows."""
        with self.engine.begin() as tx:
            ids = [tx.scalar(sa.select(School.id).where(School.name == school)) for school in schools]
            people.add_user(tx, SYSTEM, name, role, ids or None, now=clock.utc_now())
            found = people_queries.person_named(tx, name)
            if password:
                people.set_password(tx, found, password, clock.utc_now())
            tx.execute(sa.update(User).where(User.id == found.id).values(must_change_password=False))
            self.people[name] = people_queries.person_named(tx, name)
        return self.people[name]

    def client(self, name: str | None = None, **extra: Any) -> Client:
        """A browser in which that person is signed in; None: nobody is."""
        client = Client(self.app.test_client(**extra))
        if name is not None:
            with self.engine.begin() as tx:
                secret = people.start_session(tx, self.people[name], "127.0.0.1", "a test", self.settings, clock.utc_now())
            client.flask.set_cookie("fettle", secret)
        return client

    def token(self, name: str, role: Role = Role.ADMINISTRATOR) -> dict[str, str]:
        """The header of a fresh API token of that person."""
        with self.engine.begin() as tx:
            secret = people.create_api_token(tx, self.people[name], f"script of {name}", role, 30, clock.utc_now())
        return {"Authorization": f"Bearer {secret}"}


@dataclass(slots=True)
class Client:
    """A browser: it keeps cookies, and sends the form token that the last form gave it."""

    flask: FlaskClient
    form_token: str = ""

    def get(self, path: str, **extra: Any) -> Any:
        """The answer to a GET."""
        return self.flask.get(path, **extra)

    def post(self, path: str, data: dict[str, Any] | None = None, **extra: Any) -> Any:
        """The answer to a form that is sent with its token."""
        return self.flask.post(path, data={"csrf_token": self.token(), **(data or {})}, **extra)

    def token(self) -> str:
        """The form token of this browser's session."""
        for page in ("/account/password", "/sign-in"):
            if not self.form_token and (match := _TOKEN.search(self.flask.get(page).get_data(as_text=True))):
                self.form_token = match[1]
        return self.form_token


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """The real hasher with the least work that it allows: these tests make hundreds of people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session")
def store_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file with two schools, a PC in each and an incident on each, to copy."""
    path = tmp_path_factory.mktemp("web") / "fettle.db"
    engine = db.open_engine(f"sqlite:///{path}")
    migrations.upgrade(engine)
    now = clock.utc_now()
    with engine.begin() as tx:
        seed_priorities(tx)
        publish_shipped(tx, now)
        for number, school in enumerate((HARBOUR, HILLTOP), start=1):
            _populate(tx, number, school, now)
    with engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


def _populate(tx: sa.Connection, number: int, school: str, now: dt.datetime) -> None:
    """School `number` with its PC `number` (id 32 times the digit), fault `number` and incident `number`."""
    name = {HARBOUR: "harbour-pc", HILLTOP: "hilltop-pc"}[school]
    tx.execute(sa.insert(School).values(id=number, name=school, created_at=now))
    endpoint = {
        "pk": number, "id": str(number) * 32, "school_id": number, "name": name, "search": name, "system": "linux",
        "model": f"Model of {school}", "serial": f"serial-{name}", "state": "ill", "state_since": now, "last_seen": now,
        "connected": True, "enrolled_at": now, "open_incidents": 1, "ill_faults": 1,
    }  # fmt: skip
    tx.execute(sa.insert(Endpoint).values(endpoint))
    later = now + dt.timedelta(days=90)
    tx.execute(sa.insert(Certificate).values(fingerprint=f"{number:064x}", endpoint_pk=number, issued_at=now, not_after=later))
    incident = {
        "number": number, "cause": f"endpoint:{number}/disk", "impact": "user", "urgency": "high", "priority": 3,
        "title": f"The disk of {name} is full", "school_id": number, "endpoint_pk": number, "rule": "disk-full",
        "opened_at": now, "updated_at": now, "open_faults": 1,
    }  # fmt: skip
    tx.execute(sa.insert(Incident).values(incident))
    fault = {
        "endpoint_pk": number, "rule": "disk-full", "instance": f"/{name}", "severity": "ill", "since_at": now,
        "raised_at": now, "value": 97.0, "incident_number": number,
        "evidence": {"raised": [[db.to_ms(now), 97.0]], "cleared": []},
    }  # fmt: skip
    tx.execute(sa.insert(Fault).values(fault))
    tx.execute(sa.insert(Vitals).values(endpoint_pk=number, at=now, body=b""))


@pytest.fixture(scope="session")
def console_opener(store_template: Path) -> Iterator[Callable[..., Console]]:
    """Opens a console with these settings in that directory, over its own copy of the store."""
    opened: list[Console] = []

    def open_one(data: Path, **settings: Any) -> Console:
        data.mkdir(exist_ok=True)
        shutil.copyfile(store_template, data / "fettle.db")
        make_authority(data, clock.utc_now())
        chosen = Settings(data=data, **settings)
        app = create_app(chosen)
        app.testing = True
        security.limiter.reset()
        console = Console(app, chosen, db.open_engine(chosen.database_url))
        opened.append(console)
        return console

    yield open_one
    for console in opened:
        console.close()


@pytest.fixture
def open_console(console_opener: Callable[..., Console], tmp_path: Path) -> Iterator[Callable[..., Console]]:
    """Opens a console with these settings for this test."""
    opened: list[Console] = []

    def open_one(**settings: Any) -> Console:
        opened.append(console_opener(tmp_path / f"data{len(opened)}", **settings))
        return opened[-1]

    yield open_one
    for console in opened:
        console.close()


@pytest.fixture
def console(open_console: Callable[..., Console]) -> Console:
    """A console with its settings as they are by themselves."""
    return open_console()


@pytest.fixture
def staffed(console: Console) -> Console:
    """The same with an administrator, and a technician and a viewer of Harbour School, and a technician of Hilltop College."""
    console.person("ada", Role.ADMINISTRATOR)
    console.person("tom", Role.TECHNICIAN, HARBOUR)
    console.person("vera", Role.VIEWER, HARBOUR)
    console.person("otto", Role.TECHNICIAN, HILLTOP)
    return console
