r"""Windows's software inventory, from the uninstall keys of the machine's registry, of 64-bit and 32-bit programs.

Programs that one user installed for themselves are theirs and are left out, as are parts of Windows and of other programs.
Source: "Uninstall Registry Key" (Microsoft), HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

from fettle_agent.collectors import Collected, Setup, inventory
from fettle_agent.collectors.documents import Row

NAMES = ("DisplayName", "DisplayVersion", "Publisher", "SystemComponent", "ParentKeyName", "ReleaseType")
_PATCHES = frozenset({"Update", "Hotfix", "Security Update", "ServicePack"})


def packages(keys: Iterable[Mapping[str, object]]) -> Iterator[Row]:
    """The programs of those uninstall keys' values."""
    for values in keys:
        if values.get("SystemComponent") == 1 or values.get("ParentKeyName") or values.get("ReleaseType") in _PATCHES:
            continue
        yield {
            "name": values.get("DisplayName"),
            "version": values.get("DisplayVersion"),
            "maker": values.get("Publisher"),
            "source": "registry",
        }


if sys.platform == "win32":
    import winreg

    _UNINSTALL = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"

    def collector(setup: Setup) -> Callable[[], Collected]:
        """The collector of the "software" inventory."""

        def collect() -> Collected:
            keys = [*_keys(winreg.KEY_WOW64_64KEY), *_keys(winreg.KEY_WOW64_32KEY)]
            return Collected(inventory={"software": inventory.software(packages(keys))})

        return collect

    def _keys(view: int) -> Iterator[dict[str, object]]:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _UNINSTALL, 0, winreg.KEY_READ | view) as folder:
            for index in range(winreg.QueryInfoKey(folder)[0]):
                try:
                    with winreg.OpenKey(folder, winreg.EnumKey(folder, index)) as key:
                        yield _values(key)
                except OSError:
                    continue

    def _values(key: winreg.HKEYType) -> dict[str, object]:
        values: dict[str, object] = {}
        for name in NAMES:
            try:
                values[name] = winreg.QueryValueEx(key, name)[0]
            except OSError:
                continue
        return values

else:

    def collector(setup: Setup) -> Callable[[], Collected]:
        """No data: this is not Windows."""
        return Collected
