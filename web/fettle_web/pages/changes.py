"""Journal entries as sentences: who changed what, for the overview's list of what is changing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from fettle_server.journal.queries import JournalRow

_SENTENCES = {
    "incident.resolved": "Incident {key} was resolved",
    "incident.reopened": "Incident {key} came back",
    "endpoint.enrolled": "A new PC joined",
    "endpoint.revoked": "A PC's certificate was revoked",
    "endpoint.clashed": "Two machines claim to be one PC",
    "endpoint.inventory": "A PC's parts or programs changed",
    "policy.published": "The rules for all PCs changed",
    "change.proposed": "Change {key} was proposed",
    "change.approved": "Change {key} was approved",
    "change.rejected": "Change {key} was rejected",
    "change.running": "Change {key} began",
    "change.halted": "Change {key} was halted",
    "change.review": "Change {key} is through and waits for its review",
    "change.closed": "Change {key} was closed",
    "rollout.backed_out": "Rollout {key} is undone",
    "key.added": "An approver’s key is trusted",
    "key.retired": "An approver’s key was retired",
    "user.added": "A person was added",
    "priorities.changed": "The table of priorities changed",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed. `kind` and `key` are the subject's ("incident", "12"), `name` its own name."""

    at: dt.datetime
    sentence: str
    name: str
    who: str
    kind: str
    key: str


def changes(rows: Iterable[JournalRow]) -> list[Change]:
    """The entries that people care for, newest first; several of one kind about one subject are told once."""
    told: dict[tuple[str, str], Change] = {}
    for row in sorted(rows, key=lambda row: row.id, reverse=True):
        sentence = _SENTENCES.get(row.kind)
        if sentence is None or (row.kind, row.subject) in told:
            continue
        kind, _, key = row.subject.partition(":")
        name = str(row.detail.get("title") or row.detail.get("name") or (key if kind == "user" else ""))
        told[row.kind, row.subject] = Change(row.at, sentence.format(key=key), name, _who(row.actor), kind, key)
    return sorted(told.values(), key=lambda change: change.at, reverse=True)


def _who(actor: str) -> str:
    kind, _, name = actor.partition(":")
    return name if kind in ("user", "token") else ""
