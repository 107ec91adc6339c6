"""`fettle patches` and `fettle compliance`: what PCs lack, and how schools stand with the 14-day clock."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from fettle_server import clock
from fettle_server.change.patches import queries
from fettle_server.change.patches.rules import PatchError, Quiet
from fettle_server.change.patches.views import Compliance, LackingFilter, LackingRow
from fettle_server.change.rollouts import queries as rollouts
from fettle_server.commands.listing import AsJson, Data, Database, every, plain, print_document, print_table, reading, stamp
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.tables import School
from fettle_server.paging import LIMIT

app = typer.Typer()
_PATCH_HEAD = (
    ("UPDATE", 6), ("DUE", 10), ("PCS", 6), ("LATE", 6), ("RESTART", 7), ("SECURITY", 9), ("BY", 8), ("NAME", 32),
    ("VERSION", 24),
)  # fmt: skip
_COMPLIANCE_HEAD = (
    ("SCHOOL", 28), ("IN TIME", 7), ("ON TIME", 7), ("DUE SOON", 8), ("OVERDUE", 7), ("UNKNOWN", 7), ("EXCEPTED", 8),
    ("RESTART", 7),
)  # fmt: skip
InSchool = Annotated[str | None, typer.Option("--school", metavar="NAME", help="Of one school only.")]


@app.command("patches")
def patches(
    data: Data,
    school: InSchool = None,
    security: Annotated[bool, typer.Option("--security", help="Security updates only.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those that some PC lacks past its day.")] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List the updates that PCs lack, the earliest due day first."""
    now = clock.utc_now()
    with reading(data, database) as tx:
        wanted = LackingFilter(_school(tx, school), security=security, overdue=overdue)
        rows = every(lambda after: queries.lacking(tx, SYSTEM, wanted, now, after=after, limit=LIMIT))
        if as_json:
            print_document("updates", map(update_object, rows))
        else:
            print_table(_PATCH_HEAD, map(_patch_cells, rows))


@app.command("compliance")
def compliance(data: Data, school: InSchool = None, as_json: AsJson = False, database: Database = None) -> None:
    """Say how schools stand with the 14-day clock for critical and high security updates: evidence, not a certificate."""
    now = clock.utc_now()
    with reading(data, database) as tx:
        school_id = _school(tx, school)
        rows = [row for row in queries.compliance(tx, SYSTEM, now) if school_id in (None, row.school_id)]
        told = queries.warned(tx, rows, quiet(tx, now), now)
    if as_json:
        typer.echo(json.dumps({"schools": [compliance_object(row) for row in told]}))
        return
    print_table(_COMPLIANCE_HEAD, map(_compliance_cells, told))
    for row in told:
        for warning in row.warnings:
            typer.echo(plain(f"{row.school}: {warning}"))


def quiet(tx: sa.Connection, now: dt.datetime) -> list[Quiet]:
    """The freezes that are on or to come, for whole schools."""
    found = rollouts.freezes(tx, SYSTEM, now)
    whole = (one for one in found if one.room_id is None and one.ended_at is None)
    return [Quiet(one.school_id, one.title, one.starts_at.date(), one.ends_at.date()) for one in whole]


def update_object(row: LackingRow) -> dict[str, Any]:
    """One update as docs/json.md describes it."""
    return {
        "id": row.id,
        "provider": row.provider,
        "name": row.name,
        "version": row.version,
        "title": row.title,
        "security": row.security,
        "severity": row.severity,
        "cvss": row.cvss,
        "cves": list(row.cves),
        "reference": row.reference,
        "released_on": row.released_on.isoformat() if row.released_on else None,
        "first_seen_at": stamp(row.first_seen_at),
        "due_on": row.earliest_due_on.isoformat() if row.earliest_due_on else None,
        "clock": row.clock,
        "lacking": row.lacking,
        "overdue": row.overdue,
        "restart": row.restart,
        "failed": row.failed,
        "approved": row.approved,
        "schools": row.schools,
    }


def compliance_object(row: Compliance) -> dict[str, Any]:
    """One school as docs/json.md describes it."""
    return {
        "school_id": row.school_id,
        "school": row.school,
        "endpoints": row.endpoints,
        "on_time": row.on_time,
        "due_soon": row.soon,
        "overdue": row.overdue,
        "unknown": row.unknown,
        "excepted": row.excepted,
        "restart": row.restart,
        "due_on": row.due_on.isoformat() if row.due_on else None,
        "percent": row.percent,
        "warnings": list(row.warnings),
    }


def _school(tx: sa.Connection, name: str | None) -> int | None:
    if name is None:
        return None
    found = tx.scalar(sa.select(School.id).where(School.name == name))
    if found is None:
        raise PatchError(f"There is no school named {name}; `fettle endpoints` names the schools.")
    return int(found)


def _patch_cells(row: LackingRow) -> tuple[Any, ...]:
    grade = (row.severity or "yes") if row.security else "-"
    due = row.earliest_due_on.isoformat() if row.earliest_due_on else "-"
    return row.id, due, row.lacking, row.overdue, row.restart, grade, row.provider, row.name, row.version


def _compliance_cells(row: Compliance) -> tuple[Any, ...]:
    percent = "unknown" if row.percent is None else f"{row.percent} %"
    return row.school, percent, row.on_time, row.soon, row.overdue, row.unknown, row.excepted, row.restart
