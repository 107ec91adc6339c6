"""What people do to calendars: enter and remove entries, set bell times, take in files. Never commits.

An entry without a school counts for all schools, and is the business of those who see all of them.
"""

from __future__ import annotations

import datetime as dt
import secrets
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from fettle_server.db import insert_into
from fettle_server.estate.calendars.rules import DAY_MINUTES, CalendarError, Kind
from fettle_server.estate.calendars.tables import BellTimes, CalendarEntry, CalendarMark
from fettle_server.estate.calendars.views import BellRow, NewEntry
from fettle_server.estate.people.rules import Act, Forbidden, Person, demand, sees
from fettle_server.estate.tables import Room, School
from fettle_server.journal import actions as journal

MAX_ENTRIES = 3000
MAX_LESSONS = 20
_LONGEST = dt.timedelta(days=400)


def add_entry(tx: sa.Connection, person: Person, school_id: int | None, entry: NewEntry, now: dt.datetime) -> int:
    """Enter something into a school's calendar (None: into all schools'); returns its key.

    Raises:
        CalendarError: an entry that cannot be, no such school, or too many entries.
        Forbidden: the person may not change places there.
    """
    _demand(tx, person, school_id)
    _check(tx, school_id, (entry,))
    _demand_space(tx, school_id, 1)
    row = _row(school_id, entry, "", now)
    key = tx.execute(sa.insert(CalendarEntry).values(row).returning(CalendarEntry.id)).scalar_one()
    _touch(tx)
    detail = {"title": row["title"], "kind": entry.kind, "from": entry.starts_on.isoformat(), "to": entry.ends_on.isoformat()}
    journal.record(tx, "calendar.entered", person.actor, _subject(school_id), school_id, detail, now)
    return key


def remove_entry(tx: sa.Connection, person: Person, entry_id: int, now: dt.datetime) -> None:
    """Remove an entry.

    Raises:
        CalendarError: there is no such entry where the person may look.
        Forbidden: the person may not change places there.
    """
    entry = CalendarEntry
    columns = (entry.school_id, entry.title, entry.kind, entry.starts_on)
    row = tx.execute(sa.select(*columns).where(entry.id == entry_id)).one_or_none()
    if row is None or (row.school_id is not None and not sees(person, row.school_id)):
        raise CalendarError("There is no such entry.")
    _demand(tx, person, row.school_id)
    tx.execute(sa.delete(entry).where(entry.id == entry_id))
    _touch(tx)
    detail = {"title": row.title, "kind": row.kind, "from": row.starts_on.isoformat()}
    journal.record(tx, "calendar.removed", person.actor, _subject(row.school_id), row.school_id, detail, now)


def set_bells(tx: sa.Connection, person: Person, school_id: int, bells: Sequence[BellRow], now: dt.datetime) -> None:
    """Set when a school opens and closes on each weekday; weekdays that are left out have no school. None at all: the usual.

    Raises:
        CalendarError: hours that cannot be, or no such school.
        Forbidden: the person may not change places there.
    """
    _demand(tx, person, school_id)
    for bell in bells:
        _check_bell(bell)
    if len({bell.weekday for bell in bells}) < len(bells):
        raise CalendarError("A weekday has its hours once.")
    tx.execute(sa.delete(BellTimes).where(BellTimes.school_id == school_id))
    rows = [_bell_row(school_id, bell) for bell in bells]
    if rows:
        tx.execute(sa.insert(BellTimes), rows)
    _touch(tx)
    detail = {"weekdays": sorted(bell.weekday for bell in bells)}
    journal.record(tx, "calendar.bells", person.actor, _subject(school_id), school_id, detail, now)


def take_in(
    tx: sa.Connection,
    person: Person,
    school_id: int | None,
    entries: Sequence[NewEntry],
    *,
    now: dt.datetime,
    series: Collection[str] = (),
    source: str = "",
) -> int:
    """Enter what a file holds in place of what stands under the same UIDs or `series`; returns how many were replaced.

    Raises:
        CalendarError: an entry that cannot be, no such school, or too many entries.
        Forbidden: the person may not change places there.
    """
    _demand(tx, person, school_id)
    _check(tx, school_id, entries)
    replaced = _drop_series(tx, school_id, {entry.series or entry.uid for entry in entries} | set(series))
    _demand_space(tx, school_id, len(entries))
    source = _shown(source, 200)
    if entries:
        tx.execute(sa.insert(CalendarEntry), [_row(school_id, entry, source, now) for entry in entries])
    _touch(tx)
    detail = {"entries": len(entries), "replaced": replaced, "file": source}
    journal.record(tx, "calendar.imported", person.actor, _subject(school_id), school_id, detail, now)
    return replaced


def replace_all(
    tx: sa.Connection,
    person: Person,
    school_id: int,
    entries: Sequence[NewEntry],
    bells: Sequence[BellRow],
    *,
    now: dt.datetime,
) -> None:
    """Put these entries and bell times in the place of all that a school's own calendar holds.

    Raises:
        CalendarError: an entry or hours that cannot be, no such school, or too many entries.
        Forbidden: the person may not change places there.
    """
    _demand(tx, person, school_id)
    tx.execute(sa.delete(CalendarEntry).where(CalendarEntry.school_id == school_id))
    take_in(tx, person, school_id, entries, now=now)
    set_bells(tx, person, school_id, bells, now)


def _demand(tx: sa.Connection, person: Person, school_id: int | None) -> None:
    demand(person, Act.EDIT_PLACES, school_id)
    if school_id is None:
        if person.schools is not None:
            raise Forbidden(f"{person.name} does not act in all schools.")
    elif tx.scalar(sa.select(School.id).where(School.id == school_id)) is None:
        raise CalendarError("There is no such school.")


def _check(tx: sa.Connection, school_id: int | None, entries: Iterable[NewEntry]) -> None:
    rooms: set[int] = set()
    for entry in entries:
        _check_entry(entry)
        if entry.room_id is not None:
            rooms.add(entry.room_id)
    there = set(tx.scalars(sa.select(Room.id).where(Room.id.in_(rooms), Room.school_id == school_id))) if rooms else set()
    if rooms - there:
        raise CalendarError("There is no such room in this school.")


def _check_entry(entry: NewEntry) -> None:
    if not _shown(entry.title, 200):
        raise CalendarError("An entry has a title that can be seen.")
    if entry.ends_on < entry.starts_on:
        raise CalendarError("The last day is before the first.")
    if entry.ends_on - entry.starts_on > _LONGEST or not 2000 <= entry.starts_on.year <= 2100:
        raise CalendarError("An entry lasts at most 400 days, in this century.")
    if entry.kind is not Kind.EXAM and (entry.from_minute, entry.to_minute, entry.room_id) != (None, None, None):
        raise CalendarError("Only exams have times and rooms; other entries are of whole days.")
    if (entry.from_minute is None) != (entry.to_minute is None):
        raise CalendarError("An exam has both a beginning and an end, or is on all day.")
    if entry.from_minute is not None and entry.to_minute is not None:
        _check_minutes(entry.from_minute, entry.to_minute)


def _check_bell(bell: BellRow) -> None:
    if not 0 <= bell.weekday <= 6:
        raise CalendarError("Weekdays are 0 (Monday) to 6 (Sunday).")
    _check_minutes(bell.opens, bell.closes)
    if len(bell.lessons) > MAX_LESSONS:
        raise CalendarError(f"A day has at most {MAX_LESSONS} lessons.")
    for lesson in bell.lessons:
        _check_minutes(lesson.starts, lesson.ends)
        if not _shown(lesson.name, 60):
            raise CalendarError("A lesson has a name that can be seen.")
        if lesson.starts < bell.opens or lesson.ends > bell.closes:
            raise CalendarError("Lessons lie between opening and closing.")


def _check_minutes(first: int, last: int) -> None:
    if not 0 <= first < last <= DAY_MINUTES:
        raise CalendarError("A time ends after it begins, on the same day.")


def _demand_space(tx: sa.Connection, school_id: int | None, more: int) -> None:
    there = tx.scalar(sa.select(sa.func.count()).where(_of(school_id))) or 0
    if there + more > MAX_ENTRIES:
        raise CalendarError(f"A calendar has at most {MAX_ENTRIES} entries: remove old ones first.")


def _of(school_id: int | None) -> sa.ColumnElement[bool]:
    return CalendarEntry.school_id.is_(None) if school_id is None else CalendarEntry.school_id == school_id


def _drop_series(tx: sa.Connection, school_id: int | None, series: Collection[str]) -> int:
    dropped, wanted = 0, sorted(one for one in series if one)
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        same = sa.or_(CalendarEntry.series.in_(some), CalendarEntry.uid.in_(some))
        dropped += tx.execute(sa.delete(CalendarEntry).where(_of(school_id), same)).rowcount
    return dropped


def _row(school_id: int | None, entry: NewEntry, source: str, now: dt.datetime) -> dict[str, Any]:
    uid = entry.uid or f"{secrets.token_hex(12)}@fettle"
    return {
        "school_id": school_id,
        "kind": entry.kind,
        "title": _shown(entry.title, 200),
        "starts_on": entry.starts_on,
        "ends_on": entry.ends_on,
        "from_minute": entry.from_minute,
        "to_minute": entry.to_minute,
        "room_id": entry.room_id,
        "uid": uid[:200],
        "series": (entry.series or uid)[:200],
        "source": source,
        "changed_at": now,
    }


def _bell_row(school_id: int, bell: BellRow) -> dict[str, Any]:
    lessons = [{"name": _shown(one.name, 60), "starts": one.starts, "ends": one.ends} for one in bell.lessons]
    return {"school_id": school_id, "weekday": bell.weekday, "opens": bell.opens, "closes": bell.closes, "lessons": lessons}


def _touch(tx: sa.Connection) -> None:
    """Let every process know that its copies are old."""
    mark = secrets.token_hex(16)
    new = insert_into(tx, CalendarMark).values(id=1, mark=mark)
    tx.execute(new.on_conflict_do_update(index_elements=[CalendarMark.id], set_={"mark": mark}))


def _subject(school_id: int | None) -> str:
    return "calendar:all" if school_id is None else f"calendar:{school_id}"


def _shown(text: str, limit: int) -> str:
    return "".join(letter for letter in text[: limit * 4] if unicodedata.category(letter)[0] != "C").strip()[:limit]
