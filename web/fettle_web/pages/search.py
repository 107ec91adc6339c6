"""What the palette finds: PCs, incidents and schools by name, as JSON."""

from __future__ import annotations

from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.views import EndpointFilter
from fettle_server.estate.people.rules import Person
from fettle_server.reactive import queries as incidents
from fettle_server.reactive.views import IncidentFilter, IncidentRow
from flask import jsonify, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import pages

EACH = 6
_LONGEST = 100
Found = dict[str, str]


@pages.get("/search.json")
def search() -> ResponseReturnValue:
    """Up to six of each kind whose names hold the text; an incident is found by its number too."""
    person, text = auth.person(), request.args.get("q", "").strip()[:_LONGEST]
    if not text:
        return jsonify(found=[])
    with store.reading() as tx:
        pcs, cases = _pcs(tx, person, text), _incidents(tx, person, text)
        meant = any(pc["what"].casefold().startswith(text.casefold()) for pc in pcs)
        return jsonify(found=[*(pcs + cases if meant else cases + pcs), *_schools(tx, person, text)])


def _incidents(tx: Connection, person: Person, text: str) -> list[Found]:
    number = text.lstrip("#")
    if number.isascii() and number.isdigit() and len(number) < 10:
        one = incidents.incident(tx, person, int(number))
        rows: tuple[IncidentRow, ...] = (one,) if one else ()
    else:
        rows = incidents.incidents(tx, person, IncidentFilter(state="all", search=text), limit=EACH).rows
    return [
        {
            "what": f"{row.title}, {row.endpoint}" if row.endpoint else row.title,
            "where": f"Incident {row.number}, {row.state}",
            "icon": "incidents",
            "href": url_for("pages.incident", number=row.number),
        }
        for row in rows
    ]


def _pcs(tx: Connection, person: Person, text: str) -> list[Found]:
    rows = endpoints.endpoints(tx, person, EndpointFilter(search=text, sort="name"), limit=EACH).rows
    return [
        {
            "what": row.name,
            "where": row.school,
            "icon": "pc",
            "state": row.state.value,
            "href": url_for("pages.pc", endpoint_id=row.id),
        }
        for row in rows
    ]


def _schools(tx: Connection, person: Person, text: str) -> list[Found]:
    wanted = text.casefold()
    found = [tile for tile in endpoints.schools(tx, person) if wanted in tile.name.casefold()]
    return [
        {"what": tile.name, "where": "School", "icon": "school", "href": url_for("pages.school", school_id=tile.id)}
        for tile in found[:EACH]
    ]
