"""One incident: its story, and what a person may do about it. Every deed is a form that works without a script too."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from fettle_server.change.requests import queries as requests
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.people.rules import Forbidden, Person
from fettle_server.proactive import queries as proactive
from fettle_server.proactive.causes.words import advice
from fettle_server.reactive import actions, queries
from fettle_server.reactive.rules import IMPACTS, URGENCIES, Refused
from flask import abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.evidence import seen
from fettle_web.pages.ordering import LASTS
from fettle_web.pages.parts import once, pages, respond
from fettle_web.pages.priorities import IMPACT_WORDS, URGENCY_WORDS

BY_MISTAKE = "Resolved by mistake."
DONE = {
    "acknowledge": "Acknowledged: others see that you know of it.",
    "take": "You have it now.",
    "assign": "It has its person now.",
    "leave": "Nobody has it now.",
    "start": "In progress.",
    "wait": "Waiting; the reason is in the timeline.",
    "resolve": "Resolved.",
    "close": "Closed.",
    "reopen": "Open again.",
    "comment": "Your comment is in the timeline.",
    "grade": "Its priority is worked out anew.",
}
UNDO = {"take": "leave", "resolve": "reopen"}

Deed = Callable[[Connection, Person, int, dt.datetime], Any]


def _field(name: str) -> str:
    return request.form.get(name, "")


DEEDS: dict[str, Deed] = {
    "acknowledge": actions.acknowledge,
    "take": lambda tx, who, number, now: actions.assign(tx, who, number, who.name, now),
    "leave": lambda tx, who, number, now: actions.assign(tx, who, number, None, now),
    "assign": lambda tx, who, number, now: actions.assign(tx, who, number, _field("assignee") or None, now),
    "start": actions.start,
    "wait": lambda tx, who, number, now: actions.wait(tx, who, number, _field("text"), now),
    "resolve": lambda tx, who, number, now: actions.resolve(tx, who, number, _field("text"), now),
    "close": actions.close,
    "reopen": lambda tx, who, number, now: actions.reopen(tx, who, number, _field("text"), now),
    "comment": lambda tx, who, number, now: actions.comment(tx, who, number, _field("text"), now),
    "grade": lambda tx, who, number, now: actions.set_impact(tx, who, number, _field("impact"), _field("urgency"), now),
}


@pages.get("/incidents/<int:number>")
def incident(number: int) -> ResponseReturnValue:
    """The incident's page."""
    return _page(number)


@pages.post("/incidents/<int:number>/<deed>")
def work(number: int, deed: str) -> ResponseReturnValue:
    """Do it, and show the result where it was done; what is refused is said there with its reason."""
    do = DEEDS.get(deed)
    if do is None:
        abort(404)
    person = auth.person()
    try:
        with store.writing() as tx:
            do(tx, person, number, utc_now())
    except Refused as refused:
        return _page(number, refused=refused.reason, deed=deed), 409
    except Forbidden as forbidden:
        return _page(number, refused=forbidden.reason, deed=deed), 403
    if _field("next") == "queue":
        return redirect(auth.safe_next(_field("address")) if _field("address") else url_for("pages.incidents"), 303)
    return redirect(url_for("pages.incident", number=number, done=deed), 303)


def _page(number: int, *, refused: str | None = None, deed: str = "") -> str:
    person, now = auth.person(), utc_now()
    done = request.args.get("done", "")
    with store.reading() as tx:
        found = queries.incident(tx, person, number)
        if found is None:
            abort(404)
        policy = proactive.current_policy(tx)
        return respond(
            "pages/incident.html",
            tx,
            nav="incidents",
            number=number,
            find=lambda: found,
            now=now,
            rule=once(lambda: advice(policy.rule(found.rule), found.scope, found.rule)),
            seen=once(lambda: seen(found.faults, policy)),
            changes=once(lambda: requests.of_incident(tx, person, number)),
            alike=once(lambda: queries.alike(tx, person, number)),
            impacts=[(key, IMPACT_WORDS[key]) for key in IMPACTS],
            urgencies=[(key, URGENCY_WORDS[key]) for key in URGENCIES],
            lasts=LASTS,
            refused=refused,
            deed=deed,
            text=_field("text") if refused else "",
            done=done if done in DONE else "",
            done_words=DONE.get(done, ""),
            undo=UNDO.get(done),
            by_mistake=BY_MISTAKE,
        )
