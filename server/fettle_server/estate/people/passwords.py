"""Secrets: password hashes by argon2, one-time passwords that can be read aloud, random keys and their digests."""

from __future__ import annotations

import functools
import hashlib
import secrets

import argon2

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that are mistaken for each other: i l o 0 1
_GROUPS, _GROUP = 4, 4
TOKEN_PREFIX = "fettle_pat_"  # noqa: S105 - a mark that scanners for leaked keys find, not a secret

# 19 MiB, two passes, one lane. Source: OWASP Password Storage Cheat Sheet; about 30 ms on a small server.
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


def one_time_password() -> str:
    """Four groups of four letters and digits: 79 bits that can be read over the telephone."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))


def hashed(password: str) -> str:
    """The password's argon2id hash with its parameters."""
    return _HASHER.hash(password)


def matches(password_hash: str | None, password: str) -> bool:
    """True where the password is the hashed one. Works as hard for None (no such person), so that time tells nothing."""
    try:
        return _HASHER.verify(password_hash or _nobody(), password) and password_hash is not None
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def new_secret(prefix: str = "") -> str:
    """A random key of 256 bits, safe in a cookie or a header."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What the store keeps of a random key: that cannot be guessed, so one round of sha256 is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


@functools.cache
def _nobody() -> str:
    return hashed(secrets.token_hex(16))
