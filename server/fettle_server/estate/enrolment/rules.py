"""What a token looks like and what a machine may say of itself when it enrols. Pure: no store, no clock."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from dataclasses import dataclass

from fettle_protocol.policy import SYSTEMS

PREFIX = "fettle1"
SECRET_BYTES = 16
PIN_DIGITS = 32
SCHOOL_NAME_MAXIMUM = 200
MAX_USES = 10_000
_TOKEN = re.compile(rf"{PREFIX}-([a-z2-7]{{26}})-([0-9a-f]{{{PIN_DIGITS}}})")


class EnrolmentError(Exception):
    """A machine or a person asked for something that enrolment refuses; the message is for the one who asked."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine says of itself: text already cut to size and cleaned of what is not text."""

    hostname: str
    system: str
    system_version: str
    fingerprint: str
    agent_version: str


def write_token(secret: bytes, ca_sha256: str) -> str:
    """The token that a person pastes: the secret, and the pin by which the agent knows the server."""
    return f"{PREFIX}-{base64.b32encode(secret).decode().rstrip('=').lower()}-{ca_sha256[:PIN_DIGITS]}"


def secret_sha256(token: str) -> str:
    """What the store keeps of the token's secret.

    Raises:
        EnrolmentError: not the form of a token.
    """
    match = _TOKEN.fullmatch(token.strip().lower())
    if match is None:
        raise EnrolmentError("this is not an enrolment token: copy the whole line that `fettle token create` printed")
    return hashlib.sha256(match[1].encode()).hexdigest()


def check_school_name(name: str) -> str:
    """The name without surrounding blanks.

    Raises:
        EnrolmentError: not 1 to 200 visible characters.
    """
    name = name.strip()
    if not 1 <= len(name) <= SCHOOL_NAME_MAXIMUM or any(unicodedata.category(letter)[0] == "C" for letter in name):
        raise EnrolmentError(f"a school's name has 1 to {SCHOOL_NAME_MAXIMUM} visible characters")
    return name


def describe(*, hostname: str, system: str, system_version: str, fingerprint: str, agent_version: str) -> Machine:
    """The machine as the store may hold it."""
    return Machine(
        hostname=visible(hostname, 255) or "unnamed",
        system=system if system in SYSTEMS else "",
        system_version=visible(system_version, 200),
        fingerprint=fingerprint if re.fullmatch("[0-9a-f]{64}", fingerprint) else "",
        agent_version=visible(agent_version, 40),
    )


def visible(text: str, limit: int) -> str:
    """The text without control characters, cut to a number of characters."""
    return "".join(letter for letter in text[: limit * 4] if unicodedata.category(letter)[0] != "C").strip()[:limit]
