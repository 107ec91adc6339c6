"""Real processes for the system tests: a server in a data directory of its own, and agents enrolled with it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server import clock, config, db
from fettle_server.commands import enrolment, listing
from fettle_server.proactive import actions, queries

sys.path.insert(0, str(Path(__file__).parents[2] / "packaging"))  # which is no distribution: the real hosts stand there
BIN = Path(sys.executable).parent
SCHOOL = "Bow Primary"
OFTEN = ("services", "dns", "gateway", "processes", "disk_space")
SLOW = ("updates", "software", "hardware", "smart", "event_log", "boot")
QUICK = (
    "cpu_budget_percent = 100\n"
    + "".join(f"[collectors.{name}]\nevery_s = 1\n" for name in OFTEN)
    + "".join(f"[collectors.{name}]\nenabled = false\n" for name in SLOW)
)
"""agent.toml of a test's agent: it looks more often, and not at what holds the others up for seconds of a core."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_command(*words: object, check: bool = True, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command of ours, run to its end; with `check`, its own words are in the failure."""
    command = [str(BIN / str(words[0])), *map(str, words[1:])]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)
    assert not check or answer.returncode == 0, f"{command}: {answer.returncode}\n{answer.stdout}\n{answer.stderr}"
    return answer


def wait_until(what: Callable[[], Any], seconds: float = 30, every: float = 0.2) -> Any:
    """The first truthy answer; fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        if answer := what():
            return answer
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(every)


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


@dataclass
class Server:
    """`fettle serve` on a data directory; stopping and starting again keeps the data and the ports."""

    data: Path
    grpc: str
    http: str
    database: str = ""
    process: subprocess.Popen[str] | None = None
    ready: str = ""
    printed_after: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def start(self) -> Server:
        command = [BIN / "fettle", "serve", self.data, "--grpc", self.grpc, "--http", self.http]
        with (self.data / "serve.log").open("a") as log:
            self.process = subprocess.Popen(
                list(map(str, command)),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env=os.environ | self.env,
            )
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline()
        assert self.ready, (self.data / "serve.log").read_text()
        return self

    def stop(self) -> float:
        """Seconds that it took to leave after SIGTERM."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.terminate()
        assert self.process.wait(timeout=15) == 0
        took = time.monotonic() - begun
        assert self.process.stdout is not None
        self.printed_after = self.process.stdout.read()
        self.process.stdout.close()
        return took

    def kill(self) -> None:
        """kill -9 to every process of the server at once, as a power cut would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def token(self, uses: int = 1, expires: str = "1h") -> str:
        """A token, by the command that prints it, run in this process."""
        return str(printed(enrolment.create, self.data, SCHOOL, uses, expires, database=self.database or None)["token"])

    def endpoints(self) -> list[dict[str, Any]]:
        """What `fettle endpoints --json` prints."""
        return list(printed(listing.endpoints, self.data)["endpoints"])

    def incidents(self, state: str = "open", rule: str = "") -> list[dict[str, Any]]:
        """What `fettle incidents --json` prints, of one rule or of all."""
        found = printed(listing.incidents, self.data, listing.Which(state))["incidents"]
        return [incident for incident in found if not rule or incident["rule"] == rule]


def printed(command: Callable[..., None], *words: Any, **options: Any) -> dict[str, Any]:
    """A listing command's JSON document, run in this process: a test looks many times a second."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        command(*words, as_json=True, **options)
    return dict(json.loads(out.getvalue()))


@dataclass
class Agent:
    """`fettle-agent run` on a state folder, perhaps within a network namespace or through another address."""

    state: Path
    prefix: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def start(self) -> Agent:
        command = [*self.prefix, str(BIN / "fettle-agent"), "run", "--state", str(self.state)]
        with (self.state / "run.log").open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, text=True, start_new_session=True, env=os.environ | self.env
            )
        return self

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=15)

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def status(self) -> dict[str, Any]:
        answer = run_command("fettle-agent", "status", "--state", self.state, "--json", check=False)
        return dict(json.loads(answer.stdout)) if answer.stdout.startswith("{") else {}


def make_server(place: Path, database: str = "", address: str = "127.0.0.1") -> tuple[Server, str]:
    """A server that was made and started, and its administrator's one-time password as `fettle init` printed it."""
    printed = run_command("fettle", "init", place / "data", "--school", SCHOOL, "--database", database).stdout
    return Server(place / "data", f"{address}:{free_port()}", f"127.0.0.1:{free_port()}", database).start(), printed


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as `fettle init` makes it, to copy, with what it printed beside it."""
    data = tmp_path_factory.mktemp("initialised") / "data"
    data.with_suffix(".printed").write_text(run_command("fettle", "init", data, "--school", SCHOOL).stdout)
    return data


@pytest.fixture(name="run", scope="session")
def run_fixture() -> Callable[..., subprocess.CompletedProcess[str]]:
    return run_command


@pytest.fixture(name="wait_for", scope="session")
def wait_for_fixture() -> Callable[..., Any]:
    return wait_until


@pytest.fixture(name="make_server", scope="session")
def make_server_fixture() -> Callable[..., tuple[Server, str]]:
    return make_server


@pytest.fixture(scope="session")
def publish() -> Callable[..., None]:
    """Publishes the server's policy anew with one rule changed, through the server's own action."""

    def published(server: Server, key: str, **changes: Any) -> None:
        settings = config.load(server.data)
        engine = db.open_engine(settings.database_url)
        with engine.begin() as tx:
            present = queries.current_policy(tx)
            rules = tuple(dataclasses.replace(rule, **changes) if rule.key == key else rule for rule in present.rules)
            assert rules != present.rules, f"there is no rule {key} to change"
            actions.publish(tx, dataclasses.replace(present, rules=rules), actor="system", now=clock.utc_now())
        engine.dispose()

    return published


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("system")


@pytest.fixture
def server(place: Path, initialised: Path) -> Iterator[Server]:
    yield from serving(place / "data", initialised)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory, initialised: Path) -> Iterator[Server]:
    """One server for those tests of a file that do not disturb each other: it takes eight seconds of a core to start one."""
    yield from serving(tmp_path_factory.mktemp("lasting") / "data", initialised)


def serving(data: Path, initialised: Path) -> Iterator[Server]:
    """A server on a data directory of its own, until the end of whoever asked."""
    shutil.copytree(initialised, data)
    shutil.copyfile(initialised.with_suffix(".printed"), data / "printed.txt")
    made = Server(data, f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}").start()
    yield made
    assert made.process is not None
    if made.process.poll() is None:
        made.stop()


@pytest.fixture
def enrol(request: pytest.FixtureRequest, place: Path) -> Iterator[Callable[..., Agent]]:
    """Enrols and starts an agent; all of a test's agents are stopped at its end."""
    agents: list[Agent] = []

    def enrolled(
        name: str = "agent",
        *,
        settings: str = "",
        address: str = "",
        prefix: tuple[str, ...] = (),
        start: bool = True,
        to: Server | None = None,
    ) -> Agent:
        state, server = place / name, to or request.getfixturevalue("server")
        run_command("fettle-agent", "enrol", "--server", server.grpc, "--token", server.token(), "--state", state)
        through = f'server = "{address}"\n' if address else ""
        (state / "agent.toml").write_text(through + settings + QUICK)
        agent = Agent(state, prefix)
        agents.append(agent)
        return agent.start() if start else agent

    yield enrolled
    for agent in agents:
        agent.stop()


@pytest.fixture
def connected(server: Server, enrol: Callable[..., Agent]) -> Agent:
    """An agent that the server sees."""
    agent = enrol()
    wait_until(lambda: any(endpoint["connected"] for endpoint in server.endpoints()))
    return agent


class Cut:
    """A far network that can be cut: a forwarder on a port of its own to the server's."""

    def __init__(self, target: str, listen: str = "127.0.0.1:0") -> None:
        self._target, self._listen = split(target), split(listen)
        self._loop = asyncio.new_event_loop()
        self._open = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait(5)

    def cut(self) -> None:
        """Drop every connection, and take no new one."""
        self._loop.call_soon_threadsafe(self._drop)

    def mend(self) -> None:
        """Take connections again."""
        self._open = True

    def close(self) -> None:
        """End the forwarder."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        listener = self._loop.run_until_complete(asyncio.start_server(self._accept, *self._listen))
        self.address = f"{self._listen[0]}:{listener.sockets[0].getsockname()[1]}"
        started.set()
        self._loop.run_forever()
        listener.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def _drop(self) -> None:
        self._open = False
        for writer in self._writers:
            writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer), return_exceptions=True)
        self._writers -= {writer, far_writer}

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
def cut(server: Server) -> Iterator[Cut]:
    made = Cut(server.grpc)
    yield made
    made.close()


@pytest.fixture
def forward() -> Iterator[Callable[[str, str], Cut]]:
    """Forwards an address of this machine to another; (listen, target)."""
    made: list[Cut] = []

    def forwarded(listen: str, target: str) -> Cut:
        made.append(Cut(target, listen))
        return made[-1]

    yield forwarded
    for forwarder in made:
        forwarder.close()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """An empty database of the real PostgreSQL."""
    admin = sa.create_engine(postgresql_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE fettle_system")
    yield sa.engine.make_url(postgresql_server).set(database="fettle_system").render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE fettle_system WITH (FORCE)")
    admin.dispose()
