"""The certificate authority: what it signs, and what it refuses to sign."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fettle_protocol import identity
from fettle_server.estate.enrolment import pki

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
LIFE = dt.timedelta(days=90)
NAMES = (identity.SERVER_NAME, "localhost", "127.0.0.1", "::1")


@pytest.fixture
def authority(tmp_path: Path) -> pki.Authority:
    return pki.make_authority(tmp_path, NOW)


def csr(key: object, name: str = "administrator") -> bytes:
    """A signing request that asks for far more than it gets."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


def test_authority_reads_back_and_its_key_is_private(tmp_path: Path, authority: pki.Authority) -> None:
    assert pki.load_authority(tmp_path).sha256 == authority.sha256
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_authority_is_never_made_over_another(tmp_path: Path, authority: pki.Authority) -> None:
    with pytest.raises(FileExistsError):
        pki.make_authority(tmp_path, NOW)


def test_authority_with_another_key_is_refused(tmp_path: Path, authority: pki.Authority) -> None:
    (tmp_path / "ca.key").write_bytes(identity.key_pem(identity.new_key()))
    with pytest.raises(pki.PkiError, match="is not the key of"):
        pki.load_authority(tmp_path)


def test_endpoint_certificate_says_what_the_server_says_not_what_the_request_asks(authority: pki.Authority) -> None:
    key = pki.key_of_csr(csr(identity.new_key()))
    issued = pki.issue_endpoint(authority, "ab" * 16, key, life=LIFE, now=NOW)
    certificate = x509.load_pem_x509_certificate(issued.pem)
    certificate.verify_directly_issued_by(authority.certificate)
    assert certificate.subject.rfc4514_string() == f"CN={'ab' * 16}"
    assert certificate.not_valid_after_utc == issued.not_after == NOW + LIFE
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [identity.endpoint_uri("ab" * 16)]


def test_no_certificate_outlives_the_authority(authority: pki.Authority) -> None:
    key = pki.key_of_csr(csr(identity.new_key()))
    issued = pki.issue_endpoint(authority, "ab" * 16, key, life=dt.timedelta(days=9999), now=NOW)
    assert issued.not_after <= authority.certificate.not_valid_after_utc


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(public_exponent=65537, key_size=1024),
    ],
    ids=["P-384", "Ed25519", "RSA-1024"],
)
def test_other_keys_than_p256_and_strong_rsa_are_refused(key: object) -> None:
    with pytest.raises(pki.PkiError, match="P-256"):
        pki.key_of_csr(csr(key))


def test_rsa_2048_will_do() -> None:
    assert isinstance(pki.key_of_csr(csr(rsa.generate_private_key(public_exponent=65537, key_size=2048))), rsa.RSAPublicKey)


def test_request_that_another_key_signed_is_refused() -> None:
    request = bytearray(csr(identity.new_key()))
    request[-1] ^= 1
    with pytest.raises(pki.PkiError):
        pki.key_of_csr(bytes(request))


@pytest.mark.parametrize("request_bytes", [b"", b"\x30\x00", b"garbage" * 10, b"\x30" * 5000])
def test_bytes_that_are_no_request_are_refused(request_bytes: bytes) -> None:
    with pytest.raises(pki.PkiError):
        pki.key_of_csr(request_bytes)


def test_server_certificate_carries_every_name_and_its_authority(authority: pki.Authority) -> None:
    _, chain = pki.issue_server(authority, NAMES, NOW)
    leaf, root = x509.load_pem_x509_certificates(chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [identity.SERVER_NAME, "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert root == authority.certificate


@pytest.mark.parametrize(
    ("names", "later", "still"),
    [
        (NAMES, dt.timedelta(0), True),
        (NAMES, dt.timedelta(days=300), True),
        (NAMES, dt.timedelta(days=340), False),
        ((*NAMES, "new.example"), dt.timedelta(0), False),
    ],
    ids=["fresh", "old", "about to expire", "another name"],
)
def test_server_certificate_is_made_anew_when_it_must_be(
    authority: pki.Authority, names: tuple[str, ...], later: dt.timedelta, still: bool
) -> None:
    _, chain = pki.issue_server(authority, NAMES, NOW)
    assert pki.serves_still(chain, authority, names, NOW + later) is still


def test_server_certificate_of_another_authority_is_not_ours(tmp_path: Path, authority: pki.Authority) -> None:
    (tmp_path / "other").mkdir()
    other = pki.make_authority(tmp_path / "other", NOW)
    _, chain = pki.issue_server(other, NAMES, NOW)
    assert not pki.serves_still(chain, authority, NAMES, NOW)
