"""Why a PC is in its state, why not in another, and who was told: the whole chain on one page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from fettle_server.clock import utc_now
from fettle_server.proactive.explain import queries
from fettle_server.proactive.explain.views import RuleLine, Standing
from flask import abort
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import once, pages, respond

GROUPS = {
    Standing.RAISED: "A fault now",
    Standing.PENDING: "About to change",
    Standing.QUIET: "Quiet",
    Standing.NO_READING: "No such reading here",
    Standing.OTHER_CLASS: "For another class of PC",
    Standing.OTHER_SYSTEM: "For another system",
    Standing.OFF: "Switched off",
}


@pages.get("/pcs/<endpoint_id>/why")
def why(endpoint_id: str) -> ResponseReturnValue:
    """The explanation's page."""
    person, now = auth.person(), utc_now()
    with store.reading() as tx:
        found = queries.explain(tx, person, endpoint_id, now)
        if found is None:
            abort(404)
        return respond("pages/why.html", tx, nav="pc", find=lambda: found, groups=once(lambda: grouped(found.rules)))


def grouped(lines: Sequence[RuleLine]) -> list[tuple[str, list[RuleLine]]]:
    """The rules under what can be said of them, in their order."""
    return [(GROUPS[standing], list(group)) for standing, group in groupby(lines, key=lambda line: line.standing)]
