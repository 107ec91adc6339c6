"""Real faults on this machine: each becomes an incident and resolves when it is over, by rules that ship or quicker ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

ROOT_ONLY = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux")


def opened(server: Any, wait_for: Callable[..., Any], rule: str, seconds: float = 60) -> dict[str, Any]:
    return dict(wait_for(lambda: server.incidents("open", rule), seconds)[0])


@pytest.fixture
def server(lasting: Any, wait_for: Callable[..., Any]) -> Iterator[Any]:
    """One for all faults of this file; when a test begins, the agent of the one before has gone."""
    yield lasting
    wait_for(lambda: not any(endpoint["connected"] for endpoint in lasting.endpoints()))


@pytest.fixture
def small_volume(place: Path) -> Iterator[Path]:
    """A real ext4 file system of 24 MB on a loop device."""
    image, mount = place / "small.img", place / "small"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(24 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    done = subprocess.run(["mount", "-o", "loop", str(image), str(mount)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no loop device here: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@ROOT_ONLY
def test_filled_file_system_raises_and_emptied_clears(
    small_volume: Path, server: Any, enrol: Any, wait_for: Any, publish: Any
) -> None:
    publish(server, "disk-full", raise_for_s=3, clear_for_s=3)
    enrol()
    filler = small_volume / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            pass
    found = wait_for(lambda: [row for row in server.incidents() if str(small_volume) in json.dumps(row)], 90)
    assert found[0]["faults"][0]["instance"] == str(small_volume)
    filler.unlink()
    number = found[0]["number"]
    wait_for(lambda: any(row["number"] == number for row in server.incidents("resolved")), 120)


@pytest.fixture
def own_service() -> Iterator[str]:
    """A real service of this machine's own init: started by its script, in the runlevel."""
    name = f"fettle-probe-{uuid.uuid4().hex[:6]}"
    script = Path(f"/etc/init.d/{name}")
    sleeper = shutil.which("sleep")
    script.write_text(f"""#!/bin/sh
### BEGIN INIT INFO
# Provides: {name}
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop:
# Short-Description: a service of Fettle's own tests
### END INIT INFO
PIDFILE=/run/{name}.pid
. /lib/lsb/init-functions
case "$1" in
  start) start-stop-daemon --start --background --make-pidfile --pidfile $PIDFILE --exec {sleeper} -- 3600 ;;
  stop) start-stop-daemon --stop --oknodo --pidfile $PIDFILE; rm -f $PIDFILE ;;
  status) status_of_proc -p $PIDFILE {sleeper} {name} ;;
esac
""")
    script.chmod(0o755)
    link = Path(f"/etc/rc2.d/S50{name}")
    link.symlink_to(f"../init.d/{name}")
    subprocess.run([str(script), "start"], check=True)
    yield name
    subprocess.run([str(script), "stop"], check=False)
    link.unlink()
    script.unlink()


@ROOT_ONLY
@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="this machine's services are systemd's")
def test_stopped_service_raises_and_started_clears(
    own_service: str, server: Any, enrol: Any, wait_for: Any, publish: Any
) -> None:
    publish(server, "service-stopped", raise_for_s=3, clear_for_s=3, gather_s=0)
    enrol(settings=f'services = ["{own_service}"]\n')
    wait_for(lambda: any(endpoint["connected"] for endpoint in server.endpoints()))
    subprocess.run([f"/etc/init.d/{own_service}", "stop"], check=True)
    found = wait_for(lambda: [row for row in server.incidents() if own_service in json.dumps(row["faults"])], 120)
    assert own_service in found[0]["title"]
    subprocess.run([f"/etc/init.d/{own_service}", "start"], check=True)
    number = found[0]["number"]
    wait_for(lambda: any(row["number"] == number for row in server.incidents("resolved")), 120)


def test_agent_cut_off_tells_a_fault_that_came_and_went_with_its_times(
    server: Any, enrol: Any, cut: Any, run: Any, wait_for: Any
) -> None:
    agent = enrol(address=cut.address)
    wait_for(lambda: any(endpoint["connected"] for endpoint in server.endpoints()))
    cut.cut()
    wait_for(lambda: not any(endpoint["connected"] for endpoint in server.endpoints()))
    before = time.time()
    run("fettle-agent", "test-fault", "--state", agent.state)
    time.sleep(3)
    run("fettle-agent", "test-fault", "--state", agent.state, "--clear")
    after = time.time()
    assert server.incidents("all", "test-fault") == []
    cut.mend()
    (incident,) = wait_for(lambda: server.incidents("resolved", "test-fault"), 90)
    raised, cleared = (datetime.fromisoformat(incident["faults"][0][name]) for name in ("raised_at", "cleared_at"))
    assert before - 1.5 <= raised.timestamp() < cleared.timestamp() <= after + 1.5
    assert cleared - raised >= timedelta(seconds=1.5)


@pytest.fixture
def eat(place: Path) -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    """Starts a program named core-eater that runs without a pause, among the processes that such a process sees."""
    program = place / "core-eater"
    program.write_text("#!/bin/sh\nwhile :; do :; done\n")
    program.chmod(0o755)
    started: list[subprocess.Popen[bytes]] = []

    def eats(neighbour: int) -> subprocess.Popen[bytes]:
        words = ["nsenter", "--target", str(neighbour), "--pid", "--mount", str(program)]
        started.append(subprocess.Popen(words, start_new_session=True))
        return started[-1]

    yield eats
    for one in started:
        os.killpg(one.pid, signal.SIGKILL)
        one.wait()


@ROOT_ONLY
def test_process_that_eats_a_core_raises_by_name(
    server: Any, enrol: Any, run: Any, wait_for: Any, publish: Any, eat: Any
) -> None:
    """The agent sees only its own processes and the eater, which may have to share its core with other tests."""
    publish(server, "program-runaway", raise_level=20, clear_level=15, raise_for_s=3, clear_for_s=3)
    agent = enrol(prefix=("unshare", "--pid", "--mount-proc", "--fork", "--kill-child"))
    wait_for(lambda: any(endpoint["connected"] for endpoint in server.endpoints()))
    (inner,) = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children").read_text().split()
    eater = eat(int(inner))
    incident = opened(server, wait_for, "program-runaway", 90)
    whole = json.loads(run("fettle", "incident", server.data, incident["number"], "--json").stdout)
    assert "core-eater" in json.dumps(whole)
    os.killpg(eater.pid, signal.SIGKILL)
    wait_for(lambda: server.incidents("resolved", "program-runaway"), 90)
    os.kill(int(inner), signal.SIGTERM)  # unshare hands no signal on


class _NameServer(socketserver.BaseRequestHandler):
    """Answers every question with "no such name": a name server that works."""

    def handle(self) -> None:
        question, channel = self.request
        channel.sendto(question[:2] + b"\x81\x83" + question[4:6] + b"\0\0\0\0\0\0" + question[12:], self.client_address)


@pytest.fixture
def namespace(server: Any) -> Iterator[tuple[str, str, str]]:
    """A network namespace with a resolv.conf of its own; (its name, our address in it, the server's port)."""
    name = f"fettle{uuid.uuid4().hex[:6]}"
    etc = Path("/etc/netns") / name
    etc.mkdir(parents=True)
    (etc / "resolv.conf").write_text("nameserver 10.213.7.1\n")
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        shutil.rmtree(etc)
        pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
    near, far = f"v{name[6:]}a", f"v{name[6:]}b"
    for words in (
        f"ip link add {near} type veth peer name {far}",
        f"ip link set {far} netns {name}",
        f"ip addr add 10.213.7.1/24 dev {near}",
        f"ip link set {near} up",
        f"ip -n {name} addr add 10.213.7.2/24 dev {far}",
        f"ip -n {name} link set {far} up",
        f"ip -n {name} link set lo up",
        f"ip -n {name} route add default via 10.213.7.1",
    ):
        subprocess.run(words.split(), check=True)
    yield name, "10.213.7.1", server.grpc.rsplit(":", 1)[1]
    subprocess.run(["ip", "link", "del", near], check=False)
    subprocess.run(["ip", "netns", "del", name], check=False)
    shutil.rmtree(etc)


@ROOT_ONLY
def test_lost_dns_raises_and_clears(namespace: Any, server: Any, enrol: Any, wait_for: Any, forward: Any, publish: Any) -> None:
    publish(server, "dns-lost", raise_for_s=3, clear_for_s=3, gather_s=0)
    name, address, port = namespace
    forward(f"{address}:{port}", server.grpc)
    names = socketserver.UDPServer((address, 53), _NameServer)
    threading.Thread(target=names.serve_forever, daemon=True).start()
    enrol(address=f"{address}:{port}", prefix=("ip", "netns", "exec", name))
    wait_for(lambda: any(endpoint["connected"] for endpoint in server.endpoints()))
    time.sleep(3)
    names.shutdown()
    names.server_close()
    incident = opened(server, wait_for, "dns-lost", 90)
    names = socketserver.UDPServer((address, 53), _NameServer)
    threading.Thread(target=names.serve_forever, daemon=True).start()
    try:
        resolved = wait_for(lambda: server.incidents("resolved", "dns-lost"), 120)
        assert resolved[0]["number"] == incident["number"]
    finally:
        names.shutdown()
        names.server_close()
