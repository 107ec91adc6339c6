"""The audit page: the journal, filtered by the address and read in keyset pages."""

from __future__ import annotations

import datetime as dt

from fettle_server.estate.people.rules import Act
from fettle_server.journal import queries
from fettle_server.journal.queries import AuditFilter
from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import PAGE_ROWS, address

FAMILIES = ("incident", "endpoint", "user", "session", "token", "policy", "priority")
_TEXT_LIMIT = 120

blueprint = Blueprint("audit", __name__)


@blueprint.get("/audit")
def show() -> ResponseReturnValue:
    """One page of what happened, newest first."""
    who, wanted = auth.demand(Act.SEE_AUDIT), _filter()
    after = request.args.get("after") or None
    with store.reading() as tx:
        page = queries.audit(tx, who, wanted, after=after, limit=PAGE_ROWS)
    return render_template(
        "pages/audit.html", nav="audit", page=page, wanted=wanted, families=FAMILIES, address=address, further=after
    )


def _filter() -> AuditFilter:
    """What the address asks for; a day that is none is left out."""
    kind, actor, subject = (request.args.get(name, "").strip()[:_TEXT_LIMIT] for name in ("kind", "actor", "subject"))
    try:
        until = dt.date.fromisoformat(request.args.get("until", ""))
        before = dt.datetime.combine(until, dt.time(), dt.UTC) + dt.timedelta(days=1)
    except (ValueError, OverflowError):
        before = None
    return AuditFilter(kind=kind, actor=actor, subject=subject, before=before)
