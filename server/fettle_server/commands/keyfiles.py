"""Approvers' key files: made, read with their password, and used to sign. Touches no data directory and no store."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fettle_protocol import signing
from fettle_protocol.manifests import ManifestError, decode

from fettle_server.change.manifests import signing_file, words
from fettle_server.change.manifests.rules import SigningError
from fettle_server.estate.enrolment.pki import write_secret

KeyFile = Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key.")]
MaybeKeyFile = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Sign right here with this private key, on a one-machine set-up.")
]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="The key's password; asked for where it is left out.")
]
_MOST_BYTES = 8 * 1024 * 1024


def make(path: Path, password: str) -> str:
    """Write a new private key, readable by its owner only, and its public half beside it; returns its id.

    Raises:
        SigningError: there is such a file already.
    """
    public_path = path.with_name(f"{path.name}.pub")
    if path.exists() or public_path.exists():
        raise SigningError(f"{path} or {public_path.name} is there already, and no key is ever written over another.")
    key = signing.new_key()
    public = signing.public_bytes(key)
    write_secret(path, signing.private_pem(key, password), exclusive=True)
    public_path.write_bytes(signing.public_pem(public))
    return signing.key_id(public)


def read(path: Path, password_file: Path | None) -> Ed25519PrivateKey:
    """The private key in a file, its password asked for where it has one and none was given.

    Raises:
        SigningError: it cannot be read.
    """
    pem = path.read_bytes()
    password = password_of(password_file)
    if not password and b"ENCRYPTED" in pem and sys.stdin.isatty():
        password = getpass.getpass(f"Password of {path.name}: ")
    try:
        return signing.read_private(pem, password)
    except signing.SignatureError as error:
        raise SigningError(f"{path.name}: {error}") from error


def password_of(password_file: Path | None) -> str:
    """The password in a file, without the end of its line; "" without a file."""
    return password_file.read_text().rstrip("\r\n") if password_file is not None else ""


def bodies_in(path: Path) -> list[bytes]:
    """The manifests in a signing file, or the one in a file of its own; "-" is standard input.

    Raises:
        SigningError: there is none.
    """
    raw = sys.stdin.buffer.read(_MOST_BYTES) if str(path) == "-" else path.read_bytes()[:_MOST_BYTES]
    try:
        found = signing_file.bodies(raw.decode())
    except UnicodeDecodeError:
        found = []
    if not found:
        raise SigningError(f"{path.name} holds no manifest: give the signing file, or what `fettle rollout manifest` wrote.")
    return found


def sign_all(key: Ed25519PrivateKey, bodies: list[bytes], *, yes: bool) -> list[str]:
    """Say on standard error what each manifest would do, ask, and sign: the lines to bring back.

    Raises:
        SigningError: one cannot be read, or the person says no.
    """
    lines = []
    for body in bodies:
        try:
            said = decode(body)
        except ManifestError as error:
            raise SigningError(str(error)) from error
        typer.echo("\n  ".join(words.describe(said)), err=True)
        if not yes and not typer.confirm("Sign this?", err=True):
            raise SigningError("Nothing was signed.")
        lines.append(signing_file.signature_line(said.id, signing.sign(key, body)))
    return lines
