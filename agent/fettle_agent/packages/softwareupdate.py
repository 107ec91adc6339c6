"""macOS's own updates, by softwareupdate; Apple lets nobody take one off again, pin it, or choose an older one.

Source: the manual page softwareupdate(8), and the listing with labels that newer systems print.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fettle_agent.collectors import tools
from fettle_agent.packages import Offer, Progress, Ran, Unsupported, Wanted, running

_ASK_S = 120.0
_ITEM = re.compile(r"^\s*[*-] (?:Label: )?(\S.*?)\s*$")
_NEW = re.compile(r"^\s*Title: (.*?), Version: ([^,]*), Size: (\d+)(?:KiB|K)\b")
_OLD = re.compile(r"^\s+(.*), ([^,\s]+), (\d+)K\b")
_SECURITY = re.compile(r"security|^macOS|\bXProtect|Rapid Response", re.IGNORECASE)
_LABEL = re.compile(r"[A-Za-z0-9][^\x00-\x1f]*")


def is_here() -> bool:
    """True on a Mac."""
    return tools.find("softwareupdate") is not None


def parse(text: str) -> Iterator[Offer]:
    """The updates of `softwareupdate --list`, in its new and its old form; the name is the label, by which it is installed."""
    label = ""
    for line in text.splitlines():
        item, told = _ITEM.match(line), _NEW.match(line) or _OLD.match(line)
        if item is not None:
            if label:
                yield _offer(label)
            label = item[1]
        elif told is not None and label:
            yield _offer(label, told[1], told[2], int(told[3]) * 1024)
            label = ""
    if label:
        yield _offer(label)


def _offer(label: str, title: str = "", version: str = "", size_bytes: int | None = None) -> Offer:
    known = version or label.rpartition("-")[2]
    security = bool(_SECURITY.search(label) or _SECURITY.search(title))
    return Offer("softwareupdate", label[:200], known[:120], title=title[:300], security=security, size_bytes=size_bytes)


def offers() -> tuple[Offer, ...]:
    """What macOS's last search found, without a new one.

    Raises:
        CollectError: softwareupdate failed.
    """
    return tuple(parse(tools.run("softwareupdate", "--list", "--no-scan", timeout_s=_ASK_S)))


class SoftwareUpdate:
    """The Provider of macOS's own updates."""

    name = "softwareupdate"

    def __init__(self, keep: Path) -> None:
        del keep  # there is no way back

    def offers(self) -> tuple[Offer, ...]:
        """As Provider."""
        return offers()

    def refresh(self) -> Ran:
        """As Provider."""
        return _run("--list", timeout_s=900)

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """As Provider: macOS does not say it by label."""
        return {}

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        """As Provider."""
        return tuple(one.name for one in wanted)

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        """As Provider."""
        return ()

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        """As Provider."""
        return _run("--download", *_labels(wanted))

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        """As Provider."""
        return dict.fromkeys(names, "macOS takes no update of its own off again.")

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        """As Provider; no restart is begun by it."""
        return _run("--install", "--agree-to-license", *_labels(wanted))

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        """As Provider.

        Raises:
            Unsupported: always.
        """
        raise Unsupported("macOS takes no update of its own off again.")

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        """As Provider.

        Raises:
            Unsupported: always.
        """
        raise Unsupported("macOS holds updates back by a profile of device management only.")

    def use_cache(self, url: str) -> Ran:
        """As Provider.

        Raises:
            Unsupported: always; a Mac finds the content cache of its network by itself.
        """
        raise Unsupported("macOS finds a content cache in its network by itself: switch one on in Sharing on a Mac there.")


def _labels(wanted: Sequence[Wanted]) -> list[str]:
    for one in wanted:
        if not _LABEL.fullmatch(one.name):
            raise Unsupported(f"{one.name!r} is no label of a macOS update.")
        if one.sha256:
            raise Unsupported("macOS looks at Apple's signatures, not at a hash: leave it out.")
    return [one.name for one in wanted]


def _run(*words: str, timeout_s: float = 7200) -> Ran:
    return running.run("softwareupdate", *words, timeout_s=timeout_s)
