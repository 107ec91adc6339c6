"""Who the edge lets in over real mTLS, and who it ends."""

from __future__ import annotations

import datetime as dt
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from fettle_protocol import identity
from fettle_protocol.v1 import link_pb2
from fettle_server import clock
from fettle_server.estate.enrolment import pki
from fettle_server.estate.tables import Certificate, Endpoint
from fettle_server.journal import actions as journal

REFUSED_BY_TLS = grpc.StatusCode.UNAVAILABLE


def issue(server: Any, authority: pki.Authority, endpoint_id: str, begins: dt.datetime) -> tuple[bytes, bytes]:
    """A certificate for nine days from a time on, as the store knows it."""
    key = identity.new_key()
    issued = pki.issue_endpoint(authority, endpoint_id, key.public_key(), life=dt.timedelta(days=9), now=begins)
    with server.engine.begin() as tx:
        pk = tx.scalar(sa.select(Endpoint.pk).where(Endpoint.id == endpoint_id))
        row = {"fingerprint": issued.fingerprint, "endpoint_pk": pk, "issued_at": begins, "not_after": issued.not_after}
        tx.execute(sa.insert(Certificate).values(row))
    return identity.key_pem(key), issued.pem


def revoke(server: Any, endpoint_id: str) -> None:
    now = clock.utc_now()
    with server.engine.begin() as tx:
        pk = tx.scalar(sa.select(Endpoint.pk).where(Endpoint.id == endpoint_id))
        tx.execute(sa.update(Endpoint).where(Endpoint.pk == pk).values(revoked_at=now))
        tx.execute(sa.update(Certificate).where(Certificate.endpoint_pk == pk).values(revoked_at=now))
        journal.record(tx, "endpoint.revoked", "system", f"endpoint:{endpoint_id}", None, {}, now)


def test_enrolled_machine_is_welcomed(server: Any) -> None:
    agent = server.enrol()
    talk = agent.attach()
    talk.say(events=[link_pb2.Event(sequence=1, at_ms=clock.now_ms(), power=link_pb2.PowerChange(kind="KIND_BOOTED"))])
    talk.hear_ack(1)
    with server.engine.begin() as tx:
        assert tx.scalar(sa.select(Endpoint.connected).where(Endpoint.id == agent.endpoint_id))


@pytest.mark.parametrize(
    ("text", "words"), [("rubbish", "not an enrolment token"), (f"fettle1-{'a' * 26}-{'0' * 32}", "not know")]
)
def test_enrolment_is_refused_in_words(server: Any, text: str, words: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        server.enrol(text)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert words in refused.value.details()


def test_enrolment_with_garbage_is_refused(server: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        server.call("/fettle.v1.Enrolment/Enrol", b"\xff\xff garbage", *identity.visitor_credentials())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_visitor_may_not_attach(server: Any) -> None:
    agent = server.enrol()
    agent.key, agent.certificate = identity.visitor_credentials()
    talk = agent.knock()
    talk.say_hello("x")
    code, status, _ = talk.end()
    assert (code, status) == ("unknown", grpc.StatusCode.UNAUTHENTICATED)


def test_first_word_is_bounded_before_anybody_is_known(server: Any) -> None:
    talk = server.enrol().knock()
    talk.say(hello=link_pb2.Hello(protocol=1, instance="x" * 20_000))
    assert talk.end()[:2] == ("protocol", grpc.StatusCode.RESOURCE_EXHAUSTED)


def test_visitor_may_not_renew(server: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        server.call("/fettle.v1.Enrolment/Renew", b"", *identity.visitor_credentials())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_caller_without_a_certificate_is_refused(server: Any) -> None:
    credentials = grpc.ssl_channel_credentials(server.authority.pem)
    options = [("grpc.ssl_target_name_override", identity.SERVER_NAME)]
    with grpc.secure_channel(server.address, credentials, options) as opened, pytest.raises(grpc.RpcError) as refused:
        opened.unary_unary("/fettle.v1.Enrolment/Enrol")(b"", timeout=10)
    assert refused.value.code() is REFUSED_BY_TLS


def test_certificate_of_a_foreign_authority_is_refused(server: Any, tmp_path: Any) -> None:
    (tmp_path / "foreign").mkdir()
    foreign = pki.make_authority(tmp_path / "foreign", clock.utc_now())
    agent = server.enrol()
    agent.key, agent.certificate = issue(server, foreign, agent.endpoint_id, clock.utc_now())
    assert agent.knock().end()[1] is REFUSED_BY_TLS


def test_foreign_certificate_that_names_our_authority_is_refused(server: Any) -> None:
    agent = server.enrol()
    key = identity.new_key()
    real = x509.load_pem_x509_certificate(agent.certificate)
    builder = x509.CertificateBuilder(
        issuer_name=real.issuer,
        subject_name=real.subject,
        public_key=key.public_key(),
        serial_number=real.serial_number,
        not_valid_before=real.not_valid_before_utc,
        not_valid_after=real.not_valid_after_utc,
        extensions=list(real.extensions),
    )
    agent.key = identity.key_pem(key)
    agent.certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    assert agent.knock().end()[1] is REFUSED_BY_TLS


def test_certificate_of_ours_that_the_store_does_not_know_is_refused(server: Any) -> None:
    agent = server.enrol()
    key = identity.new_key()
    issued = pki.issue_endpoint(
        server.authority, agent.endpoint_id, key.public_key(), life=dt.timedelta(days=9), now=clock.utc_now()
    )
    agent.key, agent.certificate = identity.key_pem(key), issued.pem
    talk = agent.knock()
    talk.say_hello("x")
    assert talk.end()[:2] == ("unknown", grpc.StatusCode.UNAUTHENTICATED)


def test_expired_certificate_is_refused(server: Any) -> None:
    agent = server.enrol()
    past = clock.utc_now() - dt.timedelta(days=10)
    agent.key, agent.certificate = issue(server, server.authority, agent.endpoint_id, past)
    assert agent.knock().end()[1] is REFUSED_BY_TLS


def test_revoked_machine_is_cut_off_while_it_streams(server: Any) -> None:
    agent = server.enrol()
    talk = agent.attach()
    revoke(server, agent.endpoint_id)
    assert talk.end()[:2] == ("revoked", grpc.StatusCode.UNAUTHENTICATED)


def test_revoked_machine_does_not_come_back(server: Any) -> None:
    agent = server.enrol()
    revoke(server, agent.endpoint_id)
    talk = agent.knock()
    talk.say_hello("x")
    assert talk.end()[:2] == ("revoked", grpc.StatusCode.UNAUTHENTICATED)


def test_renewed_certificate_opens_the_link(server: Any) -> None:
    agent = server.enrol()
    key = identity.new_key()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    body = link_pb2.RenewRequest(csr_der=request.public_bytes(serialization.Encoding.DER)).SerializeToString()
    answer = link_pb2.RenewResponse.FromString(server.call("/fettle.v1.Enrolment/Renew", body, agent.key, agent.certificate))
    agent.key, agent.certificate = identity.key_pem(key), answer.certificate_pem
    agent.attach()
    assert answer.ca_pem == server.authority.pem


def test_unknown_method_is_unimplemented(server: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        server.call("/fettle.v1.Link/Nothing", b"", *identity.visitor_credentials())
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
