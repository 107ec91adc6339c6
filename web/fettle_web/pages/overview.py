"""The first page: what is broken for teaching now, what will break this week, what is changing today."""

from __future__ import annotations

import datetime as dt

from fettle_server.change.requests import queries as requests
from fettle_server.change.requests.views import ChangeRow
from fettle_server.change.rollouts import queries as rollouts
from fettle_server.change.rollouts.rules import LIVE
from fettle_server.change.rules import BEFORE
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.calendars.queries import HOME
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.endpoints.rules import ORDER
from fettle_server.estate.endpoints.views import EndpointFilter, SchoolTile
from fettle_server.estate.people.rules import Person
from fettle_server.journal import queries as journal
from fettle_server.journal.queries import AuditFilter
from fettle_server.notify import queries as notices
from fettle_server.proactive import queries as proactive
from fettle_server.proactive.forecasts import queries as forecasts
from fettle_server.proactive.proofs import queries as proofs
from fettle_server.reactive import queries as incidents
from fettle_server.reactive.views import IncidentFilter, IncidentRow

from fettle_web import auth, store
from fettle_web.pages import rings
from fettle_web.pages.changes import Change, changes
from fettle_web.pages.drawing import Dots, columns, dots
from fettle_web.pages.parts import once, pages, respond
from fettle_web.pages.rollouts import marks_of
from fettle_web.pages.steering import STATE_WORDS

SHOWN, FEWER = 8, 5
_LOOKED_AT = 200
_NEWS_LOOKED_AT = 500
TREND_DAYS = 14
NARROW_COLUMNS, WIDE_COLUMNS, NARROW_MOST = 18, 41, 36
DOTS_MOST = 5000


@pages.get("/")
def overview() -> str:
    """The overview."""
    person = auth.person()
    with store.reading() as tx:
        cases = once(lambda: _cases(tx, person))
        return respond(
            "pages/overview.html",
            tx,
            nav="overview",
            shown=SHOWN,
            now=utc_now(),
            fewer=FEWER,
            cases=cases,
            counts=once(lambda: endpoints.counts(tx, person)),
            schools=once(lambda: endpoints.schools(tx, person)),
            trend=once(lambda: incidents.trend(tx, person, TREND_DAYS, utc_now())),
            coming=once(lambda: forecasts.week(tx, person, utc_now(), limit=FEWER)),
            live=once(lambda: rollouts.rollouts(tx, person, utc_now(), states=LIVE, limit=SHOWN).rows),
            planned=once(lambda: _planned(tx, person, utc_now())),
            bar_of=lambda row: rings.parts(marks_of(row)),
            rollout_words=STATE_WORDS,
            news=once(lambda: _today(tx, person, utc_now())),
            proved=once(lambda: _proved(tx, person)),
            alerts=once(lambda: proofs.last_proved(tx, person)),
            is_told=once(lambda: notices.is_configured(tx)),
            bars=lambda days: columns([(day.opened, day.resolved) for day in days]),
            dots=_dots,
            narrow_most=NARROW_MOST,
            dots_most=DOTS_MOST,
        )


def _cases(tx: Connection, person: Person) -> tuple[list[IncidentRow], list[IncidentRow]]:
    """Open incidents that hinder teaching now, and those that only will; tests are neither."""
    rule_of = proactive.current_policy(tx).rule
    now: list[IncidentRow] = []
    soon: list[IncidentRow] = []
    for row in incidents.incidents(tx, person, IncidentFilter(state="open"), limit=_LOOKED_AT).rows:
        if row.is_test:
            continue
        rule = rule_of(row.rule)
        (soon if rule is not None and rule.severity == "watch" else now).append(row)
    return now, soon


def _proved(tx: Connection, person: Person) -> dt.datetime | None:
    """When the well PC that has been silent for longest was heard: since then each of them has said that it is well."""
    longest = endpoints.endpoints(tx, person, EndpointFilter(state="well", sort="last_seen"), limit=1).rows
    return longest[0].last_seen if longest else None


def _planned(tx: Connection, person: Person, now: dt.datetime) -> list[tuple[ChangeRow, dt.datetime]]:
    """The changes of today that have not begun and are not over, with when they are to begin."""
    midnight = now.astimezone(HOME).replace(hour=0, minute=0, second=0, microsecond=0)
    found = requests.planned_between(tx, person, midnight, midnight + dt.timedelta(days=1))
    return [(row, begins) for row, _, begins, _ in found if row.state in BEFORE][:SHOWN]


def _today(tx: Connection, person: Person, now: dt.datetime) -> list[Change]:
    """What changed in the last day, newest first."""
    rows = journal.audit(tx, person, AuditFilter(), limit=_NEWS_LOOKED_AT).rows
    return changes([row for row in rows if now - row.at < dt.timedelta(days=1)])[:SHOWN]


def _dots(tile: SchoolTile) -> Dots:
    """A school as large as it is: a dot for each PC, in a wide tile where they are many."""
    counts = [(state.value, int(getattr(tile, state.value))) for state in ORDER]
    return dots(counts, WIDE_COLUMNS if tile.endpoints > NARROW_MOST else NARROW_COLUMNS)
