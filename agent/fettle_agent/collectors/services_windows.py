"""Windows's services: those that start automatically and are meant to stay.

Services that a trigger starts stop by design, and a delayed start often means "now and then": such a service is watched only
if the policy names it. Those of one user's session, whose name ends in that session's number, are left out.
Which those are is read from the registry once an hour; their state is asked each time.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fettle_agent.collectors import Collected, Setup
from fettle_agent.collectors.services import Condition, Service, Watch, is_named

LIST_MAX_AGE_S = 3600.0
_OF_A_SESSION = re.compile(r"_[0-9a-f]{4,8}$")


@dataclass(frozen=True, slots=True)
class Installed:
    """What the registry says of an installed service."""

    name: str
    automatic: bool
    delayed: bool
    triggered: bool


def watched(services: Iterable[Installed], patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the services that should be running."""
    return tuple(
        service.name
        for service in services
        if service.automatic
        and not _OF_A_SESSION.search(service.name)
        and (not (service.delayed or service.triggered) or is_named(service.name, patterns))
    )


def condition(status: str) -> Condition | None:
    """The condition for psutil's word of a service's state; None while it is starting."""
    if status == "start_pending":
        return None
    return Condition.RUNNING if status in ("running", "continue_pending") else Condition.STOPPED


if sys.platform == "win32":
    import time
    import winreg

    import psutil

    from fettle_agent.collectors.changes import Renewed

    _SERVICES = r"SYSTEM\CurrentControlSet\Services"
    _AUTOMATIC = 2

    def collector(setup: Setup) -> Callable[[], Collected]:
        """The collector of service.running."""
        watch = Watch(setup.services)
        installed = Renewed(_installed, lambda: None, max_age_s=LIST_MAX_AGE_S, clock=time.monotonic)
        return lambda: watch.readings(_states(watched(installed.value(), setup.services())))

    def _installed() -> tuple[Installed, ...]:
        found = []
        for service in psutil.win_service_iter():
            try:
                with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, rf"{_SERVICES}\{service.name()}") as key:
                    automatic = _value(key, "Start") == _AUTOMATIC
                    found.append(
                        Installed(service.name(), automatic, bool(_value(key, "DelayedAutostart")), _has_triggers(key))
                    )
            except OSError:
                continue
        return tuple(found)

    def _value(key: winreg.HKEYType, name: str) -> object:
        try:
            return winreg.QueryValueEx(key, name)[0]
        except OSError:
            return None

    def _has_triggers(key: winreg.HKEYType) -> bool:
        try:
            with winreg.OpenKey(key, "TriggerInfo"):
                return True
        except OSError:
            return False

    def _states(names: Iterable[str]) -> Iterable[Service]:
        for name in names:
            try:
                status = psutil.win_service_get(name).status()
            except (psutil.Error, OSError):
                continue
            state = condition(status)
            if state is not None:
                yield Service(name, state, status)

else:

    def collector(setup: Setup) -> Callable[[], Collected]:
        """No data: this is not Windows."""
        return Collected
