"""Words for what gRPC and the network say when there is no stream: which of a school's usual troubles it is, and what to do.

Text in, PeerError out; nothing here asks the network.
"""

from __future__ import annotations

from fettle_agent.errors import PeerError

_SIGNS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("http proxy", "proxy returned", "http connect handshake"),
        "proxy",
        "the proxy does not let {address} through: allow CONNECT to it there, or correct its user and password",
    ),
    (
        (
            "dns resolution",
            "name resolution",
            "name or service not known",
            "nodename nor servname",
            "could not contact dns",
            "domain name not found",
            "temporary failure in name",
            "getaddrinfo",
        ),
        "name",
        "the name in {address} cannot be resolved: check the name and this machine's DNS",
    ),
    (
        ("hostname verification", "ssl_error_ssl: error:1000007d", "hostname mismatch", "peer name"),
        "intercepted",
        "the certificate at {address} is not the enrolled server's: TLS may be intercepted; see fettle-agent doctor",
    ),
    (
        ("certificate_verify_failed", "certificate verify failed", "self signed", "self-signed", "unable to get local issuer"),
        "untrusted",
        "the certificate at {address} is not the enrolled server's, or this machine's clock is wrong, or TLS is intercepted: "
        "run fettle-agent doctor to see which",
    ),
    (
        (
            "certificate expired",
            "certificate_expired",
            "sslv3_alert_certificate",
            "tlsv1_alert_unknown_ca",
            "tlsv13_alert",
            "alert_bad_certificate",
            "alert_certificate",
            "alert unknown ca",
        ),
        "identity",
        "{address} does not accept this machine's certificate: enrol it again with a new token",
    ),
    (
        ("wrong_version_number", "wrong version number", "no alpn", "missing selected alpn", "cannot check peer"),
        "protocol",
        "what answers at {address} is not a Fettle server: check host and port",
    ),
    (
        ("connection refused", "no connection could be made"),
        "refused",
        "nothing listens at {address}: check that the server runs and that the port is right",
    ),
    (
        (
            "timed out",
            "timeout",
            "deadline",
            "no route to host",
            "network is unreachable",
            "host is unreachable",
            "unreachable",
        ),
        "unreachable",
        "{address} does not answer: check this machine's network, and firewalls on the way",
    ),
    (
        (
            "socket closed",
            "connection reset",
            "broken pipe",
            "goaway",
            "stream removed",
            "recvmsg",
            "endpoint closing",
            "connection aborted",
            "reset by peer",
            "handshaker shutdown",
            "handshake failed",
            "keepalive watchdog",
            "ping timeout",
        ),
        "cut",
        "the connection to {address} was cut",
    ),
)


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
