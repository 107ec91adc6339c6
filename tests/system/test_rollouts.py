"""Changes on real hosts: real packages by a real apt from a real signed repository, rings, gate, back-out, power cuts."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fettle_server import clock, config, db
from fettle_server.change.patches import queries as patches
from fettle_server.change.patches.rules import PatchState
from fettle_server.change.patches.views import PatchRow
from fettle_server.change.rollouts import queries as rollouts
from fettle_server.change.rollouts.rules import RolloutState, TargetState
from fettle_server.change.rollouts.views import RolloutView, TargetRow
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.views import EndpointFilter
from fettle_server.estate.people.rules import SYSTEM
from hosts.host import STATE, Host, Network, why_not
from hosts.repository import Repository

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"NO REAL HOSTS: {WHY_NOT}")
PLAYER = "lesson-player"
RINGS = {
    "rings": [
        {"name": name, "share_percent": share, "at_least": least, "soak_s": 16, "deadline_s": 240,
         "gate": {"unwell_percent": 5, "seen_percent": 50, "seen_s": 4, "silent_percent": 25}}
        for name, share, least in (("bench", 15, 1), ("pilot room", 50, 2), ("all", 100, 0))
    ],
    "stagger_s": 0,
    "settle_s": 6,
    "wake": False,
    "people": {"reboots": "never"},
    "needs": {"free_bytes": 1000000, "charge_percent": 0},
}  # fmt: skip
"""An afternoon's rollout in a minute: a PC, half of them, all; sixteen seconds of soak each."""
SETTINGS = """
services = ["lesson-player"]
cpu_budget_percent = 100
[collectors.services]
every_s = 1
[collectors.updates]
every_s = 5
[collectors.inventory]
every_s = 10
"""
INIT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: lesson-player
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: plays lessons
### END INIT INFO
PIDFILE=/run/lesson-player.pid
alive() { [ -e $PIDFILE ] && kill -0 "$(cat $PIDFILE)" 2>/dev/null; }
case "$1" in
    start) alive && exit 0; setsid /usr/bin/lesson-player < /dev/null > /dev/null 2>&1 & echo $! > $PIDFILE ;;
    stop) alive && kill "$(cat $PIDFILE)"; rm -f $PIDFILE ;;
    restart) $0 stop; $0 start ;;
    status) alive && exit 0; [ -e $PIDFILE ] && exit 1; exit 3 ;;
    *) exit 2 ;;
esac
"""
GOOD = "#!/bin/sh\nexec sleep 1000000\n"
BAD = "#!/bin/sh\nsleep 2\nexit 1\n"
SLOW = "sleep {seconds}\n"
POSTINST = """#!/bin/sh
set -e
update-rc.d lesson-player defaults > /dev/null
{before}/etc/init.d/lesson-player restart
"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing: apt's log is enough."""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network.made()
    yield made
    made.close()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's hosts have their disks."""
    return tmp_path_factory.mktemp("hosts")


@pytest.fixture(scope="module")
def repository(network: Network, room: Path) -> Iterator[Repository]:
    """A signed repository on the hosts' network, with the player's first version."""
    folder = room / "repository"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((network.address, 0), handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        workshop = Host("workshop", room, network).build().start()
        made = Repository(folder, f"http://{network.address}:{web.server_port}/", workshop).build()
        put(made, "1.0", GOOD)
        yield made
        workshop.remove()
        web.shutdown()


def put(repository: Repository, version: str, program: str, seconds: int = 0) -> None:
    """A version of the player; installing it may take a while."""
    files = {"usr/bin/lesson-player": (program, 0o755), "etc/init.d/lesson-player": (INIT, 0o755)}
    before = SLOW.format(seconds=seconds) if seconds else ""
    prerm = "#!/bin/sh\n/etc/init.d/lesson-player stop || true\n"
    repository.put(PLAYER, version, files, {"postinst": POSTINST.format(before=before), "prerm": prerm})


def make_host(name: str, room: Path, network: Network, repository: Repository) -> Host:
    """A computer with the player's first version."""
    host = Host(name, room, network).build().start()
    repository.use(host)
    host.sh("apt-get", "update", "-q")
    host.sh("apt-get", "install", "-q", "-y", f"{PLAYER}=1.0")
    return host


def plays(host: Host) -> bool:
    """Whether its lesson player runs."""
    return host.sh("/etc/init.d/lesson-player", "status", check=False).returncode == 0


def test_hosts_have_their_own_packages_and_processes(
    repository: Repository, room: Path, network: Network, wait_for: Any
) -> None:
    put(repository, "1.0.1", GOOD)
    first, second = (make_host(name, room, network, repository) for name in ("try-1", "try-2"))
    try:
        first.sh("apt-get", "install", "-q", "-y", PLAYER)
        assert (first.version(PLAYER), second.version(PLAYER)) == ("1.0.1", "1.0")
        first.sh("/etc/init.d/lesson-player", "stop")
        assert plays(second)
        assert not plays(first)
        boot = first.sh("cat", "/proc/sys/kernel/random/boot_id").stdout
        first.cut()
        first.start()
        assert first.sh("cat", "/proc/sys/kernel/random/boot_id").stdout != boot
        wait_for(lambda: plays(first), 10)
    finally:
        first.remove()
        second.remove()


@dataclass
class Estate:
    """Six computers of one school, their server, the people who decide, and an approver's key that the server never has."""

    server: Any
    run: Callable[..., Any]
    repository: Repository
    place: Path
    hosts: list[Host] = field(default_factory=list)

    @property
    def key(self) -> Path:
        """The approver's private key."""
        return self.place / "approver.pem"

    def fettle(self, *words: object) -> str:
        """A command of the server's, and what it printed."""
        return str(self.run("fettle", *words).stdout)

    def propose(self, version: str, title: str) -> tuple[int, int]:
        """Propose a version of the player for the school, have others approve it; returns change and rollout."""
        data, plan = self.server.data, self.place / "plan.json"
        plan.write_text(json.dumps(RINGS))
        words = ("--title", title, "--why", "Lessons need it.", "--school", "Bow Primary", "--provider", "apt", "--package")
        more = (f"{PLAYER}={version}", "--plan", plan, "--any-time", "--yes", "--as", "ada", "--json")
        made = json.loads(self.fettle("change", "propose", data, *words, *more))
        for one in made["approvals"]:
            who = "edsger" if one["step"] == "peer review" else "grace"
            self.fettle("change", "approve", data, made["id"], "--step", one["step"], "--as", who, "--why", "Looks right.")
        shown = json.loads(self.fettle("change", "show", data, made["id"], "--json"))
        assert shown["state"] == "approved"
        return int(made["id"]), int(shown["rollouts"][0]["id"])

    def sign(self, rollout: int) -> None:
        """Sign on the approver's own machine, by the commands that the server wrote for it and nothing of ours."""
        script = self.place / "sign.sh"
        script.write_text(self.fettle("rollout", "manifest", self.server.data, rollout))
        words, env = ["sh", str(script)], {"PATH": os.environ["PATH"], "KEY": str(self.key)}
        signed = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, env=env)
        self.fettle("rollout", "bring", self.server.data, rollout, *signed.stdout.split())

    def start(self, rollout: int) -> None:
        """Let it run."""
        self.fettle("rollout", "start", self.server.data, rollout)

    def seen(self, rollout: int) -> RolloutView:
        """A rollout as the store has it now."""
        with self.reading() as tx:
            found = rollouts.rollout(tx, SYSTEM, rollout, clock.utc_now())
        assert found is not None
        return found

    def targets(self, rollout: int) -> dict[str, TargetRow]:
        """Its PCs by name."""
        with self.reading() as tx:
            return {row.name: row for row in rollouts.targets(tx, SYSTEM, rollout, clock.utc_now()).rows}

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        """A look into the store."""
        engine = db.open_engine(config.load(self.server.data).database_url, readonly=True)
        try:
            with engine.connect() as tx:
                yield tx
        finally:
            engine.dispose()

    def until(self, what: Callable[[], Any], rollout: int, seconds: float = 90) -> Any:
        """The first truthy answer; else the rollout's own words are in the failure."""
        end = time.monotonic() + seconds
        while not (answer := what()):
            if time.monotonic() > end:
                raise AssertionError(self.story(rollout))
            time.sleep(0.5)
        return answer

    def story(self, rollout: int) -> str:
        """All that is known of a rollout, for a failure's message."""
        lines = [f"{row.name}: ring {row.ring} {row.state}: {row.why}" for row in self.targets(rollout).values()]
        return "\n".join([str(self.seen(rollout).row), *lines, *(f"{host.name}\n{host.log()[-2500:]}" for host in self.hosts)])

    def versions(self) -> dict[str, str]:
        """The player's version on each host, by its own dpkg."""
        return {host.name: host.version(PLAYER) for host in self.hosts}

    def host(self, name: str) -> Host:
        """The host of that name."""
        return next(host for host in self.hosts if host.name == name)

    def upgrades(self, host: Host, version: str) -> int:
        """How often its dpkg log says that the player was brought to a version from another one."""
        lines = (host.root / "var/log/dpkg.log").read_text().splitlines()
        return sum(1 for line in lines if f" upgrade {PLAYER}:all " in line and line.endswith(f" {version}"))

    def patch(self, host: Host, version: str) -> PatchRow | None:
        """What the console says of that version on that host."""
        with self.reading() as tx:
            rows = endpoints.endpoints(tx, SYSTEM, EndpointFilter()).rows
            found = patches.of_endpoint(tx, SYSTEM, next(row.id for row in rows if row.name == host.name), clock.utc_now())
        assert found is not None
        return next((row for row in found.rows if (row.update.name, row.update.version) == (PLAYER, version)), None)

    def sees(self, wait_for: Callable[..., Any], version: str, state: PatchState) -> None:
        """Wait until the console says that of a version on every host."""
        for host in self.hosts:
            try:
                wait_for(lambda host=host: (row := self.patch(host, version)) and row.state is state, 90)
            except AssertionError:
                said = host.agent("status", "--state", STATE, check=False).stdout
                raise AssertionError(f"{host.name}: {self.patch(host, version)}\n{said}\n{host.log()}") from None


@pytest.fixture(scope="module")
def estate(
    network: Network, repository: Repository, room: Path, run: Any, make_server: Any, publish: Any, wait_for: Any
) -> Iterator[Estate]:
    """Six enrolled computers that judge by the shipped rules, but wait six seconds where those wait a minute."""
    place = room / "office"
    place.mkdir()
    server, _ = make_server(place, address=network.address)
    made = Estate(server, run, repository, place)
    publish(server, "service-stopped", raise_for_s=6, clear_for_s=1)
    made.fettle("key", "create", made.key)
    made.fettle("key", "add", server.data, f"{made.key}.pub", "--name", "Grace")
    for name in ("ada", "grace", "edsger"):
        made.fettle("user", "add", server.data, name, "--role", "administrator")
    token = server.token(uses=6)
    try:
        for number in range(1, 7):
            host = make_host(f"bow-{number}", room, network, repository)
            made.hosts.append(host)
            host.agent("enrol", "--server", server.grpc, "--token", token, "--state", STATE)
            (host.root / STATE.lstrip("/") / "agent.toml").write_text(SETTINGS)
            host.cut()
            host.start()
        wait_for(lambda: sum(endpoint["connected"] for endpoint in server.endpoints()) == 6, 60)
        yield made
    finally:
        for host in made.hosts:
            host.remove()
        server.stop()


def test_a_good_update_goes_through_the_rings_and_is_proven(estate: Estate, wait_for: Any) -> None:
    put(estate.repository, "1.1", GOOD, seconds=3)
    for host in estate.hosts:
        host.sh("apt-get", "update", "-q")  # as its daily timer does
    estate.sees(wait_for, "1.1", PatchState.OFFERED)
    change, rollout = estate.propose("1.1", "Lesson player 1.1")
    estate.sign(rollout)
    rings = {name: row.ring for name, row in estate.targets(rollout).items()}
    assert sorted(rings.values()) == [0, 1, 1, 2, 2, 2]
    away, cut = [estate.host(name) for name, ring in sorted(rings.items()) if ring == 2][:2]
    away.cut()
    estate.start(rollout)

    estate.until(lambda: estate.seen(rollout).row.ring >= 1, rollout)
    estate.server.kill()  # in the middle: nothing is lost, and nothing is done twice
    estate.server.start()
    estate.until(lambda: "half" in cut.sh("dpkg", "-s", PLAYER).stdout or cut.version(PLAYER) != "1.0", rollout)
    cut.cut()  # in the middle of a package's own script
    assert cut.version_on_disk(PLAYER) != "1.1"
    cut.start()
    estate.until(lambda: estate.targets(rollout)[cut.name].state is TargetState.CHANGED, rollout)
    assert estate.targets(rollout)[away.name].why
    away.start()
    estate.until(lambda: estate.seen(rollout).row.state is RolloutState.FINISHED, rollout, 120)

    assert estate.versions() == dict.fromkeys(rings, "1.1"), estate.story(rollout)
    assert all(plays(host) for host in estate.hosts)
    assert [estate.upgrades(host, "1.1") for host in estate.hosts if host is not cut] == [1] * 5
    estate.sees(wait_for, "1.1", PatchState.PROVEN)
    assert json.loads(estate.fettle("change", "show", estate.server.data, change, "--json"))["state"] == "review"


def test_a_bad_update_is_halted_at_the_first_ring_and_undone(estate: Estate) -> None:
    before = estate.versions()
    put(estate.repository, "2.0", BAD)
    change, rollout = estate.propose("2.0", "Lesson player 2.0")
    estate.sign(rollout)
    estate.start(rollout)
    halted = estate.until(lambda: (seen := estate.seen(rollout)).row.state is RolloutState.HALTED and seen, rollout)

    bench = [estate.host(name) for name, row in estate.targets(rollout).items() if row.ring == 0]
    assert [host.version(PLAYER) for host in bench] == ["2.0"]  # it installed well, by its exit status
    assert estate.versions() == before | {host.name: "2.0" for host in bench}
    assert "limit 0" in halted.row.why
    shown = json.loads(estate.fettle("change", "show", estate.server.data, change, "--json"))
    assert [one["how"] for one in shown["incidents"] if one["number"] == halted.row.incident_number] == ["halted"]

    said = estate.fettle("rollout", "back-out", estate.server.data, rollout, "--why", "It breaks lessons.")
    undone = int(said.split()[1])
    estate.until(lambda: estate.seen(undone).row.state is RolloutState.FINISHED, undone)
    assert estate.versions() == before, estate.story(undone)
    assert all(plays(host) for host in estate.hosts)
