"""What is done to forecasts: a night's piece is stored, what they say is told at the right hour, warranties are set."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import Policy

from fettle_server.db import insert_into, to_ms
from fettle_server.estate.calendars.queries import calendars
from fettle_server.estate.endpoints.scope import scoped
from fettle_server.estate.people.rules import Act, Person, demand
from fettle_server.estate.tables import Endpoint
from fettle_server.journal.actions import record
from fettle_server.proactive import actions as proactive
from fettle_server.proactive.forecasts import nightly, rules
from fettle_server.proactive.forecasts.judging import Judged, PaceRow
from fettle_server.proactive.forecasts.tables import Forecast, Pace, Warranty
from fettle_server.proactive.maintenance import actions as maintenance
from fettle_server.proactive.maintenance.rules import Task
from fettle_server.proactive.maintenance.tables import MaintenanceTask
from fettle_server.proactive.rules import RECOVERED, Clear, Raise, Signal
from fettle_server.reactive.rules import Refused

TELL = 200
IMPORT_LINES = 20_000
_TASK_NOTICE = dt.timedelta(days=14)
_UNTOLD = sa.text("forecasts.is_raised <> forecasts.is_told")


def store(tx: sa.Connection, judged: Judged) -> None:
    """Store a piece of the night's forecasts."""
    if judged.dropped:
        tx.execute(sa.delete(Forecast).where(Forecast.id.in_(judged.dropped)))
    keys = ("endpoint_pk", "rule", "instance")
    for row in judged.kept:
        insert = insert_into(tx, Forecast).values(**row)
        new = {name: insert.excluded[name] for name in row if name not in keys}
        tx.execute(insert.on_conflict_do_update(index_elements=list(keys), set_=new))
    for pace in judged.paces:
        insert = insert_into(tx, Pace).values(**pace._asdict())
        new = {name: insert.excluded[name] for name in PaceRow._fields[1:]}
        tx.execute(insert.on_conflict_do_update(index_elements=["endpoint_pk"], set_=new))
    nightly.keep_mark(tx, nightly.FORECASTS, judged.then)


def untold(tx: sa.Connection) -> bool:
    """True where a forecast waits to be told, or to be taken back."""
    return tx.scalar(sa.select(Forecast.id).where(_UNTOLD).limit(1)) is not None


def tell(tx: sa.Connection, policy: Policy, now: dt.datetime, reopen_within: dt.timedelta) -> int:
    """Make incidents and tasks of what may be told now, and end those of what is over; returns how many were told."""
    columns = (*Forecast.__table__.c, Endpoint.name.label("endpoint"), Endpoint.room_id)
    waiting = sa.select(*columns).join(Endpoint, Endpoint.pk == Forecast.endpoint_pk)
    rows = tx.execute(waiting.where(_UNTOLD, Endpoint.revoked_at.is_(None)).order_by(Forecast.id)).all()
    by_school = calendars(tx, sorted({row.school_id for row in rows})) if rows else {}
    ready = [row for row in rows if row.school_id in by_school and rules.may_tell(by_school[row.school_id], now, row.due_at)][
        :TELL
    ]
    signals: list[tuple[int, Signal]] = []
    for row in ready:
        if row.rule in rules.TASKS:
            _task(tx, row, now)
        else:
            signals.append((row.endpoint_pk, _signal(policy, row, now)))
    proactive.judge(tx, signals, now=now, reopen_within=reopen_within)
    if ready:
        ids = [row.id for row in ready]
        tx.execute(sa.update(Forecast).where(Forecast.id.in_(ids)).values(is_told=Forecast.is_raised))
    return len(ready)


def set_warranty(
    tx: sa.Connection, person: Person, endpoint_id: str, ends_on: dt.date | None, now: dt.datetime, *, source: str = ""
) -> None:
    """Write down until when an endpoint's maker mends it; None: nobody knows.

    Raises:
        Forbidden: the person may not. Refused: there is no such endpoint.
    """
    row = tx.execute(
        sa.select(Endpoint.pk, Endpoint.school_id).where(Endpoint.id == endpoint_id, *scoped(person))
    ).one_or_none()
    if row is None:
        raise Refused("There is no such PC.")
    demand(person, Act.MANAGE_ENDPOINTS, row.school_id)
    if ends_on is None:
        tx.execute(sa.delete(Warranty).where(Warranty.endpoint_pk == row.pk))
    else:
        values = {"endpoint_pk": row.pk, "ends_on": ends_on, "source": (source or person.actor)[:120], "set_at": now}
        insert = insert_into(tx, Warranty).values(**values)
        new = {name: insert.excluded[name] for name in ("ends_on", "source", "set_at")}
        tx.execute(insert.on_conflict_do_update(index_elements=["endpoint_pk"], set_=new))
    detail = {"ends_on": ends_on.isoformat() if ends_on else None}
    record(tx, "endpoint.warranty", person.actor, f"endpoint:{endpoint_id}", row.school_id, detail, now)


def import_warranties(tx: sa.Connection, person: Person, text: str, now: dt.datetime) -> tuple[int, list[str]]:
    """Set the warranties of a CSV file with the columns `serial` (or `name`) and `ends_on` (2027-08-31).

    Returns how many were set, and a sentence for each line that could not be. Nothing but those lines is left out.

    Raises:
        Forbidden: the person may not. Refused: the file has not these columns, or too many lines.
    """
    demand(person, Act.MANAGE_ENDPOINTS, None)
    lines = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    columns = {name.strip().lower(): name for name in (lines[0] if lines else {}) if name}
    key = next((name for name in ("serial", "name") if name in columns), None)
    if key is None or "ends_on" not in columns or len(lines) > IMPORT_LINES:
        raise Refused(
            f"The first line must name the columns serial (or name) and ends_on; at most {IMPORT_LINES} lines follow."
        )
    column = Endpoint.serial if key == "serial" else Endpoint.name
    problems, count = [], 0
    for number, line in enumerate(lines, start=2):
        wanted, ends = (line[columns[key]] or "").strip(), (line[columns["ends_on"]] or "").strip()
        ids = tx.scalars(sa.select(Endpoint.id).where(column == wanted, *scoped(person)).limit(2)).all() if wanted else []
        day = _date(ends)
        if len(ids) != 1 or day is None:
            problems.append(f"Line {number}: {_problem(len(ids), wanted, ends)}")
            continue
        set_warranty(tx, person, ids[0], day, now, source="imported")
        count += 1
    return count, problems


def drop_revoked(tx: sa.Connection, now: dt.datetime, limit: int) -> int:
    """Forget what was coming to endpoints that were revoked, and withdraw their tasks; returns how many of both."""
    gone = sa.select(Endpoint.pk).where(Endpoint.revoked_at.is_not(None))
    ids = tx.scalars(sa.select(Forecast.id).where(Forecast.endpoint_pk.in_(gone)).limit(limit)).all()
    if ids:
        tx.execute(sa.delete(Forecast).where(Forecast.id.in_(ids)))
    task = MaintenanceTask
    keys = tx.scalars(sa.select(task.key).where(task.state == "open", task.endpoint_pk.in_(gone)).limit(limit)).all()
    for key in keys:
        maintenance.withdraw(tx, key, "The PC was retired", now)
    return len(ids) + len(keys)


def task_key(rule: str, endpoint_pk: int, instance: str) -> str:
    """The key of the task that a forecast makes."""
    return f"{rule}/endpoint:{endpoint_pk}/{instance}"


_TASK_TITLES = {
    "battery": "Replace the battery of {name}",
    "disk": "Replace disk {instance} of {name}",
    "warranty": "Have {name} looked over before its warranty ends",
}


def _task(tx: sa.Connection, row: Any, now: dt.datetime) -> None:
    kind = rules.TASKS[row.rule]
    key = task_key(row.rule, row.endpoint_pk, row.instance)
    if not row.is_raised:
        maintenance.withdraw(tx, key, "It is well again", now)
        return
    title = _TASK_TITLES[kind].replace("{instance}", row.instance).replace("{name}", row.endpoint)
    due = max((row.due_at or now) - _TASK_NOTICE, now + _TASK_NOTICE / 2).date()
    maintenance.propose(tx, Task(kind, key, title, row.sentence, row.school_id, row.endpoint_pk, row.room_id, due), now)


def _signal(policy: Policy, row: Any, now: dt.datetime) -> Signal:
    at_ms = to_ms(now)
    if not row.is_raised:
        return Clear(at_ms, row.rule, row.instance, RECOVERED, row.value, at_ms, [(at_ms, row.value)], False)
    rule = policy.rule(row.rule)
    severity = rule.severity if rule else "watch"
    evidence = [(at_ms, row.value)]
    since_ms = min(row.since_ms, at_ms)
    return Raise(
        at_ms, row.rule, row.instance, severity, row.value, since_ms, evidence, policy.version, row.sentence[:200], False
    )


def _date(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _problem(found: int, wanted: str, ends: str) -> str:
    if found == 0:
        return f"no PC {wanted[:80]!r} is known"
    if found > 1:
        return f"several PCs are called {wanted[:80]!r}: use the serial number"
    return f"{ends[:40]!r} is not a day such as 2027-08-31"
