"""Package managers behind one small interface: what they offer, and how they install, bring back, hold and remove.

One file per provider; parsers take text. Owns what the operating system calls an update or a package. Does not decide when
anything may run (fettle_agent.jobs) and does not judge (the server). All is bounded in time, and says the tool's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Progress = Callable[[int], None]
"""Told the percentage of the step now and then."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An update that a source offers to this PC; what the source does not say is empty or None.

    `state` is "offered", "downloaded", "reboot pending" (installed, but not in effect before a restart) or "failed", with the
    tool's own `words` where it has any. `released_on` is an ISO date.
    """

    provider: str
    name: str
    version: str
    installed: str = ""
    title: str = ""
    security: bool = False
    severity: str = ""
    cves: tuple[str, ...] = ()
    released_on: str | None = None
    size_bytes: int | None = None
    reference: str = ""
    held: bool = False
    state: str = "offered"
    words: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a tool did: whether it worked, its own words (the end of them, at most 4,000 characters), its exit status."""

    worked: bool
    words: str
    status: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package to act on; `version` empty: the newest offered. `sha256` of the package file, where the signer gave it."""

    name: str
    version: str = ""
    sha256: str = ""


class Provider(Protocol):
    """One package manager of this machine.

    What it cannot do raises Unsupported with a sentence; a tool that cannot be asked raises CollectError. A tool that was asked
    to act and failed is a Ran with its words.
    """

    name: str

    def offers(self) -> tuple[Offer, ...]:
        """What it offers, from its own lists; nothing is fetched or locked. Raises CollectError."""

    def refresh(self) -> Ran:
        """Fetch its lists anew."""

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """The versions of those that are installed."""

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        """The names of all that such an install would put on, change or take off, what it brings along among them.

        Empty where the tool cannot plan it; the names wanted are then all that is known. What is to be brought back later is
        these, so ask `installed` and `keep_former` for them before an install.
        """

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        """The names of all that taking those off would take off, because they need them; empty where it cannot be planned."""

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        """Fetch what an install would need, without installing; refuses a file whose sha256 is another."""

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        """Make sure that the versions installed now can be brought back; name -> "" or why it cannot."""

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        """Bring packages to a version, never asking anybody anything; an interrupted earlier run is mended first."""

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        """Take packages off, keeping their settings."""

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        """Pin packages where they are, or let go of them."""

    def use_cache(self, url: str) -> Ran:
        """Download through the ecosystem's own local cache from now on; an empty url: directly."""


class Unsupported(Exception):
    """This provider cannot do that; the message says so in a sentence."""
