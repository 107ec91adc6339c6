"""Name servers: whether one of those that this machine uses answers, and how fast.

Speaks just enough DNS to ask for the root's name servers, a question that says nothing about anyone, and to see that an
answer is one. Any well-formed answer shows a name server at work, be it "no such name" or "refused"; only "server failure"
does not: so speaks a forwarder that has lost its own way out. Windows keeps its name servers elsewhere: addresses_windows.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterable

from fettle_agent.collectors import Collected, Reading, Setup, addresses

PORT = 53
TRIES = 2
TRY_S = 1.0
_HEADER = struct.Struct(">HHHHHH")
_QUESTION = b"\x00" + struct.pack(">HH", 2, 1)  # the root's NS records
_ANSWER, _RECURSE, _SERVER_FAILURE = 0x8000, 0x0100, 2


def query(number: int) -> bytes:
    """The question, as it goes over the wire."""
    return _HEADER.pack(number, _RECURSE, 1, 0, 0, 0) + _QUESTION


def is_answer(message: bytes, number: int) -> bool:
    """True where the bytes are a well-formed answer to the question of that number, and not a server's failure."""
    if len(message) < _HEADER.size:
        return False
    answered, flags, questions = _HEADER.unpack_from(message)[:3]
    asked = message[_HEADER.size :].startswith(_QUESTION) if questions else True
    return answered == number and bool(flags & _ANSWER) and questions <= 1 and asked and flags & 0x0F != _SERVER_FAILURE


def servers_in(resolv_conf: str) -> tuple[str, ...]:
    """The name servers that a resolv.conf names, in order, at most as many as the C library asks."""
    rows = (line.split() for line in resolv_conf.splitlines())
    return addresses.among(row[1] for row in rows if len(row) >= 2 and row[0] == "nameserver")


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of dns.working and dns.latency_ms; no data where no name server is set."""
    configured = _from_registry if setup.system == "windows" else _from_file

    def collect() -> Collected:
        return check(configured())

    return collect


def check(servers: Iterable[str], *, port: int = PORT) -> Collected:
    """Ask each server in order until one answers."""
    silent = 0
    for server in servers:
        took_s = ask(server, port=port)
        if took_s is not None:
            return Collected((Reading("dns.working", 1.0), Reading("dns.latency_ms", took_s * 1000)))
        silent += 1
    if not silent:
        return Collected()
    return Collected((Reading("dns.working", 0.0, detail=f"none of {silent} name servers answers"),))


def ask(server: str, *, port: int = PORT) -> float | None:
    """Seconds until the server answered, None where it did not within two tries."""
    for _ in range(TRIES):
        try:
            took_s = _try(server, port)
        except OSError:
            continue
        if took_s is not None:
            return took_s
    return None


def _try(server: str, port: int) -> float | None:
    family, kind, protocol, _, address = socket.getaddrinfo(
        server.encode(), port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    number = int.from_bytes(os.urandom(2), "big")
    with socket.socket(family, kind, protocol) as channel:
        channel.connect(address)
        started = time.monotonic()
        channel.send(query(number))
        while (left := started + TRY_S - time.monotonic()) > 0:
            channel.settimeout(left)
            if is_answer(channel.recv(4096), number):
                return time.monotonic() - started
    return None


def _from_file() -> tuple[str, ...]:
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
            return servers_in(file.read(65_536))
    except OSError:
        return ()


def _from_registry() -> tuple[str, ...]:
    from fettle_agent.collectors import addresses_windows

    return addresses_windows.name_servers()
