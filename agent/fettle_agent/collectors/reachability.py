"""The gateway: whether the way out of this network answers, and how fast.

Asks in the order of how much an answer proves: an echo (ICMP), a TCP connection (accepted or refused, both are answers), and
last the neighbour table: a gateway that hides from both but whose hardware address was just confirmed is there, though how
fast it is nobody can say. Each result's detail says which of them spoke.
"""

from __future__ import annotations

import errno
import re
import socket
import struct
import sys
import time
from collections.abc import Callable

from fettle_agent.collectors import Collected, CollectError, Reading, Setup, tools

TRY_S = 1.0
_TCP_PORTS = (53, 80, 443)
_ECHO, _ECHO_REPLY = 8, 0
_GATEWAY_FLAG = 0x2
_COMPLETE_FLAG = 0x2
_ROUND_TRIP = re.compile(r"[=<]\s?(\d{1,9}(?:[.,]\d{1,9})?)\s?ms")
_ADDRESS = re.compile(r"^\d{1,3}(\.\d{1,3}){3}$")


def gateway_in(route_table: str) -> str | None:
    """The IPv4 gateway of the default route with the lowest metric, in the form of Linux's /proc/net/route."""
    best: tuple[int, str] | None = None
    for line in route_table.splitlines()[1:]:
        fields = line.split()
        try:
            if len(fields) < 8 or int(fields[1], 16) != 0 or int(fields[7], 16) != 0 or not int(fields[3], 16) & _GATEWAY_FLAG:
                continue
            route = int(fields[6]), socket.inet_ntoa(struct.pack("<L", int(fields[2], 16)))
        except (ValueError, struct.error):
            continue
        best = route if best is None else min(best, route)
    return None if best is None else best[1]


def gateway_printed(text: str) -> str | None:
    """The gateway in what macOS's `route -n get default` printed."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[0] == "gateway:" and _ADDRESS.match(fields[1]):
            return fields[1]
    return None


def is_neighbour(arp_table: str, address: str) -> bool:
    """True where the table (Linux's /proc/net/arp, or `arp -a`) holds a hardware address for that neighbour."""
    for line in arp_table.splitlines():
        fields = line.split()
        if address not in fields and f"({address})" not in fields:
            continue
        if fields[0] == address and len(fields) >= 6 and fields[2].startswith("0x"):
            return fields[3] != "00:00:00:00:00:00" and _flags(fields[2]) & _COMPLETE_FLAG != 0
        return any(re.fullmatch(r"([0-9a-fA-F]{1,2}[:-]){5}[0-9a-fA-F]{1,2}", field) for field in fields)
    return False


def _flags(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of gateway.*; no data on a machine that never had a gateway while this agent runs."""
    had = False

    def collect() -> Collected:
        nonlocal had
        gateway = _gateway(setup.system)
        if gateway is not None:
            had = True
            return check(gateway, setup.system)
        return Collected((Reading("gateway.reachable", 0.0, detail="there is no way out any more"),) if had else ())

    return collect


def check(gateway: str, system: str) -> Collected:
    """What the gateway answers to the first of the three ways that gets an answer."""
    for way, ask in (("echo", _echo), ("TCP", _connect)):
        took_s = ask(gateway)
        if took_s is not None:
            found = Reading("gateway.reachable", 1.0, detail=f"answers {way}")
            return Collected((found, Reading("gateway.latency_ms", took_s * 1000)))
    there = is_neighbour(_neighbours(system), gateway)
    detail = "answers only for its hardware address" if there else "answers neither echo, TCP nor address requests"
    return Collected((Reading("gateway.reachable", float(there), detail=detail),))


def _echo(address: str) -> float | None:
    """Seconds to the echo by a socket of our own where the system lets us, else by the system's ping."""
    for kind in () if sys.platform == "win32" else (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            channel = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
        except OSError:
            continue
        with channel:
            return _exchange(channel, address)
    return _ping(address)


def _exchange(channel: socket.socket, address: str) -> float | None:
    mark = struct.pack(">d", time.monotonic())
    head = struct.pack(">BBHHH", _ECHO, 0, 0, id(channel) & 0xFFFF, 1)
    packet = head[:2] + struct.pack(">H", checksum(head + mark)) + head[4:] + mark
    started = time.monotonic()
    try:
        channel.sendto(packet, (address, 0))
        while (left := started + TRY_S - time.monotonic()) > 0:
            channel.settimeout(left)
            answer, (sender, *_) = channel.recvfrom(256)
            body = answer[(answer[0] & 0x0F) * 4 :] if answer and answer[0] >> 4 == 4 else answer
            if sender == address and body[:1] == bytes([_ECHO_REPLY]) and body[8:16] == mark:
                return time.monotonic() - started
    except OSError:
        return None
    return None


def _ping(address: str) -> float | None:
    """Seconds that the system's ping took to say yes, its own start included where it prints no time."""
    arguments = ("-n", "1", "-w", "1000", address) if sys.platform == "win32" else ("-n", "-c", "1", address)
    try:
        output = tools.run("ping", *arguments, timeout_s=TRY_S + 1)
    except CollectError:
        return None
    return ping_seconds(output)


def ping_seconds(output: str) -> float | None:
    """The round trip in what ping printed for its first answer; None where none came (Windows's ping then still ends well)."""
    for line in output.splitlines():
        found = _ROUND_TRIP.search(line)
        if found is not None and "TTL=" in line.upper():
            return float(found[1].replace(",", ".")) / 1000
    return None


def _connect(address: str) -> float | None:
    for port in _TCP_PORTS:
        started = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as channel:
            channel.settimeout(TRY_S / len(_TCP_PORTS))
            result = channel.connect_ex((address, port))
        if result in (0, errno.ECONNREFUSED, getattr(errno, "WSAECONNREFUSED", errno.ECONNREFUSED)):
            return time.monotonic() - started
    return None


def _gateway(system: str) -> str | None:
    if system == "linux":
        return gateway_in(_file("/proc/net/route"))
    if system == "windows":
        from fettle_agent.collectors import addresses_windows

        return addresses_windows.gateway()
    return gateway_printed(tools.run("route", "-n", "get", "default", timeout_s=5, accept=None))


def _neighbours(system: str) -> str:
    if system == "linux":
        return _file("/proc/net/arp")
    try:
        return tools.run("arp", "-an" if system == "macos" else "-a", timeout_s=5, accept=None)
    except CollectError:
        return ""


def _file(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(1_000_000)
    except OSError:
        return ""
