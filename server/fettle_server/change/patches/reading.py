"""An "updates" section as an agent sends it, read into what may be stored. What is malformed is left out, and said. Pure."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from fettle_protocol.steps import PROVIDERS

from fettle_server.change.patches.rules import Grade, PatchState

MOST_OFFERS = 1000
MOST_CVES = 50
_MOST_PLAIN_BYTES = 4 * 1024 * 1024
_WORDS, _SHORT = 2000, 300
_SEVERITIES = {"critical": "critical", "important": "important", "high": "important", "moderate": "moderate",
               "medium": "moderate", "low": "low"}  # fmt: skip
_STATES = {
    str(state): state for state in (PatchState.OFFERED, PatchState.DOWNLOADED, PatchState.REBOOT_PENDING, PatchState.FAILED)
}
_OLDEST = dt.date(2000, 1, 1)
_UNKNOWN = "a provider that this server does not know"
HELD = "Held back on this PC."

Key = tuple[str, str, str]
"""An update's provider, name and version."""


class Offer(NamedTuple):
    """An update that a source offers to an endpoint; see fettle_agent.packages.Offer."""

    key: Key
    installed: str
    title: str
    grade: Grade
    cves: tuple[str, ...]
    reference: str
    released_on: dt.date | None
    state: PatchState
    words: str


class Section(NamedTuple):
    """What a section says. `providers` maps each to its error ("": it worked); `refused` says what was left out ("": nothing).

    `whole`: nothing was left out of the providers that are known, so that the absence of an offer means something.
    """

    reboot_pending: bool | None
    providers: Mapping[str, str]
    offers: tuple[Offer, ...]
    refused: str
    whole: bool

    def worked(self, provider: str) -> bool:
        """True where that provider looked, and all of what it told could be read."""
        return self.whole and self.providers.get(provider) == ""


@lru_cache(maxsize=16)
def read(body: bytes) -> Section:
    """The section; never raises. A room of PCs from one image sends the same one thirty times, so the last ones are kept."""
    try:
        document = json.loads(zlib.decompressobj().decompress(body, _MOST_PLAIN_BYTES))
    except (zlib.error, ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return Section(None, {}, (), "The section could not be read.", whole=False)
    problems: list[str] = []
    providers = _providers(document.get("providers"), problems)
    offers = _offers(document.get("offers"), problems)
    pending = document.get("reboot_pending")
    return Section(
        pending if isinstance(pending, bool) else None,
        providers,
        offers,
        _said(problems),
        whole=all(problem.endswith(_UNKNOWN) for problem in problems),
    )


def _providers(given: Any, problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    if not isinstance(given, list):
        problems.append("it does not say which providers looked")
        return found
    for one in given[:50]:
        name = one.get("provider") if isinstance(one, dict) else None
        if name not in PROVIDERS:
            problems.append(_UNKNOWN)
            continue
        error = one.get("error")
        found[name] = "" if error in (None, "") else _text(error, _SHORT) or "It failed."
    return found


def _offers(given: Any, problems: list[str]) -> tuple[Offer, ...]:
    if not isinstance(given, list):
        problems.append("it has no list of offers")
        return ()
    if len(given) > MOST_OFFERS:
        problems.append(f"{len(given) - MOST_OFFERS} offers over the limit of {MOST_OFFERS}")
    found: dict[Key, Offer] = {}
    for number, one in enumerate(given[:MOST_OFFERS], 1):
        offer = _offer(one)
        if isinstance(offer, str):
            problems.append(f"offer {number}: {offer}")
        else:
            found.setdefault(offer.key, offer)
    return tuple(found.values())


def _offer(one: Any) -> Offer | str:
    """The offer, or why it cannot be one."""
    if not isinstance(one, dict):
        return "it is no object"
    provider, name, version = one.get("provider"), one.get("name"), one.get("version")
    if provider not in PROVIDERS:
        return _UNKNOWN
    if not _is_name(name, 200) or not name:
        return "its name cannot be"
    if not _is_name(version, 120):
        return "its version cannot be"
    security = one.get("security")
    if not isinstance(security, bool):
        return "it does not say whether it is for security"
    state = _STATES.get(one.get("state") or "offered") if isinstance(one.get("state"), str | None) else None
    if state is None:
        return "its state is not known"
    words = _text(one.get("words"), _WORDS) or (HELD if one.get("held") is True else "")
    grade = Grade(security, _severity(one.get("severity")), _cvss(one.get("cvss")))
    return Offer(
        (provider, name, version or ""),
        _text(one.get("installed"), 120),
        _text(one.get("title"), _SHORT),
        grade,
        _cves(one.get("cves")),
        _link(one.get("reference")),
        _day(one.get("released_on")),
        state,
        words,
    )


def _is_name(value: Any, limit: int) -> bool:
    """What tells one update from another is taken as it is or not at all."""
    return value is None or (isinstance(value, str) and len(value) <= limit and value.isprintable())


def _severity(value: Any) -> str:
    """The vendor's word in the four that the clock knows; "" for any other: it then counts as not stated."""
    return _SEVERITIES.get(value.lower(), "") if isinstance(value, str) else ""


def _cvss(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= 10 else None


def _cves(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(dict.fromkeys(one for one in value if isinstance(one, str) and one.startswith("CVE-") and _is_name(one, 30)))[
        :MOST_CVES
    ]


def _link(value: Any) -> str:
    """Only what a page may offer to follow."""
    text = _text(value, _SHORT)
    return text if text.startswith(("https://", "http://")) else ""


def _day(value: Any) -> dt.date | None:
    try:
        day = dt.date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return day if day is not None and day >= _OLDEST else None


def _text(value: Any, limit: int) -> str:
    """The text without what cannot be seen, save the ends of lines; empty for anything that is no text."""
    if not isinstance(value, str):
        return ""
    if not value.isprintable():
        value = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in value)
    return str(value).strip()[:limit]


def _said(problems: list[str]) -> str:
    if not problems:
        return ""
    more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
    return f"Left out: {'; '.join(problems[:3])}{more}."[:_SHORT]
