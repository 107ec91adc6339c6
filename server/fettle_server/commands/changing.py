"""Requests for change as JSON objects and as lines for a terminal; docs/json.md says what the objects hold."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from fettle_server.change.requests.rules import STEP_WORDS
from fettle_server.change.requests.views import ChangeDetail, ChangeRow, Preview, Statistics, TemplateRow
from fettle_server.commands.listing import plain, stamp

HEAD = (("CHANGE", 6), ("STATE", 9), ("KIND", 9), ("RISK", 6), ("PLANNED", 24), ("WAITS FOR", 24), ("TITLE", 40))
TEMPLATE_HEAD = (("NUMBER", 6), ("USABLE", 6), ("UNTIL", 10), ("USED", 4), ("BY", 20), ("NAME", 40))


def change_object(row: ChangeRow) -> dict[str, Any]:
    """One change of a list."""
    return {
        "id": row.id,
        "kind": row.kind.value,
        "state": row.state.value,
        "title": row.title,
        "reach": row.reach,
        "risk": row.risk,
        "proposer": row.proposer,
        "created_at": stamp(row.created_at),
        "planned_from": stamp(row.planned_from),
        "planned_until": stamp(row.planned_until),
        "outcome": row.outcome,
        "schools": list(row.schools),
        "school_count": row.school_count,
        "everywhere": row.everywhere,
        "waits_for": row.waits_for,
    }


def detail_object(found: ChangeDetail) -> dict[str, Any]:
    """One change with all that belongs to it."""
    return change_object(found.row) | {
        "why": found.why,
        "what": found.what,
        "plan": found.plan,
        "back_out_plan": found.back_out_plan,
        "risk_reasons": list(found.risk_reasons),
        "template": found.template,
        "steps": [dict(step) for step in found.steps],
        "begun_at": stamp(found.begun_at),
        "ended_at": stamp(found.ended_at),
        "review": found.review,
        "reviewed_by": found.reviewed_by,
        "reviewed_at": stamp(found.reviewed_at),
        "approvals": [
            {
                "step": one.step.value,
                "school": one.school,
                "decision": one.decision,
                "actor": one.actor,
                "why": one.why,
                "at": stamp(one.at),
                "is_next": one.is_next,
            }
            for one in found.approvals
        ],
        "rollouts": [asdict(one) for one in found.rollouts],
        "incidents": [
            {"number": one.number, "title": one.title, "state": one.state, "how": one.how, "why": one.why}
            for one in found.incidents
        ],
        "record": [
            {"at": stamp(one.at), "kind": one.kind, "actor": one.actor, "text": one.text, "detail": dict(one.detail)}
            for one in found.entries
        ],
    }


def preview_object(found: Preview) -> dict[str, Any]:
    """What a proposal would be."""
    return {
        "risk": found.risk.value,
        "risk_reasons": list(found.reasons),
        "steps": [step.value for step in found.steps],
        "final_approval_of": list(found.finals),
        "pcs": found.pcs,
        "servers": found.servers,
        "schools": list(found.schools),
        "refusals": list(found.refusals),
    }


def template_object(row: TemplateRow) -> dict[str, Any]:
    """One template of standard changes."""
    return {
        "id": row.id,
        "name": row.name,
        "why": row.why,
        "plan": row.plan,
        "back_out_plan": row.back_out_plan,
        "limits": asdict(row.limits),
        "approved_by": row.approved_by,
        "approved_at": stamp(row.approved_at),
        "expires_at": stamp(row.expires_at),
        "withdrawn_at": stamp(row.withdrawn_at),
        "usable": row.usable,
        "used": row.used,
    }


def statistics_object(one: Statistics) -> dict[str, Any]:
    """The change statistics of one school, or of all."""
    return asdict(one) | {
        "emergency_percent": _rounded(one.emergency_percent),
        "success_percent": _rounded(one.success_percent),
    }


def cells(row: ChangeRow) -> tuple[Any, ...]:
    """One change as a line of the table."""
    return row.id, row.state, row.kind, row.risk, stamp(row.planned_from) or "next windows", row.waits_for or "-", row.title


def template_cells(row: TemplateRow) -> tuple[Any, ...]:
    """One template as a line of the table."""
    return row.id, "yes" if row.usable else "no", row.expires_at.date(), row.used, row.approved_by, row.name


def print_preview(found: Preview) -> None:
    """What the proposal would be, for a person to say yes to."""
    typer.echo(plain(f"It reaches {found.pcs} endpoints ({found.servers} of them servers) in {len(found.schools)} schools."))
    typer.echo(f"Risk: {found.risk}")
    for reason in found.reasons:
        typer.echo(plain(f"  {reason}"))
    words = [STEP_WORDS[step] for step in found.steps]
    typer.echo(f"It needs: {', '.join(words) or 'nothing more, since its template is approved'}")
    if found.finals:
        typer.echo(plain(f"  final approval of {', '.join(found.finals)}"))


def print_change(found: ChangeDetail) -> None:
    """One change, for reading."""
    row = found.row
    typer.echo(plain(f"Change {row.id}: {row.title}"))
    waits = f"; waits for the {row.waits_for}" if row.waits_for else ""
    facts = {
        "State": f"{row.kind}, {row.state}{waits}",
        "Why": found.why,
        "Whom": row.reach,
        "Planned": f"{stamp(row.planned_from) or 'in the next change windows'} to {stamp(row.planned_until) or 'its end'}",
        "Plan": found.plan,
        "Back out": found.back_out_plan,
        "Risk": f"{row.risk}. {' '.join(found.risk_reasons)}",
        "Outcome": f"{row.outcome}. {found.review}" if row.outcome else "-",
    }
    for name, fact in facts.items():
        typer.echo(f"  {name + ':':10}{plain(fact)}")
    for one in found.approvals:
        said = f"{one.decision} by {one.actor} {stamp(one.at)} {one.why}" if one.decision else "waits"
        typer.echo(plain(f"  {STEP_WORDS[one.step]}{f' ({one.school})' if one.school else ''}: {said}".rstrip()))
    for line in found.rollouts:
        typer.echo(plain(f"  Rollout {line.id} ({line.direction}): {line.state}, {line.done} of {line.pcs} done. {line.why}"))
    for incident in found.incidents:
        typer.echo(plain(f"  Incident {incident.number} ({incident.how}): {incident.title}. {incident.why}"))
    typer.echo("Record:")
    for entry in reversed(found.entries):
        typer.echo(plain(f"  {stamp(entry.at)}  {entry.actor}: {entry.kind} {entry.text}".rstrip()))


def print_statistics(rows: tuple[Statistics, ...]) -> None:
    """The statistics as a table, the first line for all schools."""
    head = (
        "SCHOOL",
        "MADE",
        "APPROVED",
        "REJECTED",
        "EMERGENCY",
        "REVIEWED",
        "SUCCESSFUL",
        "FAILED",
        "BACKED OUT",
        "INCIDENTS",
    )
    typer.echo(f"{head[0]:28}" + "".join(f"{name:>12}" for name in head[1:]))
    for one in rows:
        counts = (
            one.requests, one.approved, one.rejected, one.emergency, one.reviewed, one.successful, one.failed, one.backed_out,
            one.incidents,
        )  # fmt: skip
        typer.echo(plain(f"{one.school:28}") + "".join(f"{count:>12}" for count in counts))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
