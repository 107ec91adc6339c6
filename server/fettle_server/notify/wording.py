"""How a notice reads: its subject, its lines and its link, as text, as simple HTML and as JSON. Pure.

Titles come from machines and from people: no control character of theirs reaches a header, no markup a page.
"""

from __future__ import annotations

import datetime as dt
import html
import unicodedata
from dataclasses import dataclass
from typing import Any

_SUBJECT_LIMIT = 200
_LINES_LIMIT = 50
_VERBS = {
    "incident.opened": "Opened",
    "incident.reopened": "Back again",
    "incident.resolved": "Over",
    "incident.promoted": "Wider than it seemed",
    "incident.escalated": "Nobody has acknowledged",
    "proof": "Proof",
    "problem": "Problem",
    "change.notice": "Planned",
    "change.reminder": "Soon",
    "change.approval": "Please decide",
    "change.halted": "Halted",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a notice tells. `url` is empty where there is no page of it."""

    kind: str
    title: str
    text: str
    school: str
    priority: int
    number: int | None
    at: dt.datetime
    url: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one receiver. `came_and_went`: how many were over before they were told."""

    key: str
    kind: str
    lines: tuple[Line, ...]
    is_test: bool
    at: dt.datetime
    url: str
    came_and_went: int = 0

    @property
    def threads(self) -> tuple[int, ...]:
        """The incidents that it is about, each once."""
        return tuple(dict.fromkeys(line.number for line in self.lines if line.number is not None))


def flat(text: str) -> str:
    """The text in one line, without anything that is not to be seen."""
    seen = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text)
    return " ".join(seen.split())


def subject(notice: Notice) -> str:
    """The notice in one line."""
    mark = "TEST: " if notice.is_test else ""
    return (mark + _subject(notice))[:_SUBJECT_LIMIT]


def _subject(notice: Notice) -> str:
    lines = notice.lines
    if not lines:
        return "A test of this channel from Fettle" if notice.kind == "test" else "Nothing is left to tell"
    head = lines[0]
    if len(notice.threads) <= 1 and notice.kind != "digest":
        newest = lines[-1]
        number = f" (incident {newest.number})" if newest.number is not None else ""
        where = f"{flat(newest.school)}: " if newest.school else ""
        rank = f", priority {newest.priority}" if _has_rank(newest) else ""
        return f"{_verb(newest)}{rank}: {where}{flat(newest.title)}{number}"
    worst = min(line.priority for line in lines)
    schools = sorted({flat(line.school) for line in lines if line.school})
    where = schools[0] if len(schools) == 1 else f"{len(schools)} schools"
    what = {"over": "incidents are over", "digest": "notices"}.get(notice.kind, "incidents")
    count = len(notice.threads) if notice.kind != "digest" else len(lines)
    first = f", first {flat(head.title)}" if notice.kind != "digest" else ""
    return f"{count} {what} at {where}, the worst of priority {worst}{first}"


def _verb(line: Line) -> str:
    return _VERBS.get(line.kind, "Notice")


def _has_rank(line: Line) -> bool:
    """What is planned or asked is no fault: a head has no use for its priority."""
    return not line.kind.startswith("change.")


def text(notice: Notice) -> str:
    """The notice as plain text."""
    parts = [*(["This is a test: nothing is wrong."] if notice.is_test else []), *map(_paragraph, notice.lines[:_LINES_LIMIT])]
    return "\n\n".join([*parts, *_last_words(notice)]) + "\n"


def _paragraph(line: Line) -> str:
    where = f"{flat(line.school)}: " if line.school else ""
    rank = f" (priority {line.priority}), " if _has_rank(line) else ": "
    head = f"{_verb(line)}{rank}{where}{flat(line.title)}"
    when = line.at.strftime("%Y-%m-%d %H:%M UTC")
    return "\n".join([head, *([flat(line.text)] if line.text else []), f"{when} {line.url}".rstrip()])


def _last_words(notice: Notice) -> list[str]:
    words = []
    if len(notice.lines) > _LINES_LIMIT:
        words.append(f"And {len(notice.lines) - _LINES_LIMIT} more.")
    if notice.came_and_went:
        words.append(f"{notice.came_and_went} more came and were over before this was sent.")
    if not notice.lines:
        words.append("If you read this, the channel works. Nothing is wrong.")
    return [*words, f"Fettle {notice.url}".rstrip()]


def as_html(notice: Notice) -> str:
    """The notice as a plain page."""
    parts = ["<p><strong>This is a test: nothing is wrong.</strong></p>"] if notice.is_test else []
    parts += [_html_paragraph(line) for line in notice.lines[:_LINES_LIMIT]]
    parts += [f"<p>{html.escape(word)}</p>" for word in _last_words(notice)]
    return f'<!doctype html><html lang="en"><body style="font-family:sans-serif">{"".join(parts)}</body></html>'


def _html_paragraph(line: Line) -> str:
    where = f"{html.escape(flat(line.school))}: " if line.school else ""
    title = html.escape(flat(line.title))
    linked = f'<a href="{html.escape(line.url)}">{title}</a>' if line.url else title
    more = f"<br>{html.escape(flat(line.text))}" if line.text else ""
    when = line.at.strftime("%Y-%m-%d %H:%M UTC")
    rank = f" (priority {line.priority})" if _has_rank(line) else ""
    return f"<p><strong>{_verb(line)}{rank}</strong><br>{where}{linked}{more}<br><small>{when}</small></p>"


def as_object(notice: Notice) -> dict[str, Any]:
    """The notice as docs/notices.md describes it for webhooks."""
    return {
        "key": notice.key,
        "kind": notice.kind,
        "test": notice.is_test,
        "at": notice.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "subject": subject(notice),
        "url": notice.url,
        "came_and_went": notice.came_and_went,
        "notices": [
            {
                "kind": line.kind,
                "incident": line.number,
                "priority": line.priority,
                "school": line.school,
                "title": line.title,
                "text": line.text,
                "at": line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "url": line.url,
            }
            for line in notice.lines
        ],
    }
