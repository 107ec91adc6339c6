"""Looks at the server from outside: can it be reached, and which certificates does it show?

Used by enrol and doctor, before there is anybody to trust. Nothing is believed here: the chain is only fetched, through the
proxy where there is one, and its reader compares it with what it was given by hand.
"""

from __future__ import annotations

import base64
import socket
import ssl
from typing import Any

from fettle_agent.errors import PeerError
from fettle_agent.proxy import parse

TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 8192


def split(address: str) -> tuple[str, int]:
    """Host and port of HOST:PORT, with or without the brackets of an IPv6 address.

    Raises:
        PeerError: not of that form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise PeerError("address", f"{address} is not HOST:PORT: write both, such as fettle.school.example:7443")
    return host.strip("[]"), int(port)


def fetch_chain(address: str, proxy: str = "") -> list[bytes]:
    """The certificates that the server shows, in DER form, its own first.

    Raises:
        PeerError: the name does not resolve, nothing answers, the proxy refuses, or what answers does not speak TLS.
    """
    host, _ = split(address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with connect(address, proxy) as line:
        try:
            with context.wrap_socket(line, server_hostname=host) as secured:
                return _chain(secured)
        except TimeoutError as error:
            raise PeerError("unreachable", f"{address} took the connection but does not speak: check host and port") from error
        except (ssl.SSLError, OSError) as error:
            text = f"what answers at {address} does not speak TLS ({_reason(error)}): check host and port"
            raise PeerError("protocol", text) from error


def connect(address: str, proxy: str = "") -> socket.socket:
    """A connection to the server, through the proxy where there is one.

    Raises:
        PeerError: as fetch_chain.
    """
    host, port = split(address)
    if not proxy:
        return _open(host, port, address)
    way = parse(proxy)
    line = _open(way.host, way.port, f"the proxy {way.host}:{way.port}")
    try:
        _ask_proxy(line, f"{host}:{port}", way.credentials)
    except BaseException:
        line.close()
        raise
    return line


def _open(host: str, port: int, what: str) -> socket.socket:
    try:
        return socket.create_connection((host, port), timeout=TIMEOUT_S)
    except socket.gaierror as error:
        raise PeerError("name", f"the name {host} cannot be resolved: check the name and this machine's DNS") from error
    except ConnectionRefusedError as error:
        raise PeerError("refused", f"nothing listens at {what}: check that it runs and that host and port are right") from error
    except OSError as error:
        text = f"{what} does not answer ({_reason(error)}): check this machine's network, and firewalls on the way"
        raise PeerError("unreachable", text) from error


def _ask_proxy(line: socket.socket, target: str, credentials: str) -> None:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if credentials:
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(credentials.encode()).decode()}")
    answer = b""
    try:
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in answer and len(answer) < _MAX_ANSWER_BYTES:
            part = line.recv(1024)
            if not part:
                break
            answer += part
    except OSError as error:
        raise PeerError("proxy", f"the proxy does not answer ({_reason(error)})") from error
    first = answer.split(b"\r\n", 1)[0].decode("latin-1")
    if first.split(" ")[1:2] != ["200"]:
        what = f"said: {first}" if first else "ended the connection"
        raise PeerError("proxy", f"the proxy {what}; allow CONNECT to {target} there, or correct its user and password")


def _chain(secured: ssl.SSLSocket) -> list[bytes]:
    """Python 3.13 has this in public; before, the same call lies one object deeper."""
    source: Any = secured if hasattr(secured, "get_unverified_chain") else secured._sslobj  # type: ignore[attr-defined]
    chain = source.get_unverified_chain() or []
    return [one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain]


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error) or type(error).__name__
