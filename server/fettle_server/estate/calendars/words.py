"""What a school means by the title or the category of an event: English words to kinds of entry. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from fettle_server.estate.calendars.rules import Kind

_I = re.IGNORECASE
_ALIKE = {"holidays": Kind.HOLIDAY, "exams": Kind.EXAM, "public_holiday": Kind.BANK_HOLIDAY, "inset_day": Kind.INSET}
_SEASON = r"(?:christmas|easter|summer|winter|spring|autumn|february|october|may|whitsun)"
_WORDS: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(rf"\b(?:{pattern})\b", _I))
    for kind, pattern in (
        (Kind.HALF_TERM, r"half[- ]?term"),
        (Kind.INSET, r"inset|staff (?:training|development)|training days?|teacher training|occasional day"),
        (
            Kind.BANK_HOLIDAY,
            r"(?:bank|public) holiday|may day|good friday|easter monday|christmas day|boxing day|new year'?s day",
        ),
        (Kind.EXAM, r"exam(?:s|ination|inations)?|gcses?|a[- ]levels?|sats|btecs?|mocks?|phonics screening"),
        (Kind.CLOSURE, r"closed|closure|polling (?:day|station)|snow day"),
        (Kind.HOLIDAY, rf"holidays?|vacation|{_SEASON} break"),
        (Kind.TERM, r"term"),
    )
)
_ABOUT = re.compile(
    r"\bresults?\b|\bevening\b|\boptions\b|\bmeeting\b|\binformation\b|\brevision\b|\bassembly\b|\bparents'?\b|\bclub\b|\bcamp\b"
    r"|\bnewsletter\b|\bdeadline\b|\breports?\b|\bfees?\b|\bfair\b|\bfayre\b|\bdisco\b|\btrip\b|\bconcert\b",
    _I,
)
_BEGIN = re.compile(r"\b(?:starts?|begins?|commences|first day|start|beginning|opens)\b", _I)
_END = re.compile(r"\b(?:ends?|finish(?:es)?|last day|breaks? up|end)\b", _I)


def kind_of(categories: Iterable[str], title: str) -> Kind | None:
    """The kind that an event's categories name or its title speaks of; None where neither does."""
    for category in categories:
        word = re.sub(r"[\s_-]+", "_", category.strip().lower())
        if word in tuple(Kind) or word in _ALIKE:
            return _ALIKE.get(word) or Kind(word)
    if _ABOUT.search(title):
        return None
    kind = next((kind for kind, pattern in _WORDS if pattern.search(title)), None)
    return None if kind is Kind.TERM and _is_marker(title) else kind


def ends_of_term(title: str) -> Literal["start", "end"] | None:
    """Whether an event marks the first or the last day of a term."""
    if _ABOUT.search(title) or not re.search(r"\bterm\b", title, _I) or re.search(r"\bhalf[- ]?term\b", title, _I):
        return None
    if _BEGIN.search(title):
        return "start"
    return "end" if _END.search(title) else None


def term_name(title: str) -> str:
    """The term's own name in the title of the event that begins it."""
    match = re.search(r"\b(autumn|spring|summer|winter)\b", title, _I)
    return f"{match[1].capitalize()} term" if match else "Term"


def why_not(title: str) -> str:
    """Why an event was not taken, as a sentence."""
    if _ABOUT.search(title):
        return "It seems to be an occasion at school, not a day on which the school is shut or sits exams."
    return "Its title and categories name no term, holiday, INSET day, exam or closure."


def _is_marker(title: str) -> bool:
    return bool(_BEGIN.search(title) or _END.search(title))
