"""Reads of the journal: what live pages follow, and the story of one subject."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from fettle_server.journal.tables import Entry
from fettle_server.paging import Page, bounded, mark, unmark

LIMIT = 1000
_ADMINISTRATOR = "administrator"


class Reader(Protocol):
    """Who asks (estate.people.rules.Person is one): schools None means all of them."""

    @property
    def role(self) -> str:
        """The person's role."""

    @property
    def schools(self) -> frozenset[int] | None:
        """The schools that the person may see."""


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One entry, as journal.tables.Entry describes it."""

    id: int
    at: dt.datetime
    kind: str
    actor: str
    subject: str
    school_id: int | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries: of a kind ("user.added") or a family of kinds ("user"), by one actor, about one subject, before a time."""

    kind: str = ""
    actor: str = ""
    subject: str = ""
    before: dt.datetime | None = None


def newest_id(tx: sa.Connection) -> int:
    """The id of the newest entry; 0 where there is none."""
    return int(tx.scalar(sa.select(sa.func.max(Entry.id))) or 0)


def since(tx: sa.Connection, person: Reader, after_id: int, limit: int = LIMIT) -> tuple[JournalRow, ...]:
    """The entries after that id which the person may see, oldest first."""
    return _read(tx, _seen_by(person).where(Entry.id > after_id).order_by(Entry.id), limit)


def for_subject(tx: sa.Connection, person: Reader, subject: str, limit: int = 100) -> tuple[JournalRow, ...]:
    """The newest entries about one subject which the person may see, newest first."""
    return _read(tx, _seen_by(person).where(Entry.subject == subject).order_by(Entry.id.desc()), limit)


def audit(
    tx: sa.Connection, person: Reader, wanted: AuditFilter, after: str | None = None, limit: int = 50
) -> Page[JournalRow]:
    """A page of the entries that fit and that the person may see, newest first.

    Raises:
        PageError: `after` is no mark of this list.
    """
    limit = bounded(limit)
    statement = _fitting(_seen_by(person), wanted).order_by(Entry.id.desc())
    if after is not None:
        statement = statement.where(Entry.id < unmark(after, int)[0])
    rows = _read(tx, statement, limit + 1)
    return Page(rows[:limit], mark((rows[limit - 1].id,)) if len(rows) > limit else None)


def _fitting(statement: sa.Select[Any], wanted: AuditFilter) -> sa.Select[Any]:
    if wanted.kind:
        family = Entry.kind.startswith(f"{wanted.kind}.", autoescape=True)
        statement = statement.where(Entry.kind == wanted.kind if "." in wanted.kind else family)
    if wanted.actor:
        statement = statement.where(Entry.actor == wanted.actor)
    if wanted.subject:
        statement = statement.where(Entry.subject == wanted.subject)
    if wanted.before is not None:
        statement = statement.where(Entry.at < wanted.before)
    return statement


def _seen_by(person: Reader) -> sa.Select[Any]:
    statement = sa.select(Entry.id, Entry.at, Entry.kind, Entry.actor, Entry.subject, Entry.school_id, Entry.detail)
    if person.schools is not None:
        return statement.where(Entry.school_id.in_(person.schools))
    return statement if person.role == _ADMINISTRATOR else statement.where(Entry.school_id.is_not(None))


def _read(tx: sa.Connection, statement: sa.Select[Any], limit: int) -> tuple[JournalRow, ...]:
    return tuple(JournalRow(*row) for row in tx.execute(statement.limit(max(1, min(limit, LIMIT)))))
