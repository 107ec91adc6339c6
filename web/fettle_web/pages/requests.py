"""Requests for change: the queue with what waits for the reader first, one change as a story, and the page for deciding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fettle_server.change.requests import actions, queries
from fettle_server.change.requests.queries import ChangeFilter
from fettle_server.change.requests.rules import STEP_WORDS
from fettle_server.change.requests.views import ChangeDetail, ChangeRow, EntryRow
from fettle_server.change.rollouts.plans import RolloutError
from fettle_server.change.rules import ChangeError, ChangeKind, ChangeState, Outcome, Step
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.calendars.queries import HOME
from fettle_server.estate.endpoints import queries as endpoints
from flask import Response, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import CSV_ROWS, PAGE_ROWS, address, once, pages, respond, sheet, whole
from fettle_web.words import stamp

DEEDS = ("withdraw", "review", "link", "unlink")
_DONE = {
    "withdraw": "Withdrawn: nothing of it happens.",
    "review": "Reviewed and closed.",
    "link": "The incident stands with this change now.",
    "unlink": "Taken away; it is not linked again by itself.",
}
_ENTRY_WORDS = {
    "proposed": "proposed it",
    "asked": "asked for a decision",
    "approved": "gave the last approval: it is approved",
    "scheduled": "started it; it waits for its first window",
    "running": "set it to running",
    "halted": "set it to halted",
    "review": "saw it carried out; it waits for its review",
    "closed": "closed it",
    "rejected": "ended it: it is rejected",
    "signed": "signed it",
    "withdrawn": "withdrew it",
    "noticed": "told the schools",
    "reminded": "reminded the schools",
    "reviewed": "wrote down what came of it",
    "incident linked": "put an incident beside it",
    "incident unlinked": "took an incident away from it",
    "rollout started": "started the rollout",
    "rollout paused": "paused the rollout",
    "rollout resumed": "let the rollout go on",
    "rollout halted": "halted the rollout",
    "rollout cancelled": "gave the rollout up",
    "rollout backed out": "began to undo it",
    "rollout ring released": "let the next ring begin",
    "rollout finished": "finished the rollout",
}
_MARKS = {
    ChangeState.HALTED: "ill",
    ChangeState.PROPOSED: "watch",
    ChangeState.RUNNING: "watch",
    ChangeState.REVIEW: "watch",
    ChangeState.APPROVED: "unknown",
    ChangeState.SCHEDULED: "unknown",
    ChangeState.REJECTED: "unknown",
    ChangeState.WITHDRAWN: "unknown",
    ChangeState.DRAFT: "unknown",
}
_STATES = (
    ("open", "Open"),
    ("all", "All"),
    *((state.value, state.value.capitalize()) for state in ChangeState if state != "draft"),
)


@pages.get("/changes")
def requests() -> ResponseReturnValue:
    """The queue: what waits for the reader first, then the list."""
    person, wanted, after = auth.person(), _wanted(), request.args.get("after") or None
    with store.reading() as tx:
        if request.args.get("form") == "csv":
            return _csv(tx, wanted)
        return respond(
            "pages/changes.html",
            tx,
            nav="changes",
            page=once(lambda: queries.changes(tx, person, wanted, after, PAGE_ROWS)),
            mine=once(lambda: queries.waiting(tx, person)),
            wanted=wanted,
            states=_STATES,
            kinds=list(ChangeKind),
            schools=once(lambda: endpoints.schools(tx, person)),
            mark_of=mark_of,
            further=after,
            address=address,
        )


@pages.get("/changes/<int:number>")
def change(number: int) -> ResponseReturnValue:
    """One change as a story."""
    return _page(number)


@pages.get("/changes/<int:number>/decide")
def decide_page(number: int) -> ResponseReturnValue:
    """The one page for who decides: what, when, what could go wrong, what is done then; yes or no."""
    return _decision(number)


@pages.post("/changes/<int:number>/decide")
def decide_change(number: int) -> ResponseReturnValue:
    """Yes or no to one step."""
    person, form = auth.person(), request.form
    if form.get("step") not in set(Step) or form.get("answer") not in ("yes", "no"):
        abort(400, "Say which step, and yes or no.")
    school, approved = form.get("school", ""), form["answer"] == "yes"
    school_id = int(school) if school.isascii() and school.isdigit() and len(school) < 10 else None
    try:
        with store.writing() as tx:
            if queries.change(tx, person, number) is None:
                abort(404)
            actions.decide(tx, person, number, Step(form["step"]), approved, form.get("why", ""), utc_now(), school_id)
    except (ChangeError, RolloutError) as error:
        return _decision(number, refused=str(error)), 409
    flash("Your yes is kept." if approved else "Your no is kept, with your reason.")
    return redirect(url_for("pages.change", number=number), 303)


@pages.post("/changes/<int:number>/<deed>")
def change_deed(number: int, deed: str) -> ResponseReturnValue:
    """Withdraw it, review it, put an incident beside it or take one away."""
    person = auth.person()
    if deed not in DEEDS:
        abort(404)
    try:
        with store.writing() as tx:
            if queries.change(tx, person, number) is None:
                abort(404)
            _do(tx, number, deed, request.form)
    except (ChangeError, RolloutError) as error:
        return _page(number, refused=str(error), deed=deed), 409
    flash(_DONE[deed])
    return redirect(url_for("pages.change", number=number), 303)


def mark_of(row: ChangeRow) -> str:
    """The state's mark: a closed change is as well as what came of it."""
    if row.state is ChangeState.CLOSED:
        return "well" if row.outcome == Outcome.SUCCESSFUL else "watch" if row.outcome == Outcome.PARTLY else "ill"
    return _MARKS[row.state]


def entry_words(entry: EntryRow) -> str:
    """What a line of the record says was done."""
    if entry.kind.startswith("step "):
        step = STEP_WORDS.get(Step(entry.detail["step"]), "")
        return f"{'gave' if entry.kind == 'step approved' else 'refused'} the {step}"
    if entry.kind == "asked":
        return f"asked for the {STEP_WORDS[Step(entry.detail['step'])]}{' again' if entry.detail.get('again') else ''}"
    if entry.kind.startswith("incident ") and "incident" in entry.detail:
        verb = "put incident {} beside it" if entry.kind.endswith(" linked") else "took incident {} away from it"
        return verb.format(entry.detail["incident"])
    return _ENTRY_WORDS.get(entry.kind, entry.kind)


def when_words(row: ChangeRow) -> str:
    """When it is planned, as a school's clocks show it: "Fri 27 Nov, 17:00 to 19:00"."""
    first, last = row.planned_from, row.planned_until
    if first is None:
        return ""
    words = f"{first.astimezone(HOME):%a %-d %b, %H:%M}"
    if last is None:
        return f"From {words}"
    same = first.astimezone(HOME).date() == last.astimezone(HOME).date()
    return f"{words} to {last.astimezone(HOME):{'%H:%M' if same else '%a %-d %b, %H:%M'}}"


def step_words(step: Mapping[str, Any]) -> str:
    """One step of a job as a sentence."""
    kind = step["kind"]
    if "packages" in step:
        named = [f"{one['name']} {one.get('version') or ''}".strip() for one in step["packages"]]
        more = f" and {len(named) - 6} more" if len(named) > 6 else ""
        return f"{kind.capitalize()} with {step['provider']}: {', '.join(named[:6])}{more}."
    if kind == "script":
        return f"Run the script {step['name']} {step['version']} of the library."
    if kind == "message":
        return f"Tell whoever is signed in: “{step['text']}”"
    if kind == "restart service":
        return f"Restart the service {step['service']}."
    words = {
        "reboot": "Restart the PC.",
        "clean temporary files": "Clean temporary files.",
        "use cache": "Use the local cache.",
    }
    return words.get(kind, f"{kind.capitalize()}.")


def _do(tx: Connection, number: int, deed: str, form: Mapping[str, str]) -> None:
    person, now, why = auth.person(), utc_now(), form.get("why", "")
    if deed == "withdraw":
        actions.withdraw(tx, person, number, why, now)
    elif deed == "review":
        outcome = form.get("outcome", "")
        if outcome not in set(Outcome):
            raise ChangeError("Say what came of it: successful, partly, failed or backed out.")
        actions.review(tx, person, number, Outcome(outcome), form.get("text", ""), form.get("lessons", ""), now)
    else:
        said = form.get("incident", "")
        if not said.isascii() or not said.isdigit() or len(said) > 9:
            raise ChangeError("An incident is named by its number.")
        act = actions.link if deed == "link" else actions.unlink
        act(tx, person, number, int(said), why, now)


def _page(number: int, refused: str = "", deed: str = "") -> str:
    with store.reading() as tx:
        found = _found(tx, number)
        return respond(
            "pages/change.html",
            tx,
            nav="changes",
            find=once(lambda: found),
            refused=refused,
            deed=deed,
            said=request.form,
            outcomes=list(Outcome),
            likely=_likely(found),
            mark_of=mark_of,
            entry_words=entry_words,
            step_words=step_words,
            when_words=when_words,
            step_names=STEP_WORDS,
        )


def _decision(number: int, refused: str = "") -> str:
    with store.reading() as tx:
        found = _found(tx, number)
        return respond(
            "pages/change_decide.html",
            tx,
            nav="changes",
            find=once(lambda: found),
            mine=[one for one in found.approvals if one.mine],
            turn=next((one for one in found.approvals if one.is_next), None),
            refused=refused,
            said=request.form,
            step_words=step_words,
            when_words=when_words,
            step_names=STEP_WORDS,
        )


def _found(tx: Connection, number: int) -> ChangeDetail:
    found = queries.change(tx, auth.person(), number)
    if found is None:
        abort(404)
    return found


def _likely(found: ChangeDetail) -> str:
    """The outcome that its rollouts speak for; a person has the last word."""
    if any(line.direction != "forward" and line.state in ("running", "finished") for line in found.rollouts):
        return Outcome.BACKED_OUT.value
    return Outcome.PARTLY.value if any(line.failed for line in found.rollouts) else Outcome.SUCCESSFUL.value


def _wanted() -> ChangeFilter:
    state, kind = request.args.get("state", "open"), request.args.get("kind", "")
    known = state if state in dict(_STATES) else "open"
    return ChangeFilter(
        "" if known == "all" else known,
        kind if kind in set(ChangeKind) else "",
        whole("school"),
        request.args.get("q", "")[:100],
    )


def _csv(tx: Connection, wanted: ChangeFilter) -> Response:
    person, after = auth.person(), None
    rows: list[ChangeRow] = []
    while len(rows) < CSV_ROWS:
        page = queries.changes(tx, person, wanted, after, 500)
        rows += page.rows
        after = page.after
        if after is None:
            break
    head = ("number", "title", "kind", "state", "risk", "proposer", "created_at", "planned_from", "planned_until", "outcome")
    lines = (
        (
            row.id, row.title, row.kind.value, row.state.value, row.risk, row.proposer, stamp(row.created_at),
            stamp(row.planned_from), stamp(row.planned_until), row.outcome,
        )
        for row in rows
    )  # fmt: skip
    return sheet("changes", head, lines)
