"""The table that turns impact and urgency into a priority; administrators edit it."""

from __future__ import annotations

from fettle_server.clock import utc_now
from fettle_server.reactive import actions, queries
from fettle_server.reactive.rules import IMPACTS, PRIORITIES, URGENCIES
from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import pages, respond

IMPACT_WORDS = {"user": "One person", "room": "A room's lesson", "school": "The whole school"}
URGENCY_WORDS = {"low": "Can wait", "medium": "Will hinder soon", "high": "Hinders now"}


@pages.get("/settings/priorities")
def priorities() -> ResponseReturnValue:
    """The table, with fields where the person may edit it."""
    auth.person()
    with store.reading() as tx:
        return respond(
            "pages/priorities.html",
            tx,
            nav="priorities",
            cells=queries.priorities(tx),
            impacts=[(key, IMPACT_WORDS[key]) for key in reversed(IMPACTS)],
            urgencies=[(key, URGENCY_WORDS[key]) for key in reversed(URGENCIES)],
            priorities=PRIORITIES,
            done=request.args.get("done"),
        )


@pages.post("/settings/priorities")
def set_priorities() -> ResponseReturnValue:
    """Keep the cells that differ."""
    person, now = auth.person(), utc_now()
    with store.writing() as tx:
        kept = queries.priorities(tx)
        for impact in IMPACTS:
            for urgency in URGENCIES:
                text = request.form.get(f"{impact}.{urgency}", "")
                if text.isdigit() and int(text) in PRIORITIES and kept.get((impact, urgency)) != int(text):
                    actions.set_priority_cell(tx, person, impact, urgency, int(text), now)
    return redirect(url_for("pages.priorities", done="kept"), 303)
