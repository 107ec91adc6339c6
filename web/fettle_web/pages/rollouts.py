"""Rollouts: the list, and one of them live: rings, the gate's arithmetic, each PC's step, and what a person may do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

from fettle_server.change.manifests import actions as signing
from fettle_server.change.manifests import queries as manifests
from fettle_server.change.manifests.rules import SigningError
from fettle_server.change.manifests.words import step_words
from fettle_server.change.rollouts import actions, pictures, queries
from fettle_server.change.rollouts.rules import RolloutError, RolloutState
from fettle_server.change.rollouts.views import RolloutView, TargetRow
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Act, Forbidden, Person
from flask import Response, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages import rings, steering
from fettle_web.pages.keys import signing_download
from fettle_web.pages.parts import CSV_ROWS, PAGE_ROWS, address, once, pages, respond, sheet, whole
from fettle_web.words import stamp

SHEET_PIECE, TARGET_ROWS = 500, 25
FIRST = (RolloutState.RUNNING, RolloutState.HALTED, RolloutState.PAUSED, RolloutState.READY)
_SHEET = ("PC", "Id", "School", "Room", "Ring", "State", "Why", "Since", "Job")

Deed = Callable[[Connection, Person, int, dt.datetime], Any]


def _why(otherwise: str = "") -> str:
    return request.form.get("why", "").strip() or otherwise


DEEDS: dict[str, Deed] = {
    "start": actions.start,
    "halt": lambda tx, who, number, now: actions.halt(tx, who, number, _why("Halted by hand."), now),
    "pause": lambda tx, who, number, now: actions.pause(tx, who, number, _why("Paused by hand."), now),
    "resume": lambda tx, who, number, now: actions.resume(tx, who, number, _why(), now),
    "cancel": lambda tx, who, number, now: actions.cancel(tx, who, number, _why(), now),
    "back-out": lambda tx, who, number, now: actions.back_out(
        tx, who, number, _why(), now, at_any_time="any_time" in request.form
    ),
}


@pages.get("/rollouts")
def rollouts() -> ResponseReturnValue:
    """The list: what runs, is halted or is ready stands first, then the rest, newest first."""
    person, now, after = auth.person(), utc_now(), request.args.get("after") or None
    with store.reading() as tx:
        return respond(
            "pages/rollouts.html",
            tx,
            nav="rollouts",
            lively=once(lambda: [] if after else _lively(tx, person, now)),
            page=once(lambda: queries.rollouts(tx, person, now, after=after, limit=PAGE_ROWS)),
            marks_of=marks_of,
            bar_of=lambda row: rings.parts(marks_of(row)),
            state_words=steering.STATE_WORDS,
            further=after,
            address=address,
        )


@pages.get("/rollouts/<int:rollout_id>")
def rollout(rollout_id: int) -> ResponseReturnValue:
    """One rollout, live."""
    return _page(rollout_id)


@pages.post("/rollouts/<int:rollout_id>/<deed>")
def steer(rollout_id: int, deed: str) -> ResponseReturnValue:
    """Start, halt, pause, resume, cancel or back out; the result is shown where it was asked for."""
    do = DEEDS.get(deed)
    if do is None:
        abort(404)
    person, now = auth.person(), utc_now()
    try:
        with store.writing() as tx:
            _found(tx, person, rollout_id, now)
            made = do(tx, person, rollout_id, now)
    except RolloutError as error:
        return _page(rollout_id, refused=str(error), deed=deed), 409
    except Forbidden as error:
        return _page(rollout_id, refused=error.reason, deed=deed), 403
    if deed == "back-out":
        flash("This undoes it. What it waits for, if anything, stands below.")
        return redirect(url_for("pages.rollout", rollout_id=made), 303)
    return redirect(url_for("pages.rollout", rollout_id=rollout_id, done=deed), 303)


@pages.get("/rollouts/<int:rollout_id>/signing.sh")
def rollout_signing(rollout_id: int) -> ResponseReturnValue:
    """The file of commands that sign what this rollout waits for, for an approver's own machine."""
    person, now = auth.person(), utc_now()
    try:
        with store.reading() as tx:
            _found(tx, person, rollout_id, now)
            unsigned = [row.id for row in manifests.of_rollout(tx, rollout_id) if not row.is_signed]
            text = signing.signing_file_of(tx, person, unsigned, now)
    except SigningError as error:
        return _page(rollout_id, refused=str(error)), 409
    return signing_download(text, f"sign-rollout-{rollout_id}")


@pages.post("/rollouts/<int:rollout_id>/signatures")
def rollout_signatures(rollout_id: int) -> ResponseReturnValue:
    """Take back what the file of commands printed."""
    person, now = auth.person(), utc_now()
    try:
        with store.writing() as tx:
            _found(tx, person, rollout_id, now)
            signing.bring_signatures(tx, person, request.form.get("signatures", ""), now)
    except SigningError as error:
        return _page(rollout_id, refused=str(error), deed="signatures"), 409
    except Forbidden as error:
        return _page(rollout_id, refused=error.reason, deed="signatures"), 403
    return redirect(url_for("pages.rollout", rollout_id=rollout_id, done="signatures"), 303)


@pages.get("/rollouts/<int:rollout_id>/pcs.csv")
def rollout_sheet(rollout_id: int) -> Response:
    """Every PC of it, with its step and why, to keep."""
    person, now = auth.person(), utc_now()
    with store.reading() as tx:
        _found(tx, person, rollout_id, now)
        rows = [
            (row.name, row.endpoint_id, row.school, row.room, row.ring_name, rings.WORDS[_mark(row)], row.why, stamp(row.since),
             row.job_uid)
            for row in _every(tx, person, rollout_id, now)
        ]  # fmt: skip
    return sheet(f"rollout-{rollout_id}", _SHEET, rows)


def marks_of(row: Any) -> dict[str, int]:
    """A row's counts by mark; those that left are not counted."""
    counts: dict[str, int] = {}
    for state, count in row.counts.items():
        if state != "gone":
            counts[rings.step(state)] = counts.get(rings.step(state), 0) + count
    return counts


def _lively(tx: Connection, person: Person, now: dt.datetime) -> list[Any]:
    rows = queries.rollouts(tx, person, now, states=FIRST, limit=PAGE_ROWS).rows
    return sorted(rows, key=lambda row: FIRST.index(row.state))


def _found(tx: Connection, person: Person, rollout_id: int, now: dt.datetime) -> RolloutView:
    found = queries.rollout(tx, person, rollout_id, now) if rollout_id < 2**31 else None
    if found is None:
        abort(404)
    return found


def _mark(row: TargetRow) -> str:
    return rings.step(row.state, row.job_state)


def _every(tx: Connection, person: Person, rollout_id: int, now: dt.datetime) -> Iterator[TargetRow]:
    after: str | None = None
    for _ in range(CSV_ROWS // SHEET_PIECE):
        page = queries.targets(tx, person, rollout_id, now, after=after, limit=SHEET_PIECE)
        yield from page.rows
        after = page.after
        if after is None:
            return


def _ring(view: RolloutView) -> str:
    """The ring that the list shows: the one asked for, by itself the one that the rollout is at."""
    is_on = view.row.started_at is not None and view.row.ended_at is None
    return request.args.get("ring", str(view.row.ring) if is_on else "all")


def _targets(tx: Connection, person: Person, view: RolloutView, now: dt.datetime) -> Any:
    states = rings.STATES.get(request.args.get("state", ""), ())
    asked, school, after = _ring(view), whole("school"), request.args.get("after") or None
    ring = int(asked) if asked in {str(one.number) for one in view.rings} else None
    return queries.targets(
        tx, person, view.row.id, now, ring=ring, states=states, school_id=school, after=after, limit=TARGET_ROWS
    )


def _page(rollout_id: int, *, refused: str = "", deed: str = "") -> str:
    person, now = auth.person(), utc_now()
    done = request.args.get("done", "")
    with store.reading() as tx:
        view = _found(tx, person, rollout_id, now)
        signed = once(lambda: manifests.of_rollout(tx, rollout_id))
        cells = once(lambda: pictures.cells(tx, person, rollout_id))
        may_run = auth.may(Act.RUN_ROLLOUT)
        return respond(
            "pages/rollout.html",
            tx,
            nav="rollouts",
            find=lambda: view,
            sentence=once(lambda: steering.sentence(view)),
            then_what=once(lambda: steering.what_next(view, signed())),
            may_run=may_run,
            asks=once(lambda: steering.asks(view, signed()) if may_run else ()),
            rings=once(lambda: steering.columns(tx, person, view, cells(), now)),
            words_of=rings.WORDS,
            mark_of=_mark,
            targets=once(lambda: _targets(tx, person, view, now)),
            ring=_ring(view),
            schools=once(lambda: endpoints.schools(tx, person)),
            manifests=signed,
            step_words=step_words,
            plan_words=once(lambda: steering.plan_words(view.plan)),
            next_windows=once(lambda: steering.next_windows(tx, view, cells(), now)),
            further=request.args.get("after"),
            address=address,
            refused=refused,
            deed=deed,
            text=request.form.get("signatures" if deed == "signatures" else "why", "") if refused else "",
            done_words=steering.DONE.get(done, ""),
        )
