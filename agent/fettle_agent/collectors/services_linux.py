"""Linux's services where systemd is the first process; elsewhere it hands over to the init scripts.

Asking systemd is a walk over D-Bus, so a cheap sign decides when: a service that starts or stops makes or removes its
control group, which changes a folder's listing at once. Without a change systemd is asked again after a while.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping

from fettle_agent.collectors import Collected, Setup, initscripts_linux, tools
from fettle_agent.collectors.changes import Renewed
from fettle_agent.collectors.services import Condition, Service, Watch

SYSTEMD_SIGN = "/run/systemd/system"
MAX_AGE_S = 600.0
_PROPERTIES = "Id,Type,ActiveState,SubState,UnitFileState,TriggeredBy,ConditionResult"
_SLICES = ("/sys/fs/cgroup/system.slice", "/sys/fs/cgroup/systemd/system.slice")


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of service.running."""
    watch = Watch(setup.services)
    if os.path.isdir(SYSTEMD_SIGN):
        units = Renewed(ask, control_groups, max_age_s=MAX_AGE_S)
        return lambda: watch.readings(units.value())
    scripts = initscripts_linux.Scripts()
    return lambda: watch.readings(scripts.services())


def ask() -> tuple[Service, ...]:
    """The services of systemd that start by themselves; without --all it would not list those that have stopped.

    Raises:
        CollectError: systemctl failed.
    """
    return parse_units(
        tools.run("systemctl", "show", "--all", "--no-pager", f"--property={_PROPERTIES}", "--", "*.service", timeout_s=15)
    )


def parse_units(text: str) -> tuple[Service, ...]:
    """The services in what `systemctl show` printed: blocks of NAME=VALUE with an empty line between."""
    services = []
    for block in text.split("\n\n"):
        service = _unit(dict(line.split("=", 1) for line in block.splitlines() if "=" in line))
        if service is not None:
            services.append(service)
    return tuple(services)


def _unit(unit: Mapping[str, str]) -> Service | None:
    """The service of a unit; None for what does not start by itself or is meant to end (one-shots, unmet conditions)."""
    name, suffix, _ = unit.get("Id", "").rpartition(".service")
    if not suffix or unit.get("UnitFileState") not in ("enabled", "enabled-runtime"):
        return None
    condition = _condition(unit)
    if condition is None:
        return None
    state = f"{unit.get('ActiveState', '')} ({unit.get('SubState', '')})"
    return Service(name, condition, "starts on demand" if condition is Condition.ON_DEMAND else state)


def _condition(unit: Mapping[str, str]) -> Condition | None:
    state = unit.get("ActiveState", "")
    if unit.get("Type") == "oneshot":
        return None  # does its work and ends; there is nothing that should be running
    if state == "failed" or unit.get("SubState") == "auto-restart":
        return Condition.DIED
    if state in ("active", "reloading", "refreshing"):
        return Condition.RUNNING
    if state != "inactive" or unit.get("ConditionResult") == "no":
        return None  # on its way, or not meant for this machine
    return Condition.ON_DEMAND if unit.get("TriggeredBy") else Condition.STOPPED


def control_groups() -> Hashable:
    """The names of the control groups of services: what changes when one starts or stops."""
    for folder in _SLICES:
        try:
            return frozenset(os.listdir(folder))
        except OSError:
            continue
    return None
