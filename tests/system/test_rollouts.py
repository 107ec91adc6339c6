"""Changes on real hosts: real packages by a real apt from a real signed repository, rings, gate, back-out, power cuts."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosts.host import Host, Network, why_not
from hosts.repository import Repository

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"NO REAL HOSTS: {WHY_NOT}")
PLAYER = "lesson-player"
SETTINGS = """
services = ["lesson-player"]
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
