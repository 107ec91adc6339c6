"""Restarts the PC for a job: when by courtesy.py, told to whoever is signed in, noted before it happens.

Owns the commands, the words that people at the PC read, and how it is known afterwards that the restart happened: by another
boot. Does not know why a job wants one (work.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fettle_protocol.manifests import Manifest

from fettle_agent.collectors import CollectError, tools
from fettle_agent.collectors.updates_linux import REBOOT_FLAGS
from fettle_agent.jobs import courtesy, people, putting_off, rules, running
from fettle_agent.jobs.book import Book, Job, State
from fettle_agent.packages import Provider, locks

NOT_RESTARTED_MS = 600_000
BUSY_LOOK_MS = 10_000
_RESTART_S = 30.0


@dataclass(frozen=True, slots=True)
class Later:
    """Not now; look again then."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class Now:
    """Nothing stands in the way."""


def may(state: Path, system: str, book: Book, job: Job, manifest: Manifest, facts: rules.Facts) -> Later | Now:
    """Whether the PC may restart for that job now; warns, puts off and says why it waits."""
    keeps = _keeps(job, manifest, facts)
    if keeps is not None:
        if job.warned_ms:
            book.restart(job.id, warned_ms=0)
            _close(state)
        book.wait(job.id, keeps.why, facts.now_ms)
        return Later(keeps.until_ms)
    standing = courtesy.Standing(job.warned_ms, job.deferrals, job.restart_ms)
    asked = putting_off.is_asked(str(putting_off.door(state)))
    word = courtesy.next_word(manifest.people, standing, people.sitting(system), asked=asked, now_ms=facts.now_ms)
    if asked and not isinstance(word, courtesy.PutOff):
        _open(state)  # what was asked is answered: it may not be put off again
    match word:
        case courtesy.Restart():
            who = locks.holder()
            if who:  # what was told to people stays told: it goes on as soon as the other one is done
                book.wait(job.id, f"{who} is changing packages on this PC; it restarts when that is done.", facts.now_ms)
                return Later(facts.now_ms + BUSY_LOOK_MS)
            _close(state)
            return Now()
        case courtesy.Rest(until_ms):
            return Later(min(until_ms, facts.now_ms + rules.LOOK_AGAIN_MS))
        case courtesy.Warn(at_ms):
            _warn(state, system, book, job, manifest, facts.now_ms)
            return Later(min(at_ms, facts.now_ms + rules.LOOK_AGAIN_MS))
        case courtesy.PutOff(until_ms, left, by_person):
            _close(state)
            book.restart(job.id, warned_ms=0, deferrals=job.deferrals + 1, restart_ms=until_ms)
            whose = "Somebody at the PC put the restart off" if by_person else "Somebody works at the PC, so it did not restart"
            book.wait(job.id, f"{whose}; it may be put off {_times(left)} more.", facts.now_ms, State.STATE_DEFERRED)
            minutes = max(1, manifest.people.defer_s // 60)
            people.tell(system, f"The restart is put off for {minutes} minutes. It can be put off {_times(left)} more.")
            return Later(until_ms)


def _keeps(job: Job, manifest: Manifest, facts: rules.Facts) -> rules.Wait | None:
    if job.exam:
        return rules.Wait(facts.now_ms + rules.LOOK_AGAIN_MS, "An exam is on around this PC, so it does not restart.")
    opens_in = rules.until_hours(manifest.hours, facts.weekday, facts.minute)
    if opens_in:
        return rules.Wait(facts.now_ms + opens_in * 60_000, "It may restart in other hours of the day or week only.")
    return None


def _warn(state: Path, system: str, book: Book, job: Job, manifest: Manifest, now_ms: int) -> None:
    left, minutes = manifest.people.deferrals - job.deferrals, max(1, round(manifest.people.warn_s / 60))
    _open(state)
    book.restart(job.id, warned_ms=now_ms)
    book.wait(job.id, "Somebody is signed in; they were told that the PC restarts soon.", now_ms)
    text = f"This PC restarts in {minutes} minutes for an update: save your work."
    people.tell(system, text + (f" To put it off ({_times(left)} left): fettle-agent defer" if left > 0 else ""))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _open(state: Path) -> None:
    with contextlib.suppress(OSError):
        putting_off.open_for_asking(state)


def _close(state: Path) -> None:
    with contextlib.suppress(OSError):
        putting_off.close_for_asking(state)


def restart(system: str) -> str:
    """Have the system restart; why it will not, empty where it will."""
    try:
        ended = running.run(_command(system), timeout_s=_RESTART_S)
    except OSError as error:
        return f"The PC cannot be restarted: {error.strerror}"
    return "" if ended.status == 0 else f"The PC refused to restart: {ended.words or ended.why or ended.status}"


def _command(system: str) -> list[str]:
    if system == "windows":
        return [tools.find("shutdown.exe") or "shutdown.exe", "/r", "/t", "5", "/d", "p:2:17"]
    if system == "linux" and Path("/run/systemd/system").is_dir():
        return [tools.find("systemctl") or "systemctl", "reboot"]
    shutdown = tools.find("shutdown")
    return [shutdown, "-r", "now"] if shutdown else [tools.find("reboot") or "reboot"]


def is_needed(system: str, providers: Mapping[str, Provider]) -> bool:
    """True where the system says that what was installed takes effect with a restart only."""
    if system == "linux" and any(Path(flag).exists() for flag in REBOOT_FLAGS):
        return True
    for provider in providers.values():
        with contextlib.suppress(CollectError, OSError):
            if any(offer.state == "reboot pending" for offer in provider.offers()):
                return True
    return False
