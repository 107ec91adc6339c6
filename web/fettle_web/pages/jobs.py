"""One job: the story of one manifest on one PC, with the operating system's own words beside each step."""

from __future__ import annotations

from typing import Any

from fettle_server.change.jobs import actions, queries
from fettle_server.change.jobs.rules import NOT_BEGUN, JobError, JobState, Told
from fettle_server.change.jobs.views import JobView
from fettle_server.change.manifests import queries as manifests
from fettle_server.change.manifests.words import step_words
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.people.rules import Act, Forbidden
from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import once, pages, respond

STATE_WORDS = {
    JobState.WAITING: "Waiting",
    JobState.RELEASED: "On its way",
    JobState.RECEIVED: "Received",
    JobState.DEFERRED: "Put off",
    JobState.RUNNING: "Running",
    JobState.RESTARTING: "Restarting",
    JobState.DONE: "Done",
    JobState.FAILED: "Failed",
    JobState.REFUSED: "Refused",
    JobState.EXPIRED: "Expired",
    JobState.CANCELLED: "Cancelled",
}
MARKS = {
    JobState.WAITING: "waiting",
    JobState.RELEASED: "released",
    JobState.RECEIVED: "received",
    JobState.DEFERRED: "received",
    JobState.RUNNING: "running",
    JobState.RESTARTING: "restarting",
    JobState.DONE: "done",
    JobState.FAILED: "failed",
    JobState.REFUSED: "failed",
    JobState.EXPIRED: "silent",
    JobState.CANCELLED: "cancelled",
}
"""The mark of each state (templates/rollout_marks.html)."""
TOLD_WORDS = {
    "received": "The PC has it",
    "refused": "The PC refused it",
    "waiting": "It waits",
    "deferred": "Somebody put it off",
    "started": "It began",
    "step done": "A step is done",
    "step failed": "A step failed",
    "restarting": "The PC restarts for it",
    "resumed": "It went on after a break",
    "done": "It is done",
    "failed": "It failed",
    "cancelled": "The PC will not run it",
    "progress": "It goes on",
}
_AT_IT = {JobState.RUNNING: "running", JobState.RESTARTING: "running", JobState.FAILED: "failed"}
"""The mark of the step that a job is at."""
_TOLD_OF_STEP: dict[str, str] = {Told.STEP_DONE: "done", Told.STEP_FAILED: "failed"}


@pages.get("/jobs/<uid>")
def job(uid: str) -> ResponseReturnValue:
    """The job's story."""
    return _page(uid)


@pages.post("/jobs/<uid>/cancel")
def cancel_job(uid: str) -> ResponseReturnValue:
    """Take it back before it begins."""
    person = auth.person()
    try:
        with store.writing() as tx:
            if queries.job(tx, person, uid) is None:
                abort(404)
            actions.cancel_by_hand(tx, person, uid, request.form.get("why", ""), utc_now())
    except JobError as error:
        return _page(uid, refused=str(error)), 409
    except Forbidden as error:
        return _page(uid, refused=error.reason), 403
    flash("It is cancelled: the PC will not begin it.")
    return redirect(url_for("pages.job", uid=uid), 303)


def steps_of(tx: Connection, view: JobView) -> tuple[dict[str, Any], ...]:
    """What the job's manifest tells the PC to do."""
    found = manifests.manifest(tx, view.row.manifest_id)
    return found.said.steps if found is not None else ()


def step_marks(view: JobView, count: int) -> tuple[str, ...]:
    """How far each of so many steps is, by what the PC told of it in its latest try."""
    told: dict[int, str] = {}
    for entry in view.entries:
        told = {} if entry.state == Told.STARTED else told | {entry.step: entry.state}
    if view.row.state is JobState.DONE:
        return ("done",) * count
    marks = [_TOLD_OF_STEP.get(told.get(number, ""), "waiting") for number in range(1, count + 1)]
    now = _AT_IT.get(view.row.state)
    if now is not None and "waiting" in marks and "failed" not in marks:
        marks[marks.index("waiting")] = now
    return tuple(marks)


def _page(uid: str, refused: str = "") -> str:
    person = auth.person()
    with store.reading() as tx:
        found = queries.job(tx, person, uid)
        if found is None:
            abort(404)
        may_cancel = found.row.state in NOT_BEGUN and auth.may(Act.RUN_ROLLOUT, found.row.school_id)
        return respond(
            "pages/job.html",
            tx,
            nav="rollouts",
            find=once(lambda: found),
            steps=once(lambda: steps_of(tx, found)),
            step_words=step_words,
            step_marks=once(lambda: step_marks(found, len(steps_of(tx, found)))),
            told_words=TOLD_WORDS,
            state_words=STATE_WORDS,
            marks=MARKS,
            may_cancel=may_cancel,
            refused=refused,
        )
