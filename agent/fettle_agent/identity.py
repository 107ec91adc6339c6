"""The machine's identity as the run process needs it: where it lies, what it says, when it must be renewed.

Owns the files of the state folder that make an enrolled machine. Does not make keys or read certificates: that needs a
library that costs more memory than the whole agent may, and is done by enrolment.py in a process that ends.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fettle_agent.errors import NotEnrolled
from fettle_agent.place import here

ABOUT, KEY_AND_CERTIFICATE, AUTHORITY = "identity.json", "identity.pem", "ca.pem"
LOCK, STATUS, POLICY = "agent.lock", "status.json", "policy.bin"


@dataclass(frozen=True, slots=True)
class Identity:
    """What enrolment wrote down. `tls_name` is the name to ask of the server's certificate, empty for the host's own."""

    endpoint_id: str
    school: str
    server: str
    tls_name: str
    proxy: str
    not_before_ms: int
    not_after_ms: int

    def renew_at_ms(self) -> int:
        """A certificate is renewed when a third of its life is left."""
        return self.not_after_ms - (self.not_after_ms - self.not_before_ms) // 3


def load(state: Path) -> Identity:
    """The identity in that state folder.

    Raises:
        NotEnrolled: there is none, or it cannot be read.
    """
    path = state / ABOUT
    try:
        return Identity(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise NotEnrolled(
            f"{state} holds no identity: enrol this machine with "
            f"fettle-agent enrol --server HOST:PORT --token TOKEN --state {state}"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise NotEnrolled(f"{path} cannot be read ({error}): enrol this machine again") from error


def save(state: Path, identity: Identity, *, key_and_certificate_pem: bytes, authority_pem: bytes) -> None:
    """Put an identity in place. Key and certificate are one file, so that no crash can part them; identity.json goes last."""
    place = here()
    place.private_folder(state)
    write_whole(state / AUTHORITY, authority_pem)
    place.write_secret(state / KEY_AND_CERTIFICATE, key_and_certificate_pem)
    write_whole(state / ABOUT, json.dumps(asdict(identity), indent=1).encode())


def key_and_certificate(state: Path) -> bytes:
    """The private key and the certificate, PEM."""
    return here().read_secret(state / KEY_AND_CERTIFICATE)


def authority(state: Path, other: str = "") -> bytes:
    """The certificate authorities to trust, PEM: those of enrolment, or those in the other file."""
    return (Path(other) if other else state / AUTHORITY).read_bytes()


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content)
    beside.replace(path)
