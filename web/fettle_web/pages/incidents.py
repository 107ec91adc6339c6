"""The queue of incidents: tabs and filters that live in the address, keyset pages, CSV; worked without a mouse."""

from __future__ import annotations

from typing import Any

from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Person
from fettle_server.reactive import queries
from fettle_server.reactive.rules import PRIORITIES, IncidentState
from fettle_server.reactive.views import IncidentFilter
from flask import request
from flask.typing import ResponseReturnValue

from fettle_web import auth, store, words
from fettle_web.pages.parts import CSV_ROWS, PAGE_ROWS, address, once, pages, respond, sheet, whole

TABS = (
    ("open", "Open", {"state": None, "who": None}),
    ("me", "Mine", {"state": None, "who": "me"}),
    ("nobody", "Nobody's", {"state": None, "who": "nobody"}),
    ("resolved", "Resolved", {"state": "resolved", "who": None}),
    ("all", "All", {"state": "all", "who": None}),
)
STATES = ("open", "resolved", "all", *IncidentState)
SEARCH_LENGTH = 100
_HEAD = ("number", "state", "priority", "title", "school", "pc", "rule", "opened_at", "resolved_at", "assignee", "open_faults")


@pages.get("/incidents")
def incidents() -> ResponseReturnValue:
    """One page of the queue."""
    person, wanted = auth.person(), _filter()
    with store.reading() as tx:
        if request.args.get("form") == "csv":
            return sheet("incidents", _HEAD, _rows(tx, person, wanted))
        after = request.args.get("after") or None
        return respond(
            "pages/incidents.html",
            tx,
            nav="incidents",
            wanted=wanted,
            tab=_tab(wanted),
            tabs=TABS,
            priorities=PRIORITIES,
            address=address,
            further=after is not None,
            schools=once(lambda: endpoints.schools(tx, person)),
            page=once(lambda: queries.incidents(tx, person, wanted, after=after, limit=PAGE_ROWS)),
        )


def _filter() -> IncidentFilter:
    """What the address asks for; what makes no sense is left out."""
    state, who = request.args.get("state", "open"), request.args.get("who")
    return IncidentFilter(
        state=state if state in STATES else "open",
        priority=whole("priority", range(1, 6)),
        school_id=whole("school"),
        assignee=who if who in ("me", "nobody") else None,
        search=request.args.get("q", "").strip()[:SEARCH_LENGTH],
    )


def _tab(wanted: IncidentFilter) -> str:
    if wanted.state == "open" and wanted.assignee is not None:
        return str(wanted.assignee)
    return wanted.state


def _rows(tx: Connection, person: Person, wanted: IncidentFilter) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    after: str | None = None
    while len(rows) < CSV_ROWS:
        page = queries.incidents(tx, person, wanted, after=after, limit=500)
        for row in page.rows:
            opened, resolved = words.stamp(row.opened_at), words.stamp(row.resolved_at)
            rows.append(
                (row.number, row.state, row.priority, row.title, row.school, row.endpoint, row.rule, opened, resolved,
                 row.assignee or "", row.open_faults)
            )  # fmt: skip
        after = page.after
        if after is None:
            break
    return rows
