"""Whether an address can be listened on: asked before a server starts, and by `fettle doctor`."""

from __future__ import annotations

import errno
import socket

from fettle_server.config import split_address

_REASONS = {
    errno.EADDRINUSE: "the port is taken by another program",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "this port needs more rights than this user has",
}


def why_not(address: str) -> str:
    """Why nobody can listen on "host:port" now; empty where one can.

    Raises:
        SettingsError: not an address.
    """
    host, port = split_address(address)
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        return _REASONS.get(error.errno or 0, str(error))
    return ""
