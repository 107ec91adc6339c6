"""Who may speak: stolen, expired, revoked and foreign certificates against the real server."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fettle_protocol import identity
from fettle_protocol.v1 import link_pb2


def self_signed(name: str) -> tuple[bytes, bytes]:
    key = identity.new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return identity.key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def signed_by(data: Path, name: str, *, valid: tuple[int, int]) -> tuple[bytes, bytes]:
    """A certificate of the server's own CA, valid from and to so many days from now, that the server never issued."""
    authority = x509.load_pem_x509_certificate((data / "ca.pem").read_bytes())
    authority_key = serialization.load_pem_private_key((data / "ca.key").read_bytes(), None)
    key = identity.new_key()
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.endpoint_uri(name))])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=valid[0]))
        .not_valid_after(now + dt.timedelta(days=valid[1]))
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())  # type: ignore[arg-type]
    )
    return identity.key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def attach(server: Any, key: bytes | None, certificate: bytes | None) -> link_pb2.Downlink:
    """The server's first word to a stream that shows this certificate; RpcError where it gets none."""
    root = (server.data / "ca.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(root, key, certificate)
    options = [("grpc.ssl_target_name_override", identity.SERVER_NAME)]
    hello = link_pb2.Uplink(hello=link_pb2.Hello(protocol=1, instance="i", spool="s", boot="b", machine={"hostname": "pc"}))
    with grpc.secure_channel(server.grpc, credentials, options) as channel:
        call = channel.stream_stream(
            "/fettle.v1.Link/Attach",
            request_serializer=link_pb2.Uplink.SerializeToString,
            response_deserializer=link_pb2.Downlink.FromString,
        )
        return next(iter(call(iter([hello]), timeout=10)))


def refused(server: Any, key: bytes | None, certificate: bytes | None) -> bool:
    try:
        answer = attach(server, key, certificate)
    except grpc.RpcError:
        return True
    return answer.HasField("refusal")


def test_foreign_and_missing_certificates_are_refused(lasting: Any) -> None:
    assert refused(lasting, *self_signed("pc"))
    assert refused(lasting, None, None)


def test_visitor_certificate_opens_no_link(lasting: Any) -> None:
    assert refused(lasting, *identity.visitor_credentials())


@pytest.mark.parametrize("valid", [(-1, 1), (-9, -1)], ids=["never issued", "expired"])
def test_certificate_of_our_ca_that_was_not_issued_or_has_expired_is_refused(
    lasting: Any, enrol: Any, valid: tuple[int, int]
) -> None:
    enrol(to=lasting, start=False)
    endpoint = lasting.endpoints()[0]["id"]
    assert refused(lasting, *signed_by(lasting.data, endpoint, valid=valid))


def test_revoked_endpoint_is_cut_at_once_and_stays_out(server: Any, connected: Any, run: Any, wait_for: Any) -> None:
    run("fettle", "endpoint", "revoke", server.data, server.endpoints()[0]["id"])
    wait_for(lambda: not server.endpoints()[0]["connected"], 5)
    wait_for(lambda: "revoked" in json.dumps(connected.status()).lower(), 10)
    connected.stop()
    connected.start()
    wait_for(lambda: "revoked" in json.dumps(connected.status()).lower(), 15)
    assert not server.endpoints()[0]["connected"]


def test_stolen_identity_is_refused_as_a_clone_and_both_sides_are_told(
    server: Any, connected: Any, enrol: Any, place: Path, wait_for: Any
) -> None:
    thief = enrol("other", start=False)
    shutil.copytree(connected.state, thief.state, dirs_exist_ok=True)
    thief.start()
    wait_for(lambda: "clone" in json.dumps(thief.status()).lower(), 30)
    wait_for(lambda: "clone" in json.dumps(connected.status()).lower(), 15)
    wait_for(lambda: server.incidents("open", "identity-clash"), 15)
    assert [endpoint["connected"] for endpoint in server.endpoints()].count(True) == 1


@pytest.mark.parametrize("change", ["used", "unknown"])
def test_token_that_is_used_or_unknown_is_refused_in_words(lasting: Any, place: Path, run: Any, change: str) -> None:
    token = lasting.token()
    if change == "used":
        run("fettle-agent", "enrol", "--server", lasting.grpc, "--token", token, "--state", place / "first")
    else:
        token = token.replace(token.split("-")[1], "a" * len(token.split("-")[1]))
    answer = run("fettle-agent", "enrol", "--server", lasting.grpc, "--token", token, "--state", place / "second", check=False)
    assert answer.returncode == 1
    assert len(answer.stderr.strip().splitlines()) == 1
    assert "token" in answer.stderr
