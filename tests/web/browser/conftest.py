"""A real console process over a filled store, and a real browser that keeps notes of what it should never see."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server import clock, config, db, migrations
from fettle_server.estate.people import actions as people
from fettle_server.estate.people import queries as people_queries
from fettle_server.estate.people.rules import SYSTEM, Role
from fettle_server.estate.tables import Endpoint, User
from fettle_server.proactive.actions import publish_shipped
from fettle_server.reactive.actions import seed_priorities
from playwright.sync_api import Browser, BrowserContext, Page

REPOSITORY = Path(__file__).parents[3]
SIZES = {1400: 900, 768: 1024, 390: 844}


@dataclass(slots=True)
class Served:
    """A console process and its store."""

    data: Path
    engine: sa.Engine
    process: subprocess.Popen[bytes] | None = None
    url: str = ""

    def start(self, port: int = 0) -> None:
        """Begin to serve; returns when pages are answered."""
        ready = self.data / "run" / "console.ready"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "fettle_web", str(self.data), "--http", f"127.0.0.1:{port}"]
        with (self.data / "console.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 30
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                pytest.fail((self.data / "console.log").read_text())
            time.sleep(0.05)
        self.url = ready.read_text().strip()

    def stop(self) -> None:
        """End it as a service manager would."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait(10)

    def secret(self, name: str) -> str:
        """A fresh sign-in of that person."""
        with self.engine.begin() as tx:
            person = people_queries.person_named(tx, name)
            assert person is not None
            return people.start_session(tx, person, "127.0.0.1", "a test", config.load(self.data), clock.utc_now())

    def value(self, statement: Any) -> Any:
        """The one value of a statement."""
        with self.engine.begin() as tx:
            return tx.scalar(statement)

    def endpoint(self, state: str) -> str:
        """The id of some PC in that state which has history, and an incident of its own where one of that state has."""
        order = Endpoint.open_incidents.desc(), sa.func.length(Endpoint.name), Endpoint.pk
        return str(self.value(sa.select(Endpoint.id).where(Endpoint.state == state).order_by(*order).limit(1)))


@dataclass(slots=True)
class Watched:
    """A page with what its browser complained about and which hosts it asked."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def demo() -> Any:
    """The module that fills a store with a believable estate."""
    folder = str(REPOSITORY / "packaging")
    sys.path.insert(0, folder)
    try:
        from demo import estate
    finally:
        sys.path.remove(folder)
    return estate


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, demo: Any) -> Path:
    """A data directory with three hundred PCs and their week, to copy."""
    data = tmp_path_factory.mktemp("estate")
    engine = db.open_engine(f"sqlite:///{data / 'fettle.db'}")
    migrations.upgrade(engine)
    with engine.begin() as tx:
        seed_priorities(tx)
        publish_shipped(tx, clock.utc_now())
        people.add_user(tx, SYSTEM, "ada", Role.ADMINISTRATOR, None, now=clock.utc_now())
        tx.execute(sa.update(User).values(must_change_password=False))
        demo.fill(tx, clock.utc_now())
    engine.dispose()
    return data


@pytest.fixture(scope="module")
def served(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A console over its own copy of the estate, shared by the tests of a file."""
    data = tmp_path_factory.mktemp("served") / "data"
    shutil.copytree(filled, data)
    served = Served(data, db.open_engine(f"sqlite:///{data / 'fettle.db'}"))
    served.start()
    yield served
    served.stop()
    served.engine.dispose()


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker, as npm brought it."""
    return (REPOSITORY / "web" / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Callable[..., Watched]]:
    """Opens a page as somebody, at a width, in light or dark; every complaint of the browser is noted."""
    opened: list[BrowserContext] = []

    def visit(path: str, name: str = "ada", width: int = 1400, **extra: Any) -> Watched:
        context = browser.new_context(viewport={"width": width, "height": SIZES[width]}, **extra)
        opened.append(context)
        context.add_cookies([{"name": "fettle", "value": served.secret(name), "url": served.url}])
        watched = Watched(context.new_page())
        watched.page.on("console", lambda said: watched.errors.append(said.text) if said.type in ("error", "warning") else None)
        watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))
        watched.page.on("request", lambda request: watched.requests.append(request.url))
        watched.page.goto(served.url + path)
        return watched

    yield visit
    for context in opened:
        context.close()
