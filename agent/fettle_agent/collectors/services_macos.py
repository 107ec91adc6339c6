"""macOS's services: launchd's daemons that are kept alive, by their property lists and `launchctl list`.

Watched are the daemons that were added to the Mac (/Library/LaunchDaemons), and of Apple's own those that the policy names.
A daemon without KeepAlive runs when needed and ends by design.
"""

from __future__ import annotations

import plistlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fettle_agent.collectors import Collected, Setup, tools
from fettle_agent.collectors.services import Condition, Service, Watch, is_named

ADDED = Path("/Library/LaunchDaemons")
APPLES = Path("/System/Library/LaunchDaemons")


def kept_alive(plist: bytes) -> str | None:
    """The label of a daemon that launchd always keeps alive; None for any other, and for what is not a property list."""
    try:
        facts = plistlib.loads(plist)
    except Exception:  # plistlib raises whatever its XML or binary parser stumbles over
        return None
    if not isinstance(facts, dict) or facts.get("KeepAlive") is not True or facts.get("Disabled"):
        return None
    label = facts.get("Label")
    return label if isinstance(label, str) and label else None


def parse_list(text: str) -> dict[str, tuple[int | None, int]]:
    """Each loaded label's process number (None: not running) and last exit status, as `launchctl list` printed them."""
    found: dict[str, tuple[int | None, int]] = {}
    for line in text.splitlines()[1:]:
        fields = line.split("\t")
        if len(fields) != 3 or not fields[2]:
            continue
        process, status = (_number(field) for field in fields[:2])
        found[fields[2]] = (process, status or 0)
    return found


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def states(labels: Iterable[str], loaded: dict[str, tuple[int | None, int]]) -> Iterator[Service]:
    """The services of those labels; one that is not loaded was switched off by a person and is left out."""
    for label in labels:
        if label in loaded:
            process, status = loaded[label]
            stopped = Condition.DIED if status else Condition.STOPPED
            yield Service(label, Condition.RUNNING if process else stopped, "" if process else f"last exit status {status}")


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of service.running."""
    watch = Watch(setup.services)

    def collect() -> Collected:
        patterns = setup.services()
        labels = {*_labels(ADDED), *(label for label in _labels(APPLES, patterns) if is_named(label, patterns))}
        return watch.readings(states(labels, parse_list(tools.run("launchctl", "list", timeout_s=15))))

    return collect


def _labels(folder: Path, patterns: tuple[str, ...] | None = None) -> Iterator[str]:
    """The labels of the daemons that a folder keeps alive; with patterns only files named so are opened."""
    for path in sorted(folder.glob("*.plist")) if folder.is_dir() else ():
        if patterns is not None and not is_named(path.stem, patterns):
            continue
        try:
            label = kept_alive(path.read_bytes())
        except OSError:
            continue
        if label is not None:
            yield label
