"""Which package managers this machine has, by name: only those are imported, for each import costs memory on every PC."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from fettle_agent.packages import Provider

_TABLE: dict[str, tuple[tuple[str, str], ...]] = {
    "linux": (("apt", "apt:Apt"), ("dnf", "dnf:Dnf"), ("flatpak", "flatpak:Flatpak"), ("snap", "snap:Snap")),
    "windows": (("windows", "windows_update:WindowsUpdate"), ("winget", "winget:Winget"), ("choco", "choco:Choco")),
    "macos": (("softwareupdate", "softwareupdate:SoftwareUpdate"), ("brew", "brew:Brew")),
}
"""The providers of each system, by their names in steps; each module has a function `is_here` that imports no more."""


def providers(system: str, keep: Path) -> dict[str, Provider]:
    """The package managers that are installed here, by name.

    `keep` is a folder of the agent's own, made when first needed, for the package files that can bring former versions back.
    """
    found: dict[str, Provider] = {}
    for name, factory in _TABLE.get(system, ()):
        module_name, _, maker = factory.partition(":")
        module = importlib.import_module(f"fettle_agent.packages.{module_name}")
        if module.is_here():
            make: Callable[[Path], Provider] = getattr(module, maker)
            found[name] = make(keep / name)
    return found
