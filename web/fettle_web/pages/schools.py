"""One school: its PCs by state, its open incidents."""

from __future__ import annotations

from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.rules import ORDER
from fettle_server.estate.endpoints.views import EndpointFilter
from fettle_server.reactive import queries as incidents
from fettle_server.reactive.views import IncidentFilter
from flask import abort
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import PAGE_ROWS, once, pages, respond

MARKS = 500


@pages.get("/schools/<int:school_id>")
def school(school_id: int) -> ResponseReturnValue:
    """The school's page, where the person sees that school."""
    person = auth.person()
    with store.reading() as tx:
        find = once(lambda: next((tile for tile in endpoints.schools(tx, person) if tile.id == school_id), None))
        if find() is None:
            abort(404)
        return respond(
            "pages/school.html",
            tx,
            nav="overview",
            school=find,
            order=ORDER,
            marks=once(lambda: endpoints.endpoints(tx, person, EndpointFilter(school_id=school_id), limit=MARKS)),
            cases=once(lambda: incidents.incidents(tx, person, IncidentFilter(school_id=school_id), limit=PAGE_ROWS)),
        )
