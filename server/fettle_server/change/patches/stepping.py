"""What one more piece of evidence makes of an endpoint's update: the only place where a state is chosen. Pure.

Evidence is an offer, the absence of one, or what a job told. Proven follows only from a look that worked, was made after the
installation, no longer offers the update, and while no restart is (or may be) pending.
"""

from __future__ import annotations

from typing import NamedTuple

from fettle_server.change.patches.rules import PatchState, may_wait_for_restart
from fettle_server.change.patches.versions import at_least

STILL_OFFERED = "Still offered by a look after it was installed."
STILL_OFFERED_RESTARTED = "Still offered after the restart."
NO_LONGER = "No longer offered; its software does not show it installed."
WAITS = "No longer offered, while a restart is pending."
ELSEWHERE = "Installed by other means than a job."
_MOVES_DOWNLOADED = frozenset({PatchState.OFFERED, PatchState.APPROVED, PatchState.FAILED})
_TOLD_INSTALLED = frozenset({PatchState.INSTALLED, PatchState.REBOOT_PENDING})


class Had(NamedTuple):
    """What is known of an endpoint's update; times in milliseconds since the epoch."""

    state: PatchState
    words: str
    installed_ms: int | None


class Step(NamedTuple):
    """What becomes of it. `installed`: it is known to be there now (so that only a restart or a look is missing)."""

    state: PatchState
    words: str
    installed: bool = False


class Seen(NamedTuple):
    """A look of one provider: its time, whether it worked, whether a restart is pending."""

    at_ms: int
    worked: bool
    reboot_pending: bool | None


def offered(had: Had | None, state: PatchState, words: str, seen: Seen) -> Step | None:
    """What an offer (by its state and the tool's words) makes of it; None: nothing."""
    is_installed = state is PatchState.REBOOT_PENDING
    if had is None:
        return Step(state, words, is_installed)
    if state is PatchState.OFFERED:
        return _offered_still(had, seen)
    if state is PatchState.DOWNLOADED:
        return Step(state, words) if had.state in _MOVES_DOWNLOADED else None
    if state is had.state and (words == had.words or not words):
        return None
    return Step(state, words, is_installed)


def _offered_still(had: Had, seen: Seen) -> Step | None:
    after = had.installed_ms is not None and seen.at_ms > had.installed_ms
    if had.state is PatchState.INSTALLED and after:
        return Step(PatchState.FAILED, STILL_OFFERED)
    if had.state is PatchState.REBOOT_PENDING and seen.reboot_pending is False:
        return Step(PatchState.FAILED, STILL_OFFERED_RESTARTED)
    return None


def absent(had: Had, provider: str, version: str, newer: tuple[str, str] | None, seen: Seen) -> Step | None:
    """What it means that it is no longer offered. `newer`: (version, installed) of another offer of the same name."""
    if not seen.worked:
        return None
    waits = may_wait_for_restart(provider, seen.reboot_pending)
    if had.state in _TOLD_INSTALLED and had.installed_ms is not None:
        if seen.at_ms <= had.installed_ms:
            return None
        return _settled(had, waits, had.words)
    if newer is not None and at_least(provider, newer[1], version):
        return _settled(had, waits, ELSEWHERE)
    if newer is not None:
        return Step(PatchState.GONE, f"Superseded by {newer[0]}."[:300])
    if seen.reboot_pending is True:
        return None if had.state is PatchState.REBOOT_PENDING else Step(PatchState.REBOOT_PENDING, WAITS)
    return Step(PatchState.GONE, NO_LONGER)


def _settled(had: Had, waits: bool, words: str) -> Step | None:
    if not waits:
        return Step(PatchState.PROVEN, words, True)
    return None if had.state is PatchState.REBOOT_PENDING else Step(PatchState.REBOOT_PENDING, words, True)


def software(provider: str, version: str, found: str, seen: Seen) -> Step | None:
    """What the endpoint's software makes of an update that is no longer offered: there, it was installed by other means."""
    if not seen.worked or not at_least(provider, found, version):
        return None
    waits = may_wait_for_restart(provider, seen.reboot_pending)
    return Step(PatchState.REBOOT_PENDING if waits else PatchState.PROVEN, ELSEWHERE, True)


def told(had: Had, state: PatchState, words: str, *, provider: str, version: str, found: str) -> Step | None:
    """What a job makes of it. `found` is the version that is there after it; "" where the tool does not say."""
    if state is PatchState.DOWNLOADED:
        return Step(state, words) if had.state in _MOVES_DOWNLOADED else None
    if state is PatchState.FAILED:
        return Step(state, words)
    if found and not at_least(provider, found, version):
        return None
    return Step(state, words, True)
