"""A computer made of namespaces, and the network that such computers meet on.

A host's first process starts its services and the agent, as a boot would. Power cuts kill all of its processes at once; what
was on its disk stays. The interpreter and the code under test are bound in, read-only, at their own paths.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / ".hosts" / "base"
WHY_NOT = BASE.parent / "why-not"
STATE = "/var/lib/fettle-agent"
_BOOT = r"""
hostname {name}
mount -t proc proc {root}/proc
mount -t sysfs sysfs {root}/sys
mount -t tmpfs tmpfs {root}/run
mount -t tmpfs tmpfs {root}/tmp
mount -t tmpfs tmpfs {root}/dev
for node in null zero full random urandom tty; do touch {root}/dev/$node; mount --bind /dev/$node {root}/dev/$node; done
ln -s /proc/self/fd {root}/dev/fd; mkdir {root}/dev/shm
for path in {bound}; do
    mkdir -p {root}$path; mount --rbind $path {root}$path; mount -o remount,bind,ro {root}$path 2> /dev/null
done
cat /proc/sys/kernel/random/uuid > {root}/run/boot_id
mount --bind {root}/run/boot_id {root}/proc/sys/kernel/random/boot_id
exec chroot {root} /bin/sh /etc/fettle-boot
"""
_FIRST_PROCESS = r"""export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C PYTHONDONTWRITEBYTECODE=1
trap 'exit 0' TERM
for link in /etc/rc2.d/S*; do [ -x "$link" ] && "$link" start; done
if [ -e {state}/agent.toml ]; then {agent} run --state {state} >> /var/log/agent.log 2>&1 & fi
while :; do sleep 3600 & wait $!; done
"""
_RESTART = "#!/bin/sh\n# What an init would do: the harness sees the sign and starts the host anew.\ntouch /var/restart-asked\n"


def why_not() -> str:
    """Why there are no real hosts here; empty where there are."""
    if (BASE / "etc" / "debian_version").exists():
        return ""
    return WHY_NOT.read_text().strip() if WHY_NOT.exists() else "no base for hosts: `make hosts` makes it"


def run(*words: object, check: bool = True, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """A command of the machine that carries the hosts."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=timeout_s, check=False)
    assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@dataclass
class Network:
    """A bridge on which the hosts and their server meet; nothing beyond it."""

    name: str
    prefix: str
    used: int = 1

    @classmethod
    def made(cls) -> Network:
        """A network that nobody uses yet."""
        number = os.getpid() % 200 + 20
        network = cls(f"fettle{number}", f"10.77.{number}")
        run("ip", "link", "del", network.name, check=False)
        # Without an address of its own a bridge has its lowest port's: when that host is cut, the others miss the server
        # for as long as they remember the old one.
        run("ip", "link", "add", network.name, "address", f"02:78:00:00:00:{number:02x}", "type", "bridge")
        run("ip", "addr", "add", f"{network.address}/24", "dev", network.name)
        run("ip", "link", "set", network.name, "up")
        return network

    @property
    def address(self) -> str:
        """Where the hosts reach the machine that carries them."""
        return f"{self.prefix}.1"

    def join(self, process_id: int, host: str) -> str:
        """Give a host's network namespace its interface; returns its address."""
        self.used += 1
        address, outer = f"{self.prefix}.{self.used}", f"{self.name}h{self.used}"[-15:]
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", process_id)
        run("ip", "link", "set", outer, "master", self.name, "up")
        inside = ("nsenter", "--target", process_id, "--net", "ip")
        mac = "02:77:" + ":".join(f"{ord(letter):02x}" for letter in host[-4:].rjust(4, "0"))
        run(*inside, "link", "set", "eth0", "address", mac)
        run(*inside, "addr", "add", f"{address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "lo", "up")
        return address

    def close(self) -> None:
        """Take it down."""
        run("ip", "link", "del", self.name, check=False)


@dataclass
class Host:
    """A computer of a school. `place` holds its disk; `start` and `cut` are its power switch."""

    name: str
    place: Path
    network: Network
    process: subprocess.Popen[bytes] | None = None
    inner: int = 0
    _mounted: bool = field(default=False)

    @property
    def root(self) -> Path:
        """Its whole file system, seen from outside."""
        return self.place / self.name / "all"

    def build(self) -> Host:
        """Its disk: the base below, its own changes above."""
        here = self.place / self.name
        for part in ("up", "work", "all"):
            (here / part).mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={BASE},upperdir={here / 'up'},workdir={here / 'work'}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        self._mounted = True
        (self.root / "etc/machine-id").write_text(uuid.uuid5(uuid.NAMESPACE_DNS, self.name).hex + "\n")
        (self.root / "etc/hostname").write_text(self.name + "\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost {self.name}\n")
        (self.root / "etc/resolv.conf").write_text("")
        (self.root / "etc/fettle-boot").write_text(_FIRST_PROCESS.format(state=STATE, agent=self._agent()))
        for tool in ("sbin/reboot", "sbin/shutdown"):
            (self.root / tool).unlink(missing_ok=True)
            (self.root / tool).write_text(_RESTART)
            (self.root / tool).chmod(0o755)
        for source in (self.root / "etc/apt/sources.list.d").glob("*"):
            source.unlink()
        (self.root / "etc/apt/sources.list").write_text("")
        return self

    def start(self) -> Host:
        """Switch it on."""
        script = _BOOT.format(name=self.name, root=self.root, bound=" ".join(_bound()))
        with (self.place / self.name / "console.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "sh", "-c", script],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.inner = self._first_process()
        self.network.join(self.inner, self.name)
        return self

    def _first_process(self) -> int:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        end = time.monotonic() + 10
        while time.monotonic() < end:
            found = children.read_text().split()
            if found and Path(f"/proc/{found[0]}/ns/net").readlink() != Path("/proc/self/ns/net").readlink():
                return int(found[0])
            time.sleep(0.02)
        raise AssertionError(f"{self.name} did not start: {(self.place / self.name / 'console.log').read_text()}")

    def cut(self) -> None:
        """Cut its power: every process of it dies at once."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.inner, signal.SIGKILL)
        self.process.wait(timeout=10)
        self.process = None

    def restart_if_asked(self) -> bool:
        """What its init would do after `reboot`; True where it was asked for."""
        sign = self.root / "var/restart-asked"
        if not sign.exists():
            return False
        sign.unlink()
        self.cut()
        self.start()
        return True

    def remove(self) -> None:
        """Switch it off for good, and give its disk back."""
        self.cut()
        if self._mounted:
            run("umount", "--lazy", self.root, check=False)
            self._mounted = False

    def sh(self, *words: object, check: bool = True, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """A command within the host."""
        inside = ("nsenter", "--target", self.inner, "--mount", "--pid", "--net", "--uts", "--ipc")
        return run(
            *inside, "chroot", self.root, "env", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *words,
            check=check, timeout_s=timeout_s,
        )  # fmt: skip

    def agent(self, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command of its agent."""
        return self.sh(*self._agent().split(), *words, check=check)

    def version(self, package: str) -> str:
        """What its own dpkg database says is installed, fully configured; else the state that dpkg names."""
        done = self.sh("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Version}", package, check=False)
        status, _, version = done.stdout.partition(" ")
        return version.strip() if status == "ii" else status

    def version_on_disk(self, package: str) -> str:
        """The same, of a host that is switched off."""
        words = ("dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "-W", "-f", "${db:Status-Abbrev} ${Version}", package)
        status, _, version = run(*words, check=False).stdout.partition(" ")
        return version.strip() if status == "ii" else status

    def log(self) -> str:
        """What its agent logged."""
        path = self.root / "var/log/agent.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @staticmethod
    def _agent() -> str:
        return f"{sys.executable} -m fettle_agent"


def _bound() -> list[str]:
    """The paths that hold the interpreter and the code: the prefix of the one, the checkout with its environment."""
    paths = {ROOT, Path(sys.prefix), Path(sys.base_prefix)}
    outer = [path for path in paths if not any(path != other and path.is_relative_to(other) for other in paths)]
    return sorted(str(path) for path in outer if path != Path("/usr"))
