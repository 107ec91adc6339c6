"""STATE/signers.json: the public keys whose signatures count on this PC, and what each key has said of its serials.

Owns the file. Who may change it: whoever may write to the state folder, and a signed manifest of keys; never the server.
Light: the running agent reads it for its status.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fettle_agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fettle_agent.jobs.rules import Keys

FILE_NAME = "signers.json"


@dataclass(frozen=True, slots=True)
class Signers:
    """The file's content, keys and numbers as they stand there; `book` names the record of jobs that goes with it."""

    keys: dict[str, str]
    retired: tuple[str, ...] = ()
    serials: dict[str, int] | None = None
    floors: dict[str, int] | None = None
    book: str = ""

    def trusted(self) -> Keys:
        """As the rules take them."""
        from fettle_agent.jobs.rules import Keys

        public = {name: bytes.fromhex(value) for name, value in self.keys.items()}
        return Keys(public, frozenset(self.retired), self.serials or {}, self.floors or {})

    def with_keys(self, keys: Keys) -> Signers:
        """The same file with those keys."""
        return replace(
            self,
            keys={name: value.hex() for name, value in keys.public.items()},
            retired=tuple(sorted(keys.retired)),
            serials=dict(keys.serials),
            floors=dict(keys.floors),
        )


def load(state: Path) -> Signers:
    """The signers of that state folder; none where there is no file.

    Raises:
        AgentError: the file cannot be read: an agent that does not know whom it trusts trusts nobody.
    """
    path = state / FILE_NAME
    try:
        said: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found = Signers(
            {str(name): str(value) for name, value in said["keys"].items()},
            tuple(map(str, said["retired"])),
            {str(name): int(value) for name, value in said["serials"].items()},
            {str(name): int(value) for name, value in said["floors"].items()},
            str(said["book"]),
        )
        if any(_named(bytes.fromhex(value)) != name for name, value in found.keys.items()):
            raise ValueError("a key does not carry its name")
    except FileNotFoundError:
        return Signers({})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise AgentError(
            f"{path} cannot be read ({error}), so this PC obeys nobody: remove it, and pin the keys anew with "
            f"fettle-agent trust --key FILE --state {state}"
        ) from error
    return found


def save(state: Path, signers: Signers) -> None:
    """Put the file in place in one step; it is on the disk when this returns."""
    path = state / FILE_NAME
    content = {
        "keys": signers.keys,
        "retired": list(signers.retired),
        "serials": signers.serials or {},
        "floors": signers.floors or {},
        "book": signers.book,
    }
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    flush_folder(state)


def flush_folder(folder: Path) -> None:
    """Have the folder's names on the disk, where the system has such a thing."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def pin(state: Path, publics: Iterable[bytes]) -> int:
    """Trust these keys, one that was retired too: a person at the PC may. How many are trusted now."""
    held = load(state)
    added = {_named(public): public.hex() for public in publics}
    kept = tuple(name for name in held.retired if name not in added)
    save(state, replace(held, keys={**held.keys, **added}, retired=kept))
    return len({**held.keys, **added})


def remove(state: Path, key: str) -> int:
    """Trust that key no more; how many are left.

    Raises:
        AgentError: it is not one of them.
    """
    held = load(state)
    if key not in held.keys:
        raise AgentError(f"this PC does not trust a key {key}: see fettle-agent trust --list --state {state}")
    left = {name: value for name, value in held.keys.items() if name != key}
    save(state, replace(held, keys=left, retired=tuple(sorted({*held.retired, key}))))
    return len(left)


def count(state: Path) -> int:
    """How many keys are trusted; 0 too where the file cannot be read."""
    try:
        return len(load(state).keys)
    except AgentError:
        return 0


def _named(public: bytes) -> str:
    """fettle_protocol.signing.key_id, which the running agent must not import."""
    return hashlib.sha256(public).hexdigest()[:16]
