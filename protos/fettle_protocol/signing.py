"""Signatures over manifests: Ed25519, over the manifest's bytes as they are, so that any tool can check or make one.

Owns keys' names and the check. Does not keep keys: the approver's machine does, and public ones the agent and the server.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class SignatureError(ValueError):
    """A key that cannot be read, or a signature that is not the key's."""


def new_key() -> Ed25519PrivateKey:
    """A fresh approver's key."""
    return Ed25519PrivateKey.generate()


def public_bytes(key: Ed25519PrivateKey | Ed25519PublicKey) -> bytes:
    """The public half: 32 bytes."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def key_id(public: bytes) -> str:
    """How a key is named everywhere: the first 16 hex digits of the sha256 of its 32 public bytes."""
    return hashlib.sha256(public).hexdigest()[:16]


def private_pem(key: Ed25519PrivateKey, password: str = "") -> bytes:
    """The private key as PKCS#8 PEM, encrypted where there is a password."""
    cipher = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher)


def public_pem(public: bytes) -> bytes:
    """The public key as PEM."""
    key = Ed25519PublicKey.from_public_bytes(public)
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_private(pem: bytes, password: str = "") -> Ed25519PrivateKey:
    """The private key in a PEM file.

    Raises:
        SignatureError: no Ed25519 key, or a wrong or missing password.
    """
    try:
        key = serialization.load_pem_private_key(pem, password.encode() or None)
    except (ValueError, TypeError) as error:
        raise SignatureError("This file holds no private key that can be read; is its password right?") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError("This is no Ed25519 key: make one with `fettle key create`.")
    return key


def read_public(pem: bytes) -> bytes:
    """The 32 public bytes in a PEM file of a public key.

    Raises:
        SignatureError: no Ed25519 public key.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as error:
        raise SignatureError("This file holds no public key that can be read.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError("This is no Ed25519 public key.")
    return public_bytes(key)


def sign(key: Ed25519PrivateKey, body: bytes) -> bytes:
    """The 64 bytes of the signature."""
    return key.sign(body)


def check(public: bytes, body: bytes, signature: bytes) -> None:
    """Nothing, where the signature is the key's over exactly these bytes.

    Raises:
        SignatureError: it is not.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, body)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError("The signature does not belong to these bytes and this key.") from error
