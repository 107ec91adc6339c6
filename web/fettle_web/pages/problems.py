"""Problems: what incidents seem to have in common, and the decision whether that is one to work on."""

from __future__ import annotations

from fettle_server.clock import utc_now
from fettle_server.estate.people.rules import Act
from fettle_server.proactive.problems import actions, queries
from fettle_server.proactive.problems.actions import ProblemError
from fettle_server.proactive.problems.rules import ProblemState
from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import PAGE_ROWS, address, once, pages, respond

_DONE = {"accept": "It is a problem now: what mends it for good is worked on.", "dismiss": "It is not proposed again."}


@pages.get("/proactive/problems")
def problems() -> ResponseReturnValue:
    """The list, those that wait for a decision first."""
    person, state = auth.person(), request.args.get("state", ProblemState.PROPOSED.value)
    wanted, after = state if state in list(ProblemState) else "", request.args.get("after") or None
    with store.reading() as tx:
        return respond(
            "pages/problems.html",
            tx,
            nav="problems",
            page=once(lambda: queries.problems(tx, person, wanted, after, PAGE_ROWS)),
            states=list(ProblemState),
            wanted=wanted,
            further=after,
            address=address,
        )


@pages.get("/proactive/problems/<int:number>")
def problem(number: int) -> ResponseReturnValue:
    """One problem with the incidents that speak for it."""
    return _page(number)


@pages.post("/proactive/problems/<int:number>/<deed>")
def decide(number: int, deed: str) -> ResponseReturnValue:
    """Accept it or dismiss it."""
    person, reason = auth.demand(Act.WORK_TASKS), request.form.get("reason", "")
    if deed not in _DONE:
        abort(404)
    try:
        with store.writing() as tx:
            if queries.problem(tx, person, number) is None:
                abort(404)
            if deed == "accept":
                actions.accept(tx, person, number, utc_now(), reason)
            else:
                actions.dismiss(tx, person, number, reason, utc_now())
    except ProblemError as error:
        return _page(number, refused=str(error)), 409
    flash(_DONE[deed])
    return redirect(url_for("pages.problem", number=number), 303)


def _page(number: int, refused: str = "") -> str:
    person = auth.person()
    with store.reading() as tx:
        found = queries.problem(tx, person, number)
        if found is None:
            abort(404)
        return respond("pages/problem.html", tx, nav="problems", find=lambda: found, refused=refused)
