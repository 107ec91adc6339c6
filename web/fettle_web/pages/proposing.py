"""Proposing a change: a form that other pages fill beforehand, and what it would mean before it is made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fettle_protocol.policy import EndpointClass
from fettle_protocol.steps import PROVIDERS
from fettle_server.change.library import queries as library
from fettle_server.change.patches import queries as patches
from fettle_server.change.patches.views import UpdateView
from fettle_server.change.requests import actions
from fettle_server.change.requests.rules import STEP_WORDS
from fettle_server.change.requests.templates import templates
from fettle_server.change.requests.views import Preview, Proposal
from fettle_server.change.rollouts.plans import RolloutError
from fettle_server.change.rules import ChangeError, ChangeKind
from fettle_server.clock import utc_now
from fettle_server.db import Connection
from fettle_server.estate.calendars.queries import HOME
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import Act
from fettle_server.estate.rooms import queries as rooms
from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import pages, respond

ACTIONS = {"upgrade": "Bring to this version where an older one is", "install": "Install", "remove": "Take off", "hold": "Hold"}
_LISTS = ("update", "school", "endpoint", "room", "class", "mends")
_MOST = 2000


@dataclass(frozen=True, slots=True)
class Form:
    """What was filled in, by a link or by a person: single fields, and those that may be there several times."""

    one: dict[str, str]
    many: dict[str, list[str]]

    def numbers(self, name: str) -> tuple[int, ...]:
        """The numbers of that name; anything else is left out."""
        return tuple(int(text) for text in self.many[name][:_MOST] if text.isascii() and text.isdigit() and len(text) < 10)


@pages.get("/changes/new")
def new_change() -> ResponseReturnValue:
    """The form, filled with what the link brought: updates, packages, an item of the library, schools, PCs."""
    auth.demand(Act.PROPOSE_CHANGE)
    return _page(_form(request.args))


@pages.post("/changes/new")
def propose_change() -> ResponseReturnValue:
    """See what it would mean, or propose it."""
    person, form = auth.demand(Act.PROPOSE_CHANGE), _form(request.form)
    try:
        if form.one.get("deed") != "propose":
            with store.reading() as tx:
                return _page(form, seen=actions.preview(tx, person, _proposal(tx, form), utc_now()))
        with store.writing() as tx:
            number = actions.propose(tx, person, _proposal(tx, form), utc_now())
    except (ChangeError, RolloutError) as error:
        return _page(form, refused=str(error)), 400
    flash("Proposed. Whoever decides next has been told.")
    return redirect(url_for("pages.change", number=number), 303)


def _page(form: Form, seen: Preview | None = None, refused: str = "") -> str:
    person, now = auth.person(), utc_now()
    with store.reading() as tx:
        chosen = patches.updates_of(tx, form.numbers("update")) if form.many["update"] else ()
        tiles = endpoints.schools(tx, person)
        said = {**_beginning(chosen), **form.one}
        return respond(
            "pages/change_new.html",
            tx,
            nav="changes",
            said=said,
            many=form.many,
            chosen=chosen,
            schools=tiles,
            rooms={key: words for key, words in rooms.room_names(tx, person).items() if str(key) in form.many["room"]},
            scripts=library.items(tx, person, kind="script"),
            templates=[row for row in templates(tx, now) if row.usable],
            kinds=list(ChangeKind),
            classes=list(EndpointClass),
            providers=PROVIDERS,
            actions=ACTIONS,
            step_names=STEP_WORDS,
            seen=seen,
            refused=refused,
        )


def _beginning(chosen: Sequence[UpdateView]) -> dict[str, str]:
    """A title and a reason to begin with, so that a routine change needs no typing."""
    if not chosen:
        return {"kind": "normal", "do": "install"}
    names = sorted({one.title or one.name for one in chosen})
    title = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    holes = sorted({cve for one in chosen for cve in one.cves})
    due = min((one.due_on for one in chosen if one.due_on is not None), default=None)
    why = [f"PCs lack {'this fix' if len(chosen) == 1 else 'these fixes'}."]
    if holes:
        why.append(f"They close {', '.join(holes[:5])}{f' and {len(holes) - 5} more' if len(holes) > 5 else ''}.")
    if due is not None:
        verb = "end" if due >= utc_now().date() else "ended"
        why.append(f"The 14 days from the vendor's release {verb} on {due:%-d %B}.")
    return {"kind": "normal", "title": f"Update {title}", "why": " ".join(why)}


def _proposal(tx: Connection, form: Form) -> Proposal:
    one, updates = form.one, form.numbers("update")
    kind = one.get("kind", "normal")
    if kind not in set(ChangeKind):
        raise ChangeError("A change is standard, normal or emergency.")
    return Proposal(
        kind=ChangeKind(kind),
        title=one.get("title", ""),
        why=one.get("why", ""),
        reach=_reach(tx, form, updates),
        steps=tuple(_steps(tx, form, updates)),
        plan=one.get("plan", ""),
        back_out_plan=one.get("back_out_plan", ""),
        template_id=int(one["template"]) if one.get("template", "").isdigit() and len(one["template"]) < 10 else None,
        planned_from=_moment(one.get("from", "")),
        planned_until=_moment(one.get("until", "")),
        notice_hours=int(one["notice"]) if one.get("notice", "").isdigit() and len(one["notice"]) < 6 else 24,
        any_time="any_time" in one,
        update_ids=updates,
        mends=form.numbers("mends"),
    )


def _reach(tx: Connection, form: Form, updates: tuple[int, ...]) -> dict[str, Any]:
    schools, whom = list(form.numbers("school")), form.one.get("whom", "")
    classes = [name for name in form.many["class"] if name in set(EndpointClass)]
    if whom == "lacking" and updates:
        found = patches.lackers(tx, auth.person(), updates, schools or None)
        return {"endpoints": [pc.id for pc in found][:20_000], "classes": classes}
    if whom == "all":
        return {"classes": classes}
    reach = {"schools": schools, "endpoints": form.many["endpoint"][:_MOST], "rooms": list(form.numbers("room"))}
    if not any(reach.values()):
        raise ChangeError("Say whom it reaches: tick a school, or come here from a PC, a room or an update.")
    return {**reach, "classes": classes}


def _steps(tx: Connection, form: Form, updates: tuple[int, ...]) -> list[dict[str, Any]]:
    one = form.one
    steps: list[dict[str, Any]] = []
    if one.get("message", "").strip():
        steps.append({"kind": "message", "text": one["message"].strip()})
    steps += [dict(step) for step in patches.steps_for(tx, updates)] if updates else []
    packages = [line.strip() for line in one.get("packages", "").splitlines() if line.strip()]
    if packages:
        named = [dict(zip(("name", "version"), map(str.strip, line.split("=", 1)), strict=False)) for line in packages]
        kind = one.get("do", "install")
        steps.append({"kind": kind if kind in ACTIONS else "install", "provider": one.get("provider", ""), "packages": named})
    if one.get("item", "").isdigit() and len(one["item"]) < 10:
        steps.append(library.script_step(tx, int(one["item"])))
    if "reboot" in one:
        steps.append({"kind": "reboot"})
    if not steps:
        raise ChangeError("Say what is done: name packages, or choose a script of the library.")
    return steps


def _form(given: Any) -> Form:
    one = {name: value.replace("\r\n", "\n") for name, value in given.items() if name not in _LISTS}
    for name in given.getlist("package"):
        provider, _, package = name.partition(":")
        one["provider"], one["packages"] = provider, f"{one.get('packages', '')}{package}\n"
    return Form(one, {name: list(dict.fromkeys(given.getlist(name))) for name in _LISTS})


def _moment(text: str) -> dt.datetime | None:
    """A local time of the form, as the service's own clocks show it."""
    if not text:
        return None
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=HOME).astimezone(dt.UTC)
    except ValueError as error:
        raise ChangeError("A time is a day and a time of the day.") from error
