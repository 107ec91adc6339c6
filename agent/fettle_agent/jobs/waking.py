"""Wakes neighbours: magic packets to the broadcast addresses of this PC's own network segments.

It is not signed because it harms nobody: a PC that is on takes no notice, and one that is off and was set up so starts. Source:
https://www.amd.com/content/dam/amd/en/documents/archived-tech-docs/white-papers/20213.pdf (Magic Packet Technology).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

import psutil

MAX_MACS = 64
_PORT = 9


def packet(mac: bytes) -> bytes:
    """Six bytes of ones, then the address sixteen times."""
    return b"\xff" * 6 + mac * 16


def wake(macs: Iterable[bytes], port: int = _PORT) -> int:
    """Send to each address twice on every segment; how many addresses were good."""
    good = [mac for mac in dict.fromkeys(macs) if len(mac) == 6 and any(mac)][:MAX_MACS]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for address in broadcasts():
            for mac in good * 2:
                with contextlib.suppress(OSError):
                    line.sendto(packet(mac), (address, port))
    return len(good)


def broadcasts() -> list[str]:
    """The broadcast address of each segment that this PC is on."""
    found = [
        one.broadcast
        for cards in psutil.net_if_addrs().values()
        for one in cards
        if one.family == socket.AF_INET and one.broadcast and not one.address.startswith("127.")
    ]
    return list(dict.fromkeys([*found, "255.255.255.255"]))
