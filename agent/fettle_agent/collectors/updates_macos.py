"""macOS's pending updates, by `softwareupdate --list --no-scan`: what the last search found, without a new one.

An update mends security if its title says so, or if it is one of macOS itself, which always carries Apple's fixes.
macOS does not say that a restart is due for an update that is already installed, so that reading has no data.
"""

from __future__ import annotations

import plistlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fettle_agent.collectors import Collected, CollectError, Setup, tools
from fettle_agent.collectors.changes import file_times
from fettle_agent.collectors.updates import Look, Updates, collected, look, source
from fettle_agent.packages import softwareupdate

SETTINGS = Path("/Library/Preferences/com.apple.SoftwareUpdate.plist")
_BREW_STATE = ("/opt/homebrew/Cellar", "/usr/local/Cellar", "/opt/homebrew/.git", "/usr/local/Homebrew/.git")
_DAY_S = 86_400.0


def last_search(plist: bytes) -> float | None:
    """When updates were last looked for with success (seconds since 1970), from Software Update's settings."""
    try:
        facts: Any = plistlib.loads(plist)
    except Exception:  # plistlib raises whatever its XML or binary parser stumbles over
        return None
    when = facts.get("LastSuccessfulDate") if isinstance(facts, dict) else None
    return when.replace(tzinfo=UTC).timestamp() if isinstance(when, datetime) else None


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of updates.*; the readings count macOS's own updates, the section names Homebrew's too."""
    others = (_brew(),) if tools.find("brew") is not None else ()
    return lambda: _updates([ask() for ask in others])


def _brew() -> Callable[[], Look]:
    from fettle_agent.packages import brew

    return source("brew", brew.offers, lambda: file_times(_BREW_STATE), max_age_s=_DAY_S)


def _updates(others: list[Look]) -> Collected:
    try:
        own = look("softwareupdate", softwareupdate.offers())
    except CollectError as error:
        return collected(Updates(), [Look("softwareupdate", error=str(error), failed=True), *others])
    try:
        searched = last_search(SETTINGS.read_bytes())
    except OSError:
        searched = None
    days = None if searched is None else max(0.0, (time.time() - searched) / _DAY_S)
    return collected(Updates(own.pending, own.security, None, days), [own, *others])
