"""An incident's timeline in words: who, and what they did."""

from __future__ import annotations

from fettle_server.reactive.views import IncidentDetail, IncidentRow, TimelineEntry
from flask import Flask

_KINDS = {
    "opened": "opened this incident",
    "joined": "added a fault",
    "fault cleared": "saw the fault end",
    "comment": "commented",
    "acknowledged": "acknowledged it",
    "resolved": "resolved it",
    "reopened": "opened it again",
    "graded": "changed its priority",
    "promoted": "found that its cause is wider",
    "merged": "made it part of a wider incident",
    "change": "put a change beside it",
    "comes and goes": "saw that it comes and goes",
}
_LEVELS = {
    "room": "the whole room",
    "school": "the whole school",
    "service": "one service in many places",
    "model": "one model",
    "build": "one build",
}
_STATES = {"in progress": "started work", "waiting": "set it to waiting", "closed": "closed it"}
_SAID = ("Work has begun", "Closed")


def install(app: Flask) -> None:
    """Give the templates these filters."""
    app.jinja_env.filters["actor"] = actor
    app.jinja_env.filters["entry_words"] = entry_words
    app.jinja_env.filters["entry_text"] = entry_text
    app.jinja_env.filters["level"] = level
    app.jinja_env.filters["place"] = place


def level(row: IncidentRow) -> str:
    """At which level its cause is, with how many PCs it reached; empty where that is one PC, or none."""
    words = _LEVELS.get(row.scope, "")
    return f"{words}: {row.endpoints} PC{'' if row.endpoints == 1 else 's'}" if words and row.endpoints else ""


def place(row: IncidentDetail) -> str:
    """Where silence for an incident is asked for, as the form's field has it; empty where it is of no one place."""
    if row.endpoint_id:
        return f"pc:{row.endpoint_id}"
    return f"school:{row.school_id}" if row.school_id is not None else ""


def actor(name: str) -> str:
    """Who did it, as people call them."""
    kind, _, rest = name.partition(":")
    if kind == "user":
        return rest
    if kind == "token":
        return f"{rest} (a script)"
    return "The PC" if kind == "endpoint" else "Fettle"


def entry_words(entry: TimelineEntry) -> str:
    """What was done, as the rest of a sentence that begins with who."""
    if entry.kind == "assigned":
        name = entry.detail.get("assignee")
        return "took it" if name and entry.actor == f"user:{name}" else f"gave it to {name}" if name else "gave it back"
    if entry.kind == "state":
        return _STATES.get(str(entry.detail.get("state")), "changed its state")
    return _KINDS.get(entry.kind, entry.kind)


def entry_text(entry: TimelineEntry) -> str:
    """What was said with it, unless the words say it already."""
    return "" if entry.kind == "assigned" or entry.text in _SAID else entry.text
