"""What is held back: the stages in their order, what each holds now and what it held, and what people ordered to be held."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from typing import Any

from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Act, Person
from fettle_server.estate.rooms import queries as rooms
from fettle_server.proactive import queries as proactive
from fettle_server.proactive.stages import actions, queries
from fettle_server.proactive.stages.rules import NAMES, Stage
from fettle_server.proactive.stages.views import HeldFilter, HeldRow, Reach, StagesError
from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages import ordering
from fettle_web.pages.parts import PAGE_ROWS, address, once, pages, respond, whole

MEANINGS = {
    Stage.WINDOW: "Work is planned there: what it disturbs is no news.",
    Stage.FREEZE: "An exam is on: what can wait, waits until it is over.",
    Stage.SILENCE: "A person asked for quiet, with a reason and an end.",
    Stage.PARENT: "It is part of a wider incident that is open: one cause, one incident.",
    Stage.FLAPPING: "It comes and goes: one incident stays open until it is quiet.",
    Stage.DUPLICATE: "The PC has an open incident for the same thing: it joins that one.",
    Stage.GATHERING: "It may have a wider cause: Fettle looks around for others first.",
    Stage.LATE: "It was told after it was over, or after the cause that it was part of.",
}

TOGETHER = 3
"""From so many rows on that differ in their PC only, one line tells them all."""


@pages.get("/proactive/held")
def held() -> ResponseReturnValue:
    """The stages, with what they hold."""
    return _page()


@pages.post("/proactive/silences")
def add_silence() -> ResponseReturnValue:
    """Ask for silence, with an end."""
    person, now = auth.demand(Act.HOLD_BACK), utc_now()
    try:
        with store.writing() as tx:
            reach, end = ordering.reach(request.form), ordering.until(request.form, now)
            actions.add_silence(tx, person, reach, until=end, reason=request.form.get("reason", ""), now=now)
    except StagesError as error:
        return _page(refused=str(error), at="silence"), 400
    flash("It is silent until then. What is still wrong when that ends is told.")
    return redirect(auth.safe_next(request.form.get("next")) if request.form.get("next") else url_for("pages.held"), 303)


@pages.post("/proactive/windows")
def add_window() -> ResponseReturnValue:
    """Order a maintenance window, for each of the schools that were ticked."""
    person, now = auth.demand(Act.HOLD_BACK), utc_now()
    everywhere, schools = "all_schools" in request.form, sorted(set(request.form.getlist("school", type=int)))
    try:
        if everywhere == bool(schools):
            raise StagesError("Choose either all schools or some of them.")
        with store.writing() as tx:
            places: list[int | None] = [*schools] or [None]
            for school_id in places:
                _add_window(tx, person, school_id, now)
    except StagesError as error:
        return _page(refused=str(error), at="window"), 400
    flash("The window is in the list. What is still wrong when it ends is told then.")
    return redirect(url_for("pages.held"), 303)


@pages.post("/proactive/held/<int:order_id>/end")
def end_order(order_id: int) -> ResponseReturnValue:
    """End a window or a silence now."""
    person = auth.demand(Act.HOLD_BACK)
    try:
        with store.writing() as tx:
            actions.end_early(tx, person, order_id, utc_now())
    except StagesError as error:
        return _page(refused=str(error)), 409
    flash("It has ended. What is still wrong is told within seconds.")
    return redirect(url_for("pages.held"), 303)


def _add_window(tx: Connection, person: Person, school_id: int | None, now: dt.datetime) -> None:
    span = ordering.window(tx, request.form, request.form.getlist("weekday"), school_id)
    reach = Reach(school_id=school_id, rule=request.form.get("rule") or None)
    title, reason = request.form.get("title", ""), request.form.get("reason", "")
    actions.add_window(tx, person, reach, span, title=title, reason=reason, now=now)


def _page(refused: str = "", at: str = "") -> str:
    person, now = auth.person(), utc_now()
    stage, state = request.args.get("stage", ""), request.args.get("state", "")
    wanted = HeldFilter(
        stage=stage if stage in list(Stage) else "",
        school_id=whole("school"),
        state=state if state in ("open", "over") else "all",
    )
    after = request.args.get("after") or None
    with store.reading() as tx:
        return respond(
            "pages/held.html",
            tx,
            nav="held",
            stages=[(one, NAMES[one], MEANINGS[one]) for one in Stage],
            holding=once(lambda: queries.holding(tx, person)),
            orders=once(lambda: queries.suppressions(tx, person, now)),
            found=once(lambda: queries.held(tx, person, wanted, after, PAGE_ROWS)),
            wanted=wanted,
            further=after,
            alike=alike,
            address=address,
            repeats=ordering.repeats,
            refused=refused,
            at=at,
            today=now.date(),
            form=request.form if refused else {},
            **_choices(tx, person),
        )


def alike(rows: Sequence[HeldRow]) -> list[tuple[HeldRow, ...]]:
    """Rows beside each other that tell the same of several PCs, held back for the same reason, together; any other alone."""
    found: list[tuple[HeldRow, ...]] = []
    for _, group in itertools.groupby(rows, lambda row: (row.stage, row.reason, row.title)):
        together = tuple(group)
        found += [together] if len(together) >= TOGETHER else [(row,) for row in together]
    return found


def _choices(tx: Connection, person: Person) -> dict[str, Any]:
    """What the forms offer; the PC that the address names is one of the places."""
    chosen = request.args.get("pc", "")
    detail = endpoints.endpoint(tx, person, chosen) if chosen else None
    return {
        "schools": endpoints.schools(tx, person),
        "rooms": rooms.room_names(tx, person),
        "rules": sorted(proactive.current_policy(tx).rules, key=lambda rule: rule.title),
        "pc": detail,
        "lasts": ordering.LASTS,
        "days": ordering.DAYS,
        "everywhere": person.schools is None,
    }
