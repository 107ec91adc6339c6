"""Enrolment and renewal: makes the key on this machine, finds out whom to trust, and asks for a certificate.

Runs in a process of its own that ends afterwards, never in the run process: it imports cryptography. Does not know the
state folder's files (identity.py) nor what the server checks.
"""

from __future__ import annotations

import base64
import datetime as dt
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fettle_protocol import identity as shape
from fettle_protocol.v1 import link_pb2

from fettle_agent import config, identity, machine
from fettle_agent.errors import EnrolError, PeerError
from fettle_agent.handshake import fetch_chain
from fettle_agent.jobs import signers as pinned
from fettle_agent.link import Target
from fettle_agent.proxy import choose
from fettle_agent.words import explain

ENROL, RENEW = "/fettle.v1.Enrolment/Enrol", "/fettle.v1.Enrolment/Renew"
TIMEOUT_S = 30.0
_TOKEN_PREFIX = "fettle1-"  # noqa: S105 - the public form of a token
_PIN_DIGITS = 32
_MAX_SIGNERS = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person who enrols gave: `ca` is a file, `ca_fingerprint` sha256 in hex."""

    server: str
    token: str
    ca: str = ""
    ca_fingerprint: str = ""
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whom to trust, found out: PEM of the authorities, and the name that the server's certificate must carry."""

    authority_pem: bytes
    tls_name: str


def enrol(state: Path, wanted: Wanted, signers: Sequence[bytes] = ()) -> identity.Identity:
    """Enrol this machine; its identity, and whose signatures count, is in the state folder afterwards.

    `signers` are public keys that a person gave; without any, and where none is trusted yet, those that the server gives.

    Raises:
        EnrolError, PeerError: the message says why and what to do.
    """
    pin = pin_of(wanted)
    proxy = choose(wanted.proxy, wanted.server)
    chain = [x509.load_der_x509_certificate(der) for der in fetch_chain(wanted.server, proxy)]
    trusted = whom_to_trust(chain, pin, wanted)
    key = shape.new_key()
    visitor_key, visitor_certificate = shape.visitor_credentials()
    target = Target(wanted.server, trusted.tls_name, trusted.authority_pem, visitor_key + visitor_certificate, proxy)
    request = link_pb2.EnrolRequest(token=wanted.token, csr_der=_signing_request(key), machine=machine.describe())
    answer = link_pb2.EnrolResponse.FromString(_ask(target, ENROL, request.SerializeToString()))
    known = _keep(
        state,
        key,
        answer,
        lambda before, after: identity.Identity(
            answer.endpoint_id, answer.school, wanted.server, trusted.tls_name, wanted.proxy, before, after
        ),
        authority_pem=answer.ca_pem or trusted.authority_pem,
    )
    _pin(state, given=signers, offered=answer.signers)
    return known


def _pin(state: Path, *, given: Sequence[bytes], offered: Sequence[bytes]) -> None:
    """The server never adds to keys that are trusted here already: that takes a person, or an order that one of them signed."""
    held = pinned.load(state)
    if not given and not held.keys and not held.retired:
        given = [public for public in offered if len(public) == 32][:_MAX_SIGNERS]
    if given:
        pinned.pin(state, given)


def renew(state: Path, settings: config.Settings) -> identity.Identity:
    """Get a new certificate for a new key, by the one that is still valid.

    Raises:
        EnrolError, PeerError, NotEnrolled: the message says why and what to do.
    """
    present = identity.load(state)
    key = shape.new_key()
    request = link_pb2.RenewRequest(csr_der=_signing_request(key))
    target = machine.target(state, present, settings)
    answer = link_pb2.RenewResponse.FromString(_ask(target, RENEW, request.SerializeToString()))
    return _keep(
        state,
        key,
        answer,
        lambda before, after: identity.Identity(
            present.endpoint_id, present.school, present.server, present.tls_name, present.proxy, before, after
        ),
        authority_pem=answer.ca_pem or identity.authority(state),
    )


def pin_of(wanted: Wanted) -> str:
    """The authority's fingerprint, whole or its beginning: from the option, else from the token; "" with a file.

    Raises:
        EnrolError: the token or the fingerprint is not one.
    """
    parts = wanted.token.strip().removeprefix(_TOKEN_PREFIX).split("-")
    well_formed = wanted.token.startswith(_TOKEN_PREFIX) and len(parts) == 2 and len(parts[1]) == _PIN_DIGITS
    if not well_formed or not _is_base32(parts[0]):
        raise EnrolError("that is not a whole token: copy it again, all of it, from fettle token create or the console")
    if wanted.ca:
        return ""
    if not wanted.ca_fingerprint:
        return parts[1]
    pin = wanted.ca_fingerprint.replace(":", "").replace(" ", "").lower().removeprefix("sha256")
    if len(pin) != 64 or set(pin) - set("0123456789abcdef"):
        raise EnrolError("--ca-fingerprint must be sha256 in hex, 64 digits, with or without colons")
    return pin


def whom_to_trust(chain: list[x509.Certificate], pin: str, wanted: Wanted) -> Trusted:
    """The authority among what the server showed, by its fingerprint or by the file.

    Raises:
        EnrolError: what answers was not issued by that authority: TLS is intercepted, or it is another server.
    """
    if not chain:
        raise PeerError("protocol", f"what answers at {wanted.server} shows no certificate: check host and port")
    leaf = chain[0]
    if wanted.ca:
        pem = _read_authority(wanted.ca)
        known = x509.load_pem_x509_certificates(pem)
        found = any(issued(issuer, one) for issuer in known for one in chain)
    else:
        pinned = [one for one in chain if shape.fingerprint(one.public_bytes(serialization.Encoding.DER)).startswith(pin)]
        pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in pinned)
        found = bool(pinned)
    if not found:
        doubt = "--ca is" if wanted.ca else "--ca-fingerprint is" if wanted.ca_fingerprint else "the token is"
        raise PeerError("intercepted", f"{intercepted(wanted.server, leaf)}, or {doubt} for another")
    check_clock(leaf, dt.datetime.now(dt.UTC))
    return Trusted(pem, tls_name(leaf))


def tls_name(leaf: x509.Certificate) -> str:
    """The name to ask of the certificate: Fettle's own where it carries it, else the host's ("")."""
    return shape.SERVER_NAME if shape.SERVER_NAME in names_of(leaf) else ""


def names_of(leaf: x509.Certificate) -> list[str]:
    """The DNS names in a certificate."""
    try:
        return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return []


def intercepted(server: str, leaf: x509.Certificate) -> str:
    """The sentence for a certificate that the expected authority did not issue."""
    issuer = leaf.issuer.rfc4514_string() or "nobody"
    return (
        f"the certificate at {server} was issued by {issuer}, not by the authority of the enrolling server: "
        f"TLS is intercepted on the way (exempt {server} from inspection), or the address is another server's"
    )


def check_clock(leaf: x509.Certificate, now: dt.datetime) -> None:
    """Refuse a clock by which the server's certificate is not valid.

    Raises:
        PeerError: the sentence names both times.
    """
    if leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        return
    raise PeerError(
        "clock",
        f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, but the server's certificate is valid from "
        f"{leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}: set the clock and try again",
    )


def _ask(target: Target, method: str, request: bytes) -> bytes:
    with grpc.secure_channel(target.address, target.credentials(), target.options()) as channel:
        call: Callable[..., bytes] = channel.unary_unary(method)
        try:
            return call(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            status, details = error.code().name, error.details() or ""
    if status in ("PERMISSION_DENIED", "INVALID_ARGUMENT", "UNAUTHENTICATED", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"):
        raise EnrolError(f"the server refused: {details}")
    raise explain(status, details, target.address)


def _keep(
    state: Path,
    key: ec.EllipticCurvePrivateKey,
    answer: link_pb2.EnrolResponse | link_pb2.RenewResponse,
    about: Callable[[int, int], identity.Identity],
    *,
    authority_pem: bytes,
) -> identity.Identity:
    certificate = x509.load_pem_x509_certificate(answer.certificate_pem)
    if certificate.public_key() != key.public_key():
        raise EnrolError("the server's certificate is for another key: try again, and report it if it happens twice")
    held = about(_ms(certificate.not_valid_before_utc), _ms(certificate.not_valid_after_utc))
    identity.save(state, held, key_and_certificate_pem=shape.key_pem(key) + answer.certificate_pem, authority_pem=authority_pem)
    return held


def _signing_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, socket.gethostname()[:64] or "machine")])
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


def _read_authority(path: str) -> bytes:
    try:
        pem = Path(path).read_bytes()
        x509.load_pem_x509_certificates(pem)
    except OSError as error:
        raise EnrolError(f"{path} cannot be read ({error.strerror}): give --ca the server's ca.pem") from error
    except ValueError as error:
        raise EnrolError(f"{path} holds no certificate authority in PEM form: give --ca the server's ca.pem") from error
    return pem


def issued(issuer: x509.Certificate, one: x509.Certificate) -> bool:
    """True where that authority is, or directly issued, the certificate."""
    if issuer == one:
        return True
    try:
        one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_base32(text: str) -> bool:
    try:
        return len(base64.b32decode(text.upper() + "=" * (-len(text) % 8))) >= 16
    except ValueError:
        return False


def _ms(when: dt.datetime) -> int:
    return int(when.timestamp() * 1000)
