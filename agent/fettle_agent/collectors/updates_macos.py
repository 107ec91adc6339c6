"""macOS's pending updates, by `softwareupdate --list --no-scan`: what the last search found, without a new one.

An update mends security if its title says so, or if it is one of macOS itself, which always carries Apple's fixes.
macOS does not say that a restart is due for an update that is already installed, so that reading has no data.
"""

from __future__ import annotations

import plistlib
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fettle_agent.collectors import Collected, Setup, tools
from fettle_agent.collectors.updates import Updates

SETTINGS = Path("/Library/Preferences/com.apple.SoftwareUpdate.plist")
_ITEM = re.compile(r"^\s*[*-] (?:Label: )?(\S.*)$", re.MULTILINE)
_SECURITY = re.compile(r"security|^macOS|\bXProtect|Rapid Response", re.IGNORECASE)
_DAY_S = 86_400.0


def parse_list(text: str) -> tuple[int, int]:
    """How many updates are listed, and how many of them mend security."""
    labels = _ITEM.findall(text)
    return len(labels), sum(1 for label in labels if _SECURITY.search(label))


def last_search(plist: bytes) -> float | None:
    """When updates were last looked for with success (seconds since 1970), from Software Update's settings."""
    try:
        facts: Any = plistlib.loads(plist)
    except Exception:  # plistlib raises whatever its XML or binary parser stumbles over
        return None
    when = facts.get("LastSuccessfulDate") if isinstance(facts, dict) else None
    return when.replace(tzinfo=UTC).timestamp() if isinstance(when, datetime) else None


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of updates.*."""

    def collect() -> Collected:
        pending, security = parse_list(tools.run("softwareupdate", "--list", "--no-scan", timeout_s=120))
        try:
            searched = last_search(SETTINGS.read_bytes())
        except OSError:
            searched = None
        days = None if searched is None else max(0.0, (time.time() - searched) / _DAY_S)
        return Updates(pending, security, None, days).collected()

    return collect
