"""The updates that anybody was ever offered: learned from looks, graded towards the worse, never towards the better.

What one PC says of an update counts for all. So an update that somebody called a security fix stays one, and the highest
severity and the earliest day of release stand: a PC that lies can make others look worse, which is seen, but never better.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from fettle_server.change.patches import ledger, rules
from fettle_server.change.patches.reading import MOST_CVES, Key, Offer
from fettle_server.change.patches.rules import Grade
from fettle_server.change.patches.tables import Update
from fettle_server.db import insert_into

_PIECE = 400
_RANK = {"": 0, "low": 1, "moderate": 2, "important": 3, "critical": 4}


class Known(NamedTuple):
    """An update of the catalogue."""

    id: int
    due_on: dt.date | None


def learn(tx: sa.Connection, offers: Iterable[Offer], now: dt.datetime) -> dict[Key, Known]:
    """The updates that are offered, those that are new added, those of which more is told now graded anew."""
    merged: dict[Key, Offer] = {}
    for offer in offers:
        before = merged.get(offer.key)
        merged[offer.key] = offer if before is None or before is offer else _with(before, offer)
    rows = _rows(tx, merged)
    missing = sorted(key for key in merged if key not in rows)
    if missing:
        _add(tx, [merged[key] for key in missing], now)
        rows |= _rows(tx, missing)
    return {key: _graded(tx, row, merged[key]) for key, row in rows.items()}


def names_of(tx: sa.Connection, ids: Collection[int]) -> dict[int, Key]:
    """The updates of those ids."""
    found: dict[int, Key] = {}
    wanted = sorted(ids)
    columns = (Update.id, Update.provider, Update.name, Update.version)
    for start in range(0, len(wanted), _PIECE):
        rows = tx.execute(sa.select(*columns).where(Update.id.in_(wanted[start : start + _PIECE])))
        found.update((row[0], (row[1], row[2], row[3])) for row in rows)
    return found


def _rows(tx: sa.Connection, keys: Collection[Key]) -> dict[Key, Any]:
    by_provider: dict[str, set[str]] = {}
    for provider, name, _ in keys:
        by_provider.setdefault(provider, set()).add(name)
    found: dict[Key, Any] = {}
    for provider, names in by_provider.items():
        wanted = sorted(names)
        for start in range(0, len(wanted), _PIECE):
            which = (Update.provider == provider, Update.name.in_(wanted[start : start + _PIECE]))
            for row in tx.execute(sa.select(*Update.__table__.c).where(*which)):
                key = (row.provider, row.name, row.version)
                if key in keys:
                    found[key] = row
    return found


def _add(tx: sa.Connection, offers: Collection[Offer], now: dt.datetime) -> None:
    rows = [_new(offer, now) for offer in offers]
    tx.execute(insert_into(tx, Update).on_conflict_do_nothing(), rows)


def _new(offer: Offer, now: dt.datetime) -> dict[str, Any]:
    provider, name, version = offer.key
    released_on = _past(offer.released_on, now)
    return {
        "provider": provider,
        "name": name,
        "version": version,
        "title": offer.title,
        "security": offer.grade.security,
        "severity": offer.grade.severity,
        "cvss": offer.grade.cvss,
        "cves": list(offer.cves),
        "reference": offer.reference,
        "released_on": released_on,
        "first_seen_at": now,
        "due_on": rules.due_on(offer.grade, released_on, now.date()),
    }


def _past(day: dt.date | None, now: dt.datetime) -> dt.date | None:
    """A day of release that lies before the update was seen; none can lie after it."""
    return day if day is not None and day <= now.date() else None


def _graded(tx: sa.Connection, row: Any, offer: Offer) -> Known:
    """The update with what this offer adds to what is known of it."""
    changes = {name: value for name, value in _merged(row, offer).items() if value != getattr(row, name)}
    if not changes:
        return Known(row.id, row.due_on)
    grade = Grade(*(changes.get(name, getattr(row, name)) for name in ("security", "severity", "cvss")))
    due = rules.due_on(grade, changes.get("released_on", row.released_on), row.first_seen_at.date())
    tx.execute(sa.update(Update).where(Update.id == row.id).values(**changes, due_on=due))
    if due != row.due_on:
        ledger.wind(tx, row.id, row.due_on, due)
    return Known(row.id, due)


def _merged(row: Any, offer: Offer) -> dict[str, Any]:
    severity = max(row.severity, offer.grade.severity, key=_RANK.__getitem__)
    scores = [score for score in (row.cvss, offer.grade.cvss) if score is not None]
    return {
        "security": row.security or offer.grade.security,
        "severity": severity,
        "cvss": max(scores, default=None),
        "cves": list(dict.fromkeys([*row.cves, *offer.cves]))[:MOST_CVES],
        "title": row.title or offer.title,
        "reference": row.reference or offer.reference,
        "released_on": rules.earliest((row.released_on, _past(offer.released_on, row.first_seen_at))),
    }


def _with(first: Offer, second: Offer) -> Offer:
    """Two PCs' words about one update, as one."""
    grade = Grade(
        first.grade.security or second.grade.security,
        max(first.grade.severity, second.grade.severity, key=_RANK.__getitem__),
        max((score for score in (first.grade.cvss, second.grade.cvss) if score is not None), default=None),
    )
    return first._replace(
        grade=grade,
        title=first.title or second.title,
        reference=first.reference or second.reference,
        released_on=rules.earliest((first.released_on, second.released_on)),
        cves=tuple(dict.fromkeys([*first.cves, *second.cves]))[:MOST_CVES],
    )
