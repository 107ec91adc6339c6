"""Signed work for one PC, a package manager that is a file, and a state folder that is enrolled."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fettle_agent import identity
from fettle_agent.jobs import signers
from fettle_agent.jobs.book import Book
from fettle_agent.jobs.work import work
from fettle_agent.packages import Offer, Progress, Ran, Wanted
from fettle_protocol import manifests, signing
from fettle_protocol.v1 import link_pb2

ENDPOINT_ID = "0123456789abcdef0123456789abcdef"
NOW_MS = int(time.time() * 1000)
DAY_MS = 86_400_000
_serials = itertools.count(1)


def script(body: str, *, idempotent: bool = False, interpreter: str = "sh", **more: Any) -> dict[str, Any]:
    return {
        "kind": "script",
        "name": "a script",
        "version": "1",
        "sha256": hashlib.sha256(body.encode()).hexdigest(),
        "body": body,
        "interpreter": interpreter,
        "idempotent": idempotent,
    } | more


def work_manifest(*steps: dict[str, Any], **changes: Any) -> manifests.Manifest:
    """A manifest for this PC; any field may be another."""
    serial = next(_serials)
    fields: dict[str, Any] = {
        "kind": "work" if steps else "keys",
        "id": f"{serial:032x}",
        "serial": serial,
        "not_before_ms": NOW_MS - DAY_MS,
        "expires_ms": NOW_MS + DAY_MS,
        "title": "Work",
        "target": manifests.Target((ENDPOINT_ID,)),
        "people": manifests.People(reboots="never"),
        "needs": manifests.Needs(0, 0),
        "steps": tuple(steps),
    }
    return manifests.Manifest(**(fields | changes))


def signed(manifest: manifests.Manifest, key: Ed25519PrivateKey, **window: Any) -> link_pb2.Job:
    """The job that hands it over, under an id of its own."""
    body = manifests.encode(manifest)
    public = signing.public_bytes(key)
    name = hashlib.sha256(body + repr(sorted(window.items())).encode()).hexdigest()[:32]
    fields = {"id": name, "manifest": body, "signature": signing.sign(key, body), "key": signing.key_id(public)}
    return link_pb2.Job(**(fields | window))


@dataclass
class FilePackages:
    """A package manager whose installed packages are a JSON file, so that it outlives whatever is killed."""

    file: Path
    name: str = "apt"
    offered: Mapping[str, str] = field(default_factory=lambda: {"tool": "2", "other": "5"})

    def _read(self) -> dict[str, str]:
        return dict(json.loads(self.file.read_text())) if self.file.exists() else {}

    def offers(self) -> tuple[Offer, ...]:
        return ()

    def refresh(self) -> Ran:
        return Ran(True, "lists read", 0)

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        return {name: version for name, version in self._read().items() if name in names}

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        return tuple(one.name for one in wanted)

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(names)

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        return Ran(True, "", 0)

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        return dict.fromkeys(names, "")

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        found = self._read()
        progress(50)
        for one in wanted:
            if one.name in self.offered or one.version:
                found[one.name] = one.version or self.offered[one.name]
            else:
                return Ran(False, f"Unable to locate package {one.name}", 100)
        self.file.write_text(json.dumps(found))
        return Ran(True, "installed", 0)

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        self.file.write_text(json.dumps({name: version for name, version in self._read().items() if name not in names}))
        return Ran(True, "removed", 0)

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        return Ran(True, f"held {held}", 0)

    def use_cache(self, url: str) -> Ran:
        return Ran(True, f"cache {url}", 0)


@dataclass
class Pc:
    """An enrolled state folder that trusts one key, and the book as the child leaves it."""

    state: Path
    key: Ed25519PrivateKey
    packages: FilePackages

    script = staticmethod(script)
    manifest = staticmethod(work_manifest)
    signed = staticmethod(signed)

    def give(self, *jobs: link_pb2.Job) -> str:
        """Put jobs in the book; the last one's id."""
        book = Book.open(self.state)
        for job in jobs:
            book.receive(job, NOW_MS)
        book.close()
        return jobs[-1].id

    def sign(self, manifest: manifests.Manifest, **window: Any) -> link_pb2.Job:
        return signed(manifest, self.key, **window)

    def work(self) -> int:
        return work(self.state, None, lambda *_: {"apt": self.packages})

    def do(self, *jobs: link_pb2.Job) -> list[link_pb2.JobReport]:
        """Hand them over and work; all that was told."""
        self.give(*jobs)
        assert self.work() == 0
        return self.told()

    def told(self) -> list[link_pb2.JobReport]:
        book = Book.open(self.state)
        try:
            return [link_pb2.JobReport.FromString(one.report) for one in book.outbox(0)]
        finally:
            book.close()

    def states(self) -> list[str]:
        """What was told, in short, without progress."""
        names = [link_pb2.JobReport.State.Name(report.state).removeprefix("STATE_").lower() for report in self.told()]
        return [name for name in names if name != "progress"]


@pytest.fixture(scope="session")
def key() -> Ed25519PrivateKey:
    return signing.new_key()


@pytest.fixture
def make_pc(tmp_path: Path, key: Ed25519PrivateKey) -> Callable[[], Pc]:
    numbers = itertools.count()

    def make() -> Pc:
        state = tmp_path / f"pc{next(numbers)}"
        state.mkdir(mode=0o700)
        about = identity.Identity(ENDPOINT_ID, "Bow Primary", "127.0.0.1:1", "", "none", 0, NOW_MS + DAY_MS)
        identity.save(state, about, key_and_certificate_pem=b"", authority_pem=b"")
        signers.pin(state, [signing.public_bytes(key)])
        return Pc(state, key, FilePackages(state / "packages.json"))

    return make


@pytest.fixture
def pc(make_pc: Callable[[], Pc]) -> Pc:
    return make_pc()
