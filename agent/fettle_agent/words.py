"""Words for what gRPC and the network say when there is no stream: which of a school's usual troubles it is, and what to do.

Text in, PeerError out; nothing here asks the network.
"""

from __future__ import annotations

from fettle_agent.errors import PeerError

_SIGNS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("http proxy returned", "http proxy"),
        "proxy",
        "the proxy does not let {address} through: allow CONNECT to it there, or correct its user and password",
    ),
    (
        (
            "hostname lookup error",
            "address lookup failed",
            "domain name not found",
            "dns resolution",
            "name or service not known",
        ),
        "name",
        "the name in {address} cannot be resolved: check the name and this machine's DNS",
    ),
    (
        ("certificate has expired", "certificate is not yet valid"),
        "clock",
        "by this machine's clock the certificate at {address} is not valid now: set the clock, or renew that certificate",
    ),
    (
        ("certificate_verify_failed", "hostname verification"),
        "intercepted",
        "the certificate at {address} is not the enrolled server's: TLS is intercepted on the way, or it is another server; "
        "fettle-agent doctor names who issued it",
    ),
    (
        ("wrong_version_number", "cannot check peer", "missing selected alpn"),
        "protocol",
        "what answers at {address} is not a Fettle server: check host and port",
    ),
    (
        ("connection refused",),
        "refused",
        "nothing listens at {address}, or the proxy to it is gone: check that the server runs, and host and port",
    ),
    (
        ("timed out", "timeout", "deadline", "no route to host", "unreachable"),
        "unreachable",
        "{address} does not answer: check this machine's network, and firewalls on the way",
    ),
    (
        ("socket closed", "connection reset", "reset by peer", "broken pipe", "goaway", "stream removed", "handshake failed"),
        "cut",
        "the connection to {address} was cut",
    ),
)
"""Marks in what gRPC says, in the order in which they are looked for; a handshake that failed for no named reason was cut."""


def explain(status: str, details: str, address: str) -> PeerError:
    """What a failed call means. `status` is gRPC's status name, `details` what came with it."""
    said = details.lower()
    if status in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return PeerError("revoked", f"the server refused this machine: {details}")
    for signs, code, text in _SIGNS:
        if any(sign in said for sign in signs):
            return PeerError(code, text.format(address=address))
    if status == "UNIMPLEMENTED":
        return PeerError(
            "protocol", f"what answers at {address} does not speak Fettle: check host and port, and the server's version"
        )
    return PeerError(status.lower(), f"{address}: {details or status.lower()}")
