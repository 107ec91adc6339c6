r"""Windows's name servers: those that a person set, else those that DHCP gave, from the registry of the TCP/IP service.

Only interfaces that hold an address now are asked. Source: the values NameServer and DhcpNameServer under
Tcpip\Parameters\Interfaces are documented in "TCP/IP and NBT configuration parameters for Windows" (Microsoft).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping

from fettle_agent.collectors import dns

_NOWHERE = frozenset({"", "0.0.0.0"})  # noqa: S104 - what an interface without an address holds; nothing is bound


def choose(interfaces: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """The name servers of those interfaces' registry values, in order, bounded."""
    words: list[str] = []
    for values in interfaces:
        if not ({_first(values.get("IPAddress")), _first(values.get("DhcpIPAddress"))} - _NOWHERE):
            continue
        chosen = _first(values.get("NameServer")) or _first(values.get("DhcpNameServer"))
        words += [word for word in re.split(r"[ ,;]+", chosen) if word]
    return dns.addresses(words)


def _first(value: object) -> str:
    """The text of a registry value, which may be a list of texts."""
    if isinstance(value, list):
        value = next((word for word in value if word), "")
    return value.strip() if isinstance(value, str) else ""


if sys.platform == "win32":
    import winreg

    _PATH = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces"
    _NAMES = ("NameServer", "DhcpNameServer", "IPAddress", "DhcpIPAddress")

    def name_servers() -> tuple[str, ...]:
        """The name servers of this machine; none on a system other than Windows."""
        return choose(_interfaces())

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
