"""`fettle-agent trust`: whose signed orders this PC obeys, as a person with the rights of the state folder says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fettle_protocol import signing

from fettle_agent.errors import AgentError
from fettle_agent.jobs import signers


def read_keys(files: Iterable[str]) -> list[bytes]:
    """The public keys in those PEM files.

    Raises:
        AgentError: a file holds no Ed25519 public key.
    """
    found = []
    for file in files:
        try:
            found.append(signing.read_public(Path(file).read_bytes()))
        except OSError as error:
            raise AgentError(
                f"{file} cannot be read ({error.strerror}): give the PEM file of an approver's public key"
            ) from error
        except signing.SignatureError as error:
            raise AgentError(f"{file}: {error} Give the PEM file of an approver's public key.") from error
    return found


def add(state: Path, file: str) -> str:
    """Pin the key in that file; the sentence that says so."""
    (public,) = read_keys([file])
    count = signers.pin(state, [public])
    return f"this PC obeys what key {signing.key_id(public)} signs from now on; it trusts {count} in all"


def remove(state: Path, key: str) -> str:
    """Trust that key no more; the sentence that says so."""
    left = signers.remove(state, key)
    return f"key {key} counts no more; {left} left" + ("" if left else ": this PC refuses all work now")


def listed(state: Path) -> str:
    """The keys, one a line, and those that were retired."""
    held = signers.load(state)
    lines = [
        f"{key}  {public}  orders seen up to {(held.serials or {}).get(key, 0)}" for key, public in sorted(held.keys.items())
    ]
    lines += [f"{key}  retired" for key in held.retired]
    return "\n".join(lines) or "no key: this PC refuses all work from the server"
