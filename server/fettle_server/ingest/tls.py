"""The TLS side of the gRPC port: which certificate the server shows, and whose client certificates it lets speak at all.

A client certificate that passes here may only knock: who it is, and whether it still counts, the store says at each stream.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import socket
import threading
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from fettle_protocol import identity

from fettle_server import clock, observed
from fettle_server.config import Settings, split_address
from fettle_server.estate.enrolment import pki

CHAIN_FILE = "server.pem"
KEY_FILE = "server.key"
_LOOK_AGAIN = dt.timedelta(hours=1)
_WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to
_HOST_NAME = re.compile(r"[A-Za-z0-9*]([A-Za-z0-9.*-]{0,251}[A-Za-z0-9])?")


def server_names(settings: Settings) -> tuple[str, ...]:
    """The names and addresses that the server's own certificate carries."""
    host, _ = split_address(settings.grpc)
    bound = [] if host in _WILDCARDS else [host]
    wanted = [identity.SERVER_NAME, "localhost", "127.0.0.1", "::1", socket.gethostname(), *bound, *settings.server_names]
    return tuple(dict.fromkeys(name for name in wanted if _can_be_certified(name)))


def server_certificate(settings: Settings, authority: pki.Authority, now: dt.datetime) -> tuple[bytes, bytes]:
    """(key PEM, chain PEM) that the server shows: the organisation's own where set, else ours, made anew when it must be.

    Raises:
        PkiError: the organisation's own files cannot be used.
    """
    if settings.grpc_certificate:
        return _own_files(Path(settings.grpc_certificate), Path(settings.grpc_key))
    key_path, chain_path, names = settings.data / KEY_FILE, settings.data / CHAIN_FILE, server_names(settings)
    if key_path.exists() and chain_path.exists():
        key, chain = key_path.read_bytes(), chain_path.read_bytes()
        if pki.serves_still(chain, authority, names, now) and _belong_together(key, chain):
            return key, chain
    key, chain = pki.issue_server(authority, names, now)
    pki.write_secret(key_path, key)
    chain_path.write_bytes(chain)
    observed.log().info("the server's certificate was made", names=list(names))
    return key, chain


class Credentials:
    """The port's credentials. They look at the certificate again each hour, so that none expires under a long-lived server."""

    def __init__(self, settings: Settings, authority: pki.Authority) -> None:
        self._settings = settings
        self._authority = authority
        self._roots = authority.pem + identity.visitor_ca_pem()
        self._lock = threading.Lock()
        self._looked_at = clock.utc_now()
        self._shown = server_certificate(settings, authority, self._looked_at)

    def for_port(self) -> grpc.ServerCredentials:
        """What add_secure_port takes: every client must show a certificate of ours or the visitors'."""
        return grpc.dynamic_ssl_server_credentials(self._configuration(), self._changed, require_client_authentication=True)

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([self._shown], root_certificates=self._roots)

    def _changed(self) -> Any:
        """Called by gRPC's threads for each handshake; None: go on as before."""
        now = clock.utc_now()
        with self._lock:
            if now - self._looked_at < _LOOK_AGAIN:
                return None
            self._looked_at = now
            try:
                shown = server_certificate(self._settings, self._authority, now)
            except (pki.PkiError, OSError) as error:
                observed.log().error("the server's certificate could not be looked at again", error=str(error))
                return None
            if shown == self._shown:
                return None
            self._shown = shown
            return self._configuration()


def _own_files(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    try:
        pair = key.read_bytes(), certificate.read_bytes()
    except OSError as error:
        raise pki.PkiError(f"the settings grpc_certificate and grpc_key cannot be read: {error}") from error
    if not _belong_together(*pair):
        raise pki.PkiError(
            f"{key} is not the unencrypted private key of {certificate}: see the settings grpc_certificate and grpc_key"
        )
    return pair


def _belong_together(key_pem: bytes, chain_pem: bytes) -> bool:
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
        return key.public_key() == x509.load_pem_x509_certificate(chain_pem).public_key()
    except (ValueError, TypeError):
        return False


def _can_be_certified(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return _HOST_NAME.fullmatch(name) is not None
    return True
