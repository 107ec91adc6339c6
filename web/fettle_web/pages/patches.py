"""What PCs lack, one update, schools by the 14-day clock, and one PC's updates with each step's time."""

from __future__ import annotations

import datetime as dt
from typing import Any

from fettle_protocol.steps import PROVIDERS
from fettle_server.change.patches import exceptions, queries
from fettle_server.change.patches.rules import OPEN, PatchError, PatchState, Quiet, Standing
from fettle_server.change.patches.views import Compliance, LackingFilter, UpdateDetail
from fettle_server.change.rollouts import queries as rollouts
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Act, Person
from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store, words
from fettle_web.pages.parts import CSV_ROWS, PAGE_ROWS, address, once, pages, respond, sheet, whole

SEARCH_LENGTH = 100
_HEAD = (
    "id", "provider", "name", "version", "title", "security", "severity", "cves", "released_on", "due_on", "pcs", "overdue",
    "waiting_for_restart", "failed", "schools",
)  # fmt: skip
_ENDPOINT_HEAD = ("pc", "school", "state", "installed", "due_on", "words", *(f"{name}_at" for name in ("offered", "proven")))
_COMPLIANCE_HEAD = (
    "school", "pcs", "on_time", "due_soon", "overdue", "unknown", "excepted", "waiting_for_restart", "percent", "warnings",
)  # fmt: skip
MARKS = {
    PatchState.FAILED: "ill", PatchState.OFFERED: "watch", PatchState.APPROVED: "watch", PatchState.DOWNLOADED: "watch",
    PatchState.INSTALLED: "watch", PatchState.REBOOT_PENDING: "watch", PatchState.PROVEN: "well", PatchState.GONE: "unknown",
}  # fmt: skip
STANDINGS = {
    Standing.OVERDUE: "ill", Standing.UNKNOWN: "unknown", Standing.SOON: "watch", Standing.EXCEPTED: "watch",
    Standing.ON_TIME: "well",
}  # fmt: skip


@pages.get("/patches")
def patches() -> ResponseReturnValue:
    """One page of the updates that PCs lack."""
    person, wanted, now = auth.person(), _filter(), utc_now()
    with store.reading() as tx:
        if request.args.get("form") == "csv":
            return sheet("patches", _HEAD, _rows(tx, person, wanted, now))
        after = request.args.get("after") or None
        return respond(
            "pages/patches.html",
            tx,
            nav="patches",
            wanted=wanted,
            address=address,
            providers=PROVIDERS,
            further=after is not None,
            today=now.date(),
            summary=once(lambda: queries.summary(tx, person, now)),
            schools=once(lambda: endpoints.schools(tx, person)),
            page=once(lambda: queries.lacking(tx, person, wanted, now, after=after, limit=PAGE_ROWS)),
        )


@pages.get("/patches/<int:update_id>")
def patch(update_id: int) -> ResponseReturnValue:
    """One update: how far which PCs are with it."""
    person, now = auth.person(), utc_now()
    state, search = _state(), request.args.get("q", "").strip()[:SEARCH_LENGTH]
    school, after = whole("school"), request.args.get("after") or None
    with store.reading() as tx:
        found = _update(tx, person, update_id)
        if request.args.get("form") == "csv":
            return sheet(f"patch-{update_id}", _ENDPOINT_HEAD, _endpoint_rows(tx, person, update_id))
        return respond(
            "pages/patch.html",
            tx,
            nav="patches",
            found=lambda: found,
            one=found.update,
            marks=MARKS,
            open_states=OPEN,
            state=state,
            search=search,
            school=school,
            address=address,
            further=after is not None,
            today=now.date(),
            page=once(
                lambda: queries.endpoints_of(
                    tx, person, update_id, state=state, school_id=school, search=search, after=after, limit=PAGE_ROWS
                )
            ),
        )


@pages.get("/patches/compliance")
def compliance() -> ResponseReturnValue:
    """Schools by the 14-day clock."""
    person, now = auth.person(), utc_now()
    with store.reading() as tx:
        rows = once(lambda: compliance_of(tx, person, now))
        if request.args.get("form") == "csv":
            return sheet("compliance", _COMPLIANCE_HEAD, (_compliance_row(row) for row in rows()))
        return respond("pages/compliance.html", tx, nav="patches", rows=rows, address=address, today=now.date())


@pages.get("/pcs/<endpoint_id>/patches")
def pc_patches(endpoint_id: str) -> ResponseReturnValue:
    """All updates of one PC, each step with its time and the system's own words."""
    person, now = auth.person(), utc_now()
    with store.reading() as tx:
        pc, found = endpoints.endpoint(tx, person, endpoint_id), queries.of_endpoint(tx, person, endpoint_id, now)
        if pc is None or found is None:
            abort(404)
        return respond(
            "pages/pc_patches.html",
            tx,
            nav="pc",
            pc=pc,
            found=lambda: found,
            marks=MARKS,
            standings=STANDINGS,
            open_states=OPEN,
            today=now.date(),
        )


@pages.post("/patches/<int:update_id>/exceptions")
def except_patch(update_id: int) -> ResponseReturnValue:
    """Except an update from the clock, at one school or everywhere, until a day."""
    person = auth.demand(Act.APPROVE_CHANGE)
    school = request.form.get("school", "")
    try:
        until = dt.date.fromisoformat(request.form.get("until", ""))
        school_id = int(school) if school.isascii() and school.isdigit() and len(school) < 10 else None
        with store.writing() as tx:
            _update(tx, person, update_id)
            exceptions.except_update(tx, person, update_id, school_id, request.form.get("why", ""), until, utc_now())
    except PatchError as error:
        flash(str(error))
    except ValueError:
        flash("That is not a day such as 2027-01-31.")
    else:
        flash(f"Excepted until {words.dated(until)}.")
    return redirect(url_for("pages.patch", update_id=update_id), 303)


@pages.post("/patches/<int:update_id>/exceptions/<int:exception_id>/end")
def end_exception(update_id: int, exception_id: int) -> ResponseReturnValue:
    """The clock counts again."""
    person = auth.demand(Act.APPROVE_CHANGE)
    try:
        with store.writing() as tx:
            _update(tx, person, update_id)
            exceptions.end(tx, person, exception_id, utc_now())
    except PatchError:
        abort(404)
    flash("The exception is over: the clock counts again.")
    return redirect(url_for("pages.patch", update_id=update_id), 303)


def compliance_of(tx: Connection, person: Person, now: dt.datetime) -> tuple[Compliance, ...]:
    """The person's schools by the clock, each with what falls due in a freeze."""
    freezes = (one for one in rollouts.freezes(tx, person, now) if one.room_id is None and one.ended_at is None)
    quiet = [Quiet(one.school_id, one.title, one.starts_at.date(), one.ends_at.date()) for one in freezes]
    return queries.warned(tx, queries.compliance(tx, person, now), quiet, now)


def _update(tx: Connection, person: Person, update_id: int) -> UpdateDetail:
    found = queries.update(tx, person, update_id, utc_now())
    if found is None:
        abort(404)
    return found


def _state() -> PatchState | None:
    text = request.args.get("state", "")
    return PatchState(text) if text in tuple(PatchState) else None


def _filter() -> LackingFilter:
    provider = request.args.get("provider", "")
    return LackingFilter(
        school_id=whole("school"),
        provider=provider if provider in PROVIDERS else "",
        security=request.args.get("security") == "1",
        overdue=request.args.get("overdue") == "1",
        search=request.args.get("q", "").strip()[:SEARCH_LENGTH],
    )


def _rows(tx: Connection, person: Person, wanted: LackingFilter, now: dt.datetime) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    after: str | None = None
    while len(rows) < CSV_ROWS:
        page = queries.lacking(tx, person, wanted, now, after=after, limit=500)
        for one in page.rows:
            told = (one.id, one.provider, one.name, one.version, one.title, "yes" if one.security else "no", one.severity)
            days = (one.released_on or "", one.earliest_due_on or "")
            counts = (one.lacking, one.overdue, one.restart, one.failed, one.schools)
            rows.append((*told, " ".join(one.cves), *days, *counts))
        after = page.after
        if after is None:
            break
    return rows


def _endpoint_rows(tx: Connection, person: Person, update_id: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    after: str | None = None
    while len(rows) < CSV_ROWS:
        page = queries.endpoints_of(tx, person, update_id, state=_state(), after=after, limit=500)
        for one in page.rows:
            steps = dict(one.steps)
            times = (words.stamp(steps.get("offered")), words.stamp(steps.get("proven")))
            rows.append((one.endpoint, one.school, one.state.value, one.installed, one.due_on or "", one.words, *times))
        after = page.after
        if after is None:
            break
    return rows


def _compliance_row(row: Compliance) -> tuple[Any, ...]:
    counts = (row.endpoints, row.on_time, row.soon, row.overdue, row.unknown, row.excepted, row.restart)
    return row.school, *counts, "" if row.percent is None else row.percent, " ".join(row.warnings)
