"""The shape of identities, and the visitor's that opens nothing but the door to enrolment."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fettle_protocol import identity


def test_every_visitor_has_a_key_of_its_own_under_the_one_public_authority():
    authority = x509.load_pem_x509_certificate(identity.visitor_ca_pem())
    (first_key, first), (second_key, _) = identity.visitor_credentials(), identity.visitor_credentials()
    assert first_key != second_key
    x509.load_pem_x509_certificate(first).verify_directly_issued_by(authority)


def test_the_visitors_authority_has_the_same_key_everywhere():
    keys = {x509.load_pem_x509_certificate(identity.visitor_ca_pem()).public_key().public_numbers() for _ in range(2)}
    assert len(keys) == 1


def test_a_visitor_is_named_as_nobody_and_may_only_be_a_client():
    key, pem = identity.visitor_credentials()
    certificate = x509.load_pem_x509_certificate(pem)
    assert certificate.public_key() == load_pem_private_key(key, None).public_key()
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "visitor"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_an_endpoints_uri_and_fingerprint_have_their_form():
    assert identity.endpoint_uri("ab" * 16) == "fettle://endpoint/" + "ab" * 16
    assert len(identity.fingerprint(b"der")) == 64
