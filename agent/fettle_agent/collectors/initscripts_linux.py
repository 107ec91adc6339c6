"""Linux's services where init scripts start them (LSB): those with a start link in the runlevel.

Each status is a shell script's work, so a cheap sign decides when to ask: the process whose number is in the script's pid
file. When that process ends, the script is asked at once; without a change it is asked again after a while. A script that
hangs or does not know its own status says nothing and hides no other.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Hashable
from functools import partial
from pathlib import Path

from fettle_agent.collectors import CollectError, tools
from fettle_agent.collectors.changes import Renewed, file_times
from fettle_agent.collectors.services import Condition, Service

MAX_AGE_S = 300.0
MAX_AGE_WITHOUT_PID_FILE_S = 60.0
_PID_FILE = re.compile(r"^\s*(?:export\s+)?PID_?FILE=[\"']?([^\s\"';#]+)|(?<![\w$}])(/[\w./-]+\.pid)\b", re.MULTILINE)
_KNOWS_STATUS = re.compile(r"\bstatus\b[^\n]*\)|init-d-script")
_KEEPS_PID_FILE = re.compile(r"init-d-script|PID_?FILE=|--pidfile|\bpidofproc\b|\bstatus_of_proc\b|\.pid\b|pg_ctlcluster")
_START_LINK = re.compile(r"^S\d\d(.+)$")
_BY_STATUS = {
    0: (Condition.RUNNING, ""),
    1: (Condition.DIED, "dead, but its pid file is there"),
    2: (Condition.DIED, "dead, but its lock file is there"),
    3: (Condition.STOPPED, "stopped"),
}


def parse_runlevel(text: str) -> str:
    """The runlevel in what `runlevel` printed ("N 2"); 2, Debian's default, where it is unknown."""
    last = (text.split() or [""])[-1]
    return last if last in ("2", "3", "4", "5") else "2"


def started(folder: Path) -> frozenset[str]:
    """The names with a start link in a runlevel's folder."""
    try:
        entries = os.listdir(folder)
    except OSError:
        return frozenset()
    return frozenset(found[1] for found in map(_START_LINK.match, entries) if found is not None)


def knows_status(script: str) -> bool:
    """True where an init script, or Debian's frame for them, has an answer to "status"; others would fail with their usage."""
    return _KNOWS_STATUS.search(script) is not None


def pid_files(script: str, name: str) -> tuple[str, ...]:
    """Where a script's process may write its number, as glob patterns: as the script says, and where most do."""
    said = ((first or second).replace("${NAME}", name).replace("$NAME", name) for first, second in _PID_FILE.findall(script))
    whole = [path for path in said if path.startswith("/") and not set("$`*?[") & set(path)]
    return tuple(dict.fromkeys([*whole, f"/run/{name}.pid", f"/run/{name}/*.pid", f"/run/{name}/pid"]))


def service_of(name: str, status: int, *, keeps_pid_file: bool = True) -> tuple[Service, ...]:
    """The service that a script's exit status describes (LSB); none where the script does not know.

    Careless scripts say 1 for what never ran: without a pid file that outlived its process, nothing has died.
    """
    if status not in _BY_STATUS:
        return ()
    condition, detail = _BY_STATUS[status]
    if condition is Condition.DIED and not keeps_pid_file:
        condition, detail = Condition.STOPPED, "stopped"
    return (Service(name, condition, detail),)


class Scripts:
    """The init scripts of the runlevel, listed anew when a link comes or goes."""

    def __init__(self, etc: Path = Path("/etc")) -> None:
        self._init, self._links = etc / "init.d", etc / f"rc{_runlevel()}.d"
        self._watched: dict[str, Renewed[tuple[Service, ...]]] = {}
        self._times: tuple[int | None, ...] = ()

    def services(self) -> tuple[Service, ...]:
        """Every service of the runlevel that stays running, as its script last said."""
        times = file_times((os.fspath(self._init), os.fspath(self._links)))
        if times != self._times:
            self._times = times
            self._list()
        return tuple(service for watched in self._watched.values() for service in watched.value())

    def _list(self) -> None:
        names = started(self._links)
        self._watched = {name: watched for name, watched in self._watched.items() if name in names}
        for name in sorted(names - set(self._watched)):
            script = self._init / name
            text = _text(script)
            if knows_status(text):
                self._watched[name] = _watched(name, script, text)


def _watched(name: str, script: Path, text: str) -> Renewed[tuple[Service, ...]]:
    """The script's answer, kept while its sign holds; one that runs without a pid file gives no sign: it is asked often."""
    sign = partial(_sign, pid_files(text, name))
    keeps_pid_file = _KEEPS_PID_FILE.search(text) is not None
    blind = [False]

    def ask() -> tuple[Service, ...]:
        try:
            status, _ = tools.ended(os.fspath(script), "status", timeout_s=5)
        except CollectError:
            return ()
        services = service_of(name, status, keeps_pid_file=keeps_pid_file)
        blind[0] = not sign() and any(service.condition is Condition.RUNNING for service in services)
        return services

    return Renewed(ask, sign, max_age_s=lambda: MAX_AGE_WITHOUT_PID_FILE_S if blind[0] else MAX_AGE_S)


def _sign(patterns: tuple[str, ...]) -> Hashable:
    """The processes named by the pid files, and the state of each: gone, a zombie, or alive."""
    paths = [path for pattern in patterns for path in (glob.glob(pattern) if "*" in pattern else (pattern,))]
    numbers = [number for number in map(_number, paths) if number]
    return tuple((number, _state(number)) for number in numbers)


def _state(number: str) -> str:
    state = _text(Path(f"/proc/{number}/stat")).rpartition(") ")[2][:1]
    return state if state in ("", "Z", "X") else "alive"


def _number(path: str) -> str:
    words = _text(Path(path)).split(None, 1)[:1]
    return words[0] if words and words[0].isdecimal() else ""


def _runlevel() -> str:
    try:
        return parse_runlevel(tools.run("runlevel", timeout_s=5, accept=None))
    except CollectError:
        return parse_runlevel("")


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(262_144)
    except OSError:
        return ""
