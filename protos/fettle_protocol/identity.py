"""The shape of identities: what stands in a certificate, and the visitor's certificate that stands for "not enrolled yet".

Owns names, key types and the visitor's derivation. Does not issue, store or check anything (the server's and agent's own).

gRPC's Python server can demand client certificates of all callers or of none, so a machine that has no identity yet needs
one to reach Enrol. The visitor's key is therefore derived from a public constant: it is no secret, proves nothing, and
opens nothing but Enrol, where the token decides. The server never takes an identity from a certificate's issuer: it looks
the certificate's own fingerprint up among those that it issued.
"""

from __future__ import annotations

import datetime as dt
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_NAME = "fettle-server"
"""In every server certificate that Fettle's own CA issues, so that an agent may reach it by any address."""

_VISITOR_SEED = b"fettle visitor certificate authority, version 1: public, proves nothing"
_VISITOR_SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Fettle visitors (not an identity)")])
_LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_FAR_AHEAD = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)


def endpoint_uri(endpoint_id: str) -> str:
    """The URI that stands as subject alternative name in an endpoint's certificate."""
    return f"fettle://endpoint/{endpoint_id}"


def fingerprint(certificate_der: bytes) -> str:
    """sha256 of the certificate's DER form, 64 lower-case hex digits."""
    return hashlib.sha256(certificate_der).hexdigest()


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key: small certificates, quick handshakes, known to every TLS stack."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def visitor_ca_pem() -> bytes:
    """The visitors' CA certificate, to add to the roots that a server accepts client certificates from."""
    return _visitor_ca(_visitor_key()).public_bytes(serialization.Encoding.PEM)


def visitor_credentials() -> tuple[bytes, bytes]:
    """A (key PEM, certificate PEM) pair that any machine may present in order to call Enrol."""
    authority_key = _visitor_key()
    key = new_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "visitor")]))
        .issuer_name(_VISITOR_SUBJECT)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_LONG_AGO)
        .not_valid_after(_FAR_AHEAD)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def _visitor_key() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(_VISITOR_SEED).digest(), "big") >> 1, ec.SECP256R1())


def _visitor_ca(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_VISITOR_SUBJECT)
        .issuer_name(_VISITOR_SUBJECT)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_LONG_AGO)
        .not_valid_after(_FAR_AHEAD)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
