r"""Windows's name servers and gateway: those that a person set, else those that DHCP gave, from the registry.

Only interfaces that hold an address now are asked. Source: the values under Tcpip\Parameters\Interfaces are documented in
"TCP/IP and NBT configuration parameters for Windows" (Microsoft).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping

from fettle_agent.collectors import addresses

_NOWHERE = frozenset({"", "0.0.0.0"})  # noqa: S104 - what an interface without an address holds; nothing is bound


def choose(interfaces: Iterable[Mapping[str, object]], *names: str) -> tuple[str, ...]:
    """The addresses in those interfaces' registry values, in order, bounded: of each the first of the names that holds any."""
    words: list[str] = []
    for values in interfaces:
        if not ({_first(values.get("IPAddress")), _first(values.get("DhcpIPAddress"))} - _NOWHERE):
            continue
        chosen = next((text for text in (_first(values.get(name)) for name in names) if text not in _NOWHERE), "")
        words += [word for word in re.split(r"[ ,;]+", chosen) if word not in _NOWHERE]
    return addresses.among(words)


def _first(value: object) -> str:
    """The text of a registry value, which may be a list of texts."""
    if isinstance(value, list):
        value = next((word for word in value if word), "")
    return value.strip() if isinstance(value, str) else ""


if sys.platform == "win32":
    import winreg

    _PATH = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces"
    _NAMES = ("NameServer", "DhcpNameServer", "DefaultGateway", "DhcpDefaultGateway", "IPAddress", "DhcpIPAddress")

    def name_servers() -> tuple[str, ...]:
        """The name servers of this machine; none on a system other than Windows."""
        return choose(_interfaces(), "NameServer", "DhcpNameServer")

    def gateway() -> str | None:
        """The gateway of this machine's first interface that has one; None on a system other than Windows."""
        return next(iter(choose(_interfaces(), "DefaultGateway", "DhcpDefaultGateway")), None)

    def _interfaces() -> list[dict[str, object]]:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _PATH) as folder:
            return [_values(folder, winreg.EnumKey(folder, index)) for index in range(winreg.QueryInfoKey(folder)[0])]

    def _values(folder: winreg.HKEYType, name: str) -> dict[str, object]:
        values: dict[str, object] = {}
        with winreg.OpenKey(folder, name) as key:
            for value in _NAMES:
                try:
                    values[value] = winreg.QueryValueEx(key, value)[0]
                except OSError:
                    continue
        return values

else:

    def name_servers() -> tuple[str, ...]:
        """The name servers of this machine; none on a system other than Windows."""
        return ()

    def gateway() -> str | None:
        """The gateway of this machine's first interface that has one; None on a system other than Windows."""
        return None
