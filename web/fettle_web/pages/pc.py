"""One PC: its state in a sentence, live vitals, history on one time axis, faults, incidents, inventory."""

from __future__ import annotations

import datetime as dt
from typing import Any

from fettle_protocol.policy import CLASSES
from fettle_server.change.jobs import queries as jobs
from fettle_server.clock import utc_now
from fettle_server.db import Connection, to_ms
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.views import EndpointDetail
from fettle_server.estate.people.rules import Person
from fettle_server.estate.rooms import queries as rooms
from fettle_server.proactive import queries as proactive
from fettle_server.proactive.explain import queries as explanations
from fettle_server.proactive.forecasts import queries as forecast_queries
from fettle_server.proactive.presence.queries import presence_of
from fettle_server.reactive import queries as incidents
from fettle_server.reactive.views import IncidentFilter
from flask import Response, abort, jsonify, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages import charts, forecasts, vitals
from fettle_web.pages.happenings import Happening, happenings
from fettle_web.pages.inventory import sections
from fettle_web.pages.jobs import MARKS, STATE_WORDS
from fettle_web.pages.parts import address, once, pages, respond

FAULTS = 50
INCIDENTS, JOBS = 10, 8
EVENTS = 200
_HOUR = dt.timedelta(hours=1)
_NEW = dt.timedelta(hours=3)


@pages.get("/pcs/<endpoint_id>")
def pc(endpoint_id: str) -> ResponseReturnValue:
    """The PC's page."""
    person, now = auth.person(), utc_now()
    with store.reading() as tx:
        detail = _found(tx, person, endpoint_id)
        window = charts.window(request.args.get("range") or _usual(detail, now), now)
        policy = proactive.current_policy(tx)
        history = once(lambda: _charts(tx, person, endpoint_id, window))
        return respond(
            "pages/pc.html",
            tx,
            nav="pc",
            pc=detail,
            window=window,
            ranges=charts.RANGES,
            address=address,
            policy=policy,
            rules=once(lambda: [rule for rule in policy.rules if detail.system in rule.systems]),
            countdowns=once(lambda: explanations.countdowns(tx, person, endpoint_id, now)),
            sentence=once(lambda: proactive.sentence(tx, person, endpoint_id, now)),
            presence=once(lambda: presence_of(tx, person, endpoint_id, now)),
            vitals=once(lambda: endpoints.vitals(tx, person, endpoint_id)),
            strip=once(lambda: _strip(tx, person, detail, now)),
            open_faults=once(lambda: proactive.faults_of(tx, person, endpoint_id, open_only=True, limit=FAULTS)),
            faults=once(lambda: proactive.faults_of(tx, person, endpoint_id, open_only=False, limit=FAULTS)),
            jobs=once(lambda: jobs.of_endpoint(tx, detail.pk, JOBS)),
            job_words=STATE_WORDS,
            job_marks=MARKS,
            cases=once(
                lambda: incidents.incidents(tx, person, IncidentFilter("all", endpoint_id=endpoint_id), limit=INCIDENTS)
            ),
            summary=once(lambda: charts.summary(history())),
            happenings=once(lambda: happenings(tx, person, detail, window.start, now)),
            forecasts=once(lambda: forecasts.of_pc(tx, person, endpoint_id)),
            drawn=forecasts.drawn,
            warranty=once(lambda: forecast_queries.warranty_of(tx, person, endpoint_id)),
            rooms=once(lambda: rooms.rooms_of(tx, person, detail.school_id)),
            classes=CLASSES,
            inventory=once(lambda: sections(endpoints.inventory(tx, person, endpoint_id))),
        )


@pages.get("/pcs/<endpoint_id>/history.json")
def history(endpoint_id: str) -> Response:
    """What the charts draw: binned lines, and the lanes of faults, incidents and events on the same axis."""
    person, now = auth.person(), utc_now()
    with store.reading() as tx:
        detail = _found(tx, person, endpoint_id)
        window = charts.window(request.args.get("range", ""), now)
        lanes = [
            {"lane": one.lane, "state": one.state, "from": to_ms(one.start), "to": one.end and to_ms(one.end), "text": one.text,
             "href": _address(one)}
            for one in happenings(tx, person, detail, window.start, now)
        ]  # fmt: skip
        drawn = _charts(tx, person, endpoint_id, window)
    step = round(window.step.total_seconds() * 1000)
    return jsonify(start=to_ms(window.start), end=to_ms(window.end), step=step, charts=drawn, lanes=lanes)


def _address(one: Happening) -> str | None:
    if one.job:
        return url_for("pages.job", uid=one.job)
    return url_for("pages.incident", number=one.incident) if one.incident else None


def _usual(detail: EndpointDetail, now: dt.datetime) -> str:
    """The range that says most: a day, or for a PC that has only just joined its first hour."""
    return "1h" if now - detail.enrolled_at < _NEW else charts.DEFAULT_RANGE


def _found(tx: Connection, person: Person, endpoint_id: str) -> EndpointDetail:
    detail = endpoints.endpoint(tx, person, endpoint_id)
    if detail is None:
        abort(404)
    return detail


def _charts(tx: Connection, person: Person, endpoint_id: str, window: charts.Window) -> list[dict[str, Any]]:
    series = endpoints.chart(tx, person, endpoint_id, charts.KEYS, window.start, window.end)
    return charts.gather(series, window, proactive.current_policy(tx))


def _strip(tx: Connection, person: Person, detail: EndpointDetail, now: dt.datetime) -> list[vitals.Vital]:
    newest = endpoints.vitals(tx, person, detail.id)
    if newest is None:
        return []
    policy = proactive.current_policy(tx)
    open_faults = proactive.faults_of(tx, person, detail.id, open_only=True, limit=FAULTS)
    faults = [(fault.rule, fault.instance, fault.severity) for fault in open_faults]
    picked = vitals.chosen(newest.readings, policy, faults)
    hour = endpoints.chart(tx, person, detail.id, tuple({one.key for one in picked}), now - _HOUR, now)
    rules = [rule for rule in policy.rules if detail.system in rule.systems]
    return vitals.strip(picked, hour, rules, faults, end_ms=to_ms(now))
