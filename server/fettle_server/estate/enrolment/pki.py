"""The service's own certificate authority: its key, the server's certificate and the endpoints' certificates.

Owns how certificates are made and read. Does not know the store (actions.py) nor when to make one (the edges).
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fettle_protocol import identity

CA_FILE = "ca.pem"
CA_KEY_FILE = "ca.key"
MAX_CSR_BYTES = 4096
_CA_LIFE = dt.timedelta(days=3653)
_SERVER_LIFE = dt.timedelta(days=397)
_SERVER_RENEW_BEFORE = dt.timedelta(days=60)
_CLOCKS_DIFFER = dt.timedelta(hours=24)  # a certificate begins in the past, so that a machine with a slow clock accepts it
_MIN_RSA_BITS = 2048

EndpointKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class PkiError(Exception):
    """A certificate, key or signing request that cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The service's certificate authority, with the key that signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The authority's certificate, as agents keep it."""
        return pem(self.certificate)

    @property
    def sha256(self) -> str:
        """The fingerprint that a token's pin is cut from."""
        return certificate_sha256(self.certificate)


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh endpoint certificate and what the store keeps of it."""

    pem: bytes
    fingerprint: str
    not_after: dt.datetime


def pem(certificate: x509.Certificate) -> bytes:
    """The certificate in PEM form."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def certificate_sha256(certificate: x509.Certificate) -> str:
    """sha256 of the certificate's DER form, as the store and the pins name it."""
    return identity.fingerprint(certificate.public_bytes(serialization.Encoding.DER))


def fingerprint_of_pem(certificate_pem: bytes) -> str:
    """The same of a certificate that a TLS peer showed."""
    return certificate_sha256(x509.load_pem_x509_certificate(certificate_pem))


def _reason(error: OSError | ValueError) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else "not in PEM form"


def make_authority(directory: Path, now: dt.datetime) -> Authority:
    """Make ca.pem and ca.key (readable by the owner only) in the data directory.

    Raises:
        FileExistsError: there is one already.
    """
    key = identity.new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Fettle authority {os.urandom(4).hex()}")])
    certificate = (
        _builder(name, name, key.public_key(), now, now + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_secret(directory / CA_KEY_FILE, identity.key_pem(key), exclusive=True)
    (directory / CA_FILE).write_bytes(pem(certificate))
    return Authority(certificate, key)


def load_authority(directory: Path) -> Authority:
    """The authority of a data directory.

    Raises:
        PkiError: a file is missing, cannot be read, or the two do not belong together.
    """
    try:
        certificate = x509.load_pem_x509_certificate((directory / CA_FILE).read_bytes())
        key = serialization.load_pem_private_key((directory / CA_KEY_FILE).read_bytes(), password=None)
    except (OSError, ValueError) as error:
        advice = f"restore {CA_FILE} and {CA_KEY_FILE} from a backup"
        raise PkiError(f"the certificate authority in {directory} cannot be read ({_reason(error)}): {advice}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise PkiError(f"{directory / CA_KEY_FILE} is not the key of {directory / CA_FILE}: restore both from one backup")
    return Authority(certificate, key)


def issue_server(authority: Authority, names: tuple[str, ...], now: dt.datetime) -> tuple[bytes, bytes]:
    """A (key PEM, chain PEM) pair for the gRPC server; the chain carries the authority, so that an agent finds its pin."""
    key = identity.new_key()
    certificate = (
        _builder(_common_name(identity.SERVER_NAME), authority.certificate.subject, key.public_key(), now, now + _SERVER_LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_issuer_identifier(authority), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return identity.key_pem(key), pem(certificate) + authority.pem


def serves_still(chain_pem: bytes, authority: Authority, names: tuple[str, ...], now: dt.datetime) -> bool:
    """True where a server certificate is this authority's, carries exactly these names and is not about to expire."""
    try:
        certificate = x509.load_pem_x509_certificate(chain_pem)
        certificate.verify_directly_issued_by(authority.certificate)
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begins <= now < ends - _SERVER_RENEW_BEFORE and set(held) == {_general_name(name) for name in names}


def issue_endpoint(authority: Authority, endpoint_id: str, key: EndpointKey, *, life: dt.timedelta, now: dt.datetime) -> Issued:
    """A client certificate for an endpoint; never valid beyond the authority itself."""
    ends = min(now + life, authority.certificate.not_valid_after_utc).replace(microsecond=0)
    certificate = (
        _builder(_common_name(endpoint_id), authority.certificate.subject, key, now, ends)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.endpoint_uri(endpoint_id))]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(_issuer_identifier(authority), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return Issued(pem(certificate), certificate_sha256(certificate), ends)


def key_of_csr(csr_der: bytes) -> EndpointKey:
    """The public key of a signing request whose signature proves the key; everything else in it is ignored.

    Raises:
        PkiError: not a signing request, a signature that does not fit, or a key that is too weak.
    """
    if len(csr_der) > MAX_CSR_BYTES:
        raise PkiError(f"the signing request is larger than {MAX_CSR_BYTES} bytes")
    try:
        request = x509.load_der_x509_csr(csr_der)
        key, proven = request.public_key(), request.is_signature_valid
    except Exception as error:  # cryptography raises several kinds for hostile bytes: unsupported curves and hashes among them
        raise PkiError("the signing request cannot be read") from error
    if not proven:
        raise PkiError("the signing request is not signed by its own key")
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPublicKey) and _MIN_RSA_BITS <= key.key_size <= 2 * _MIN_RSA_BITS:
        return key
    raise PkiError("the key must be P-256, or RSA of 2048 to 4096 bits")


def write_secret(path: Path, content: bytes, *, exclusive: bool = False) -> None:
    """Write a file that only its owner may read, from its first byte on.

    Raises:
        FileExistsError: `exclusive`, and there is such a file.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if exclusive else os.O_TRUNC)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EndpointKey, now: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    begins = now - _CLOCKS_DIFFER
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_identifier(authority: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
