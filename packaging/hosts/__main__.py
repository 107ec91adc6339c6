"""Makes the base that hosts stand on: a small Debian in .hosts/base, by a real apt.

Only where it can be: root on a Debian whose kernel allows namespaces and overlays. Elsewhere it writes down why not, and the
tests that need hosts skip with that reason.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hosts.host import BASE, WHY_NOT

_INSIDE = "python3,ca-certificates,iproute2,procps,apt-utils,gpg,gpg-agent,gpgv,sysvinit-utils"
_SAYS = BASE / "etc" / "fettle-base"
_TOOLS = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "ip": "iproute2"}
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


def main() -> int:
    """Exit status 0: the base is there, or the reason why it cannot be is written down."""
    BASE.parent.mkdir(exist_ok=True)
    WHY_NOT.unlink(missing_ok=True)
    reason = _why_not() or _make()
    if reason:
        WHY_NOT.write_text(reason + "\n")
        print(f"hosts: NONE, and the tests that need them skip: {reason}", file=sys.stderr)
    else:
        print(f"hosts: {BASE}")
    return 0


def _why_not() -> str:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "real hosts are made by root on Linux only"
    if shutil.which("apt-get") is None:
        return "real hosts are made of Debian packages, and this machine has no apt"
    return _missing_tools() or _kernel()


def _missing_tools() -> str:
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if not missing:
        return ""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=False, env=environment)
    done = subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    return f"apt cannot install {', '.join(missing)}: {_end(done)}" if done.returncode else ""


def _kernel() -> str:
    """Try what a host needs of the kernel: namespaces, an overlay, a pair of network interfaces."""
    with tempfile.TemporaryDirectory() as place:
        for name in ("low", "up", "work", "all"):
            (Path(place) / name).mkdir()
        script = (
            f"mount -t overlay overlay -o lowerdir={place}/low,upperdir={place}/up,workdir={place}/work {place}/all "
            "&& ip link add fettle-try type veth peer name fettle-try2"
        )
        words = ["unshare", "--mount", "--pid", "--net", "--uts", "--fork", "sh", "-c", script]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
    return f"this kernel forbids what a host needs: {_end(done)}" if done.returncode else ""


def _make() -> str:
    if _SAYS.exists() and _SAYS.read_text() == _INSIDE:
        return ""
    half = BASE.with_name("base.half")
    shutil.rmtree(half, ignore_errors=True)
    shutil.rmtree(BASE, ignore_errors=True)
    print("hosts: making a small Debian (half a minute, once)")
    done = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_INSIDE}", _suite(), str(half), *_sources()],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        shutil.rmtree(half, ignore_errors=True)
        return f"mmdebstrap failed: {_end(done)}"
    half.rename(BASE)
    _SAYS.write_text(_INSIDE)
    return ""


def _suite() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")


def _sources() -> list[str]:
    return [str(source) for source in _SOURCES if source.is_file() and source.read_text().strip()][:1]


def _end(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stderr or done.stdout).split())[-300:]


if __name__ == "__main__":
    sys.exit(main())
