"""The proofs that alerts work: each school's last one with its steps, when the next is due, and a button to prove it now."""

from __future__ import annotations

from fettle_server.clock import utc_now
from fettle_server.estate.people.rules import Act, sees
from fettle_server.proactive.proofs import actions, queries
from fettle_server.proactive.proofs.actions import ProofError
from flask import abort, flash, redirect, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import pages, respond

STEP_WORDS = {
    "asked": "Asked",
    "raised": "Fault",
    "opened": "Incident",
    "told": "Notice",
    "cleared": "Over",
    "resolved": "Resolved",
}


@pages.get("/proactive/proofs")
def proofs() -> ResponseReturnValue:
    """Each school with its last proof."""
    who = auth.person()
    every_days = store.settings().proof_every_days
    with store.reading() as tx:
        return respond(
            "pages/proofs.html",
            tx,
            nav="proofs",
            schools=queries.schools(tx, who, every_days),
            proved=queries.last_proved(tx, who),
            every_days=every_days,
            words=STEP_WORDS,
            now=utc_now(),
        )


@pages.post("/proactive/proofs/<int:school_id>")
def prove(school_id: int) -> ResponseReturnValue:
    """Prove a school's alerts now."""
    if not sees(auth.person(), school_id):
        abort(404)
    who = auth.demand(Act.PROVE_ALERTS, school_id)
    try:
        with store.writing() as tx:
            actions.prove(tx, who, school_id, utc_now())
    except ProofError as error:
        flash(str(error))
    else:
        flash("A PC was asked for a test fault. The steps appear here within a few minutes.")
    return redirect(url_for("pages.proofs"), 303)
