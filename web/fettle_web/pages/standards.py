"""Standard changes' templates, and how each school takes changes."""

from __future__ import annotations

import datetime as dt

from fettle_protocol.steps import PROVIDERS, StepKind
from fettle_server.change.requests.settings import approvers_of, set_school, settings_of
from fettle_server.change.requests.templates import add_template, templates, withdraw_template
from fettle_server.change.requests.views import SchoolSettings
from fettle_server.change.rules import ChangeError
from fettle_server.clock import utc_now
from fettle_server.estate.calendars.queries import HOME
from fettle_server.estate.people.rules import Act
from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import pages, respond

KINDS = [kind.value for kind in StepKind if kind not in (StepKind.RESTORE, StepKind.REBOOT)]


@pages.get("/changes/templates")
def change_templates() -> ResponseReturnValue:
    """The templates, and the form for another one."""
    return _templates()


@pages.post("/changes/templates")
def add_change_template() -> ResponseReturnValue:
    """Approve changes of one kind beforehand."""
    person, form, now = auth.demand(Act.APPROVE_CHANGE), request.form, utc_now()
    try:
        limits = {
            "pcs": _whole(form.get("pcs", "")),
            "providers": form.getlist("providers"),
            "packages": [line.strip() for line in form.get("packages", "").splitlines() if line.strip()],
            "kinds": form.getlist("kinds"),
            **{name: name in form for name in ("reboot", "servers", "any_time")},
        }
        name, why, plan, back = (form.get(field, "") for field in ("name", "why", "plan", "back_out_plan"))
        with store.writing() as tx:
            add_template(tx, person, name, why, plan, back, limits, _end_of(form.get("until", "")), now)
    except ChangeError as error:
        return _templates(str(error)), 400
    flash("Approved: changes within these limits need nobody's approval any more.")
    return redirect(url_for("pages.change_templates"), 303)


@pages.post("/changes/templates/<int:number>/withdraw")
def withdraw_change_template(number: int) -> ResponseReturnValue:
    """No further change may follow it."""
    person = auth.demand(Act.APPROVE_CHANGE)
    try:
        with store.writing() as tx:
            withdraw_template(tx, person, number, request.form.get("why", ""), utc_now())
    except ChangeError as error:
        return _templates(str(error)), 409
    flash("Withdrawn: no further change may follow it.")
    return redirect(url_for("pages.change_templates"), 303)


@pages.get("/schools/<int:school_id>/changes")
def school_changes(school_id: int) -> ResponseReturnValue:
    """How a school takes changes."""
    return _school(school_id)


@pages.post("/schools/<int:school_id>/changes")
def set_school_changes(school_id: int) -> ResponseReturnValue:
    """Keep how a school takes changes."""
    person, form = auth.person(), request.form
    user = form.get("final_user", "")
    try:
        with store.writing() as tx:
            present = settings_of(tx, person, school_id)
            if present is None:
                abort(404)
            decides = auth.may(Act.APPROVE_CHANGE, school_id)
            final_user = _whole(user) or None
            wanted = SchoolSettings(
                school_id,
                present.school,
                "needs_final" in form if decides else present.needs_final,
                final_user if decides else present.final_user_id,
                "",
                _whole(form.get("at_once", "") or "0"),
                form.get("cache_url", ""),
            )
            set_school(tx, person, wanted, utc_now())
    except ChangeError as error:
        return _school(school_id, str(error)), 400
    flash("Kept.")
    return redirect(url_for("pages.school_changes", school_id=school_id), 303)


def _templates(refused: str = "") -> str:
    now = utc_now()
    with store.reading() as tx:
        return respond(
            "pages/change_templates.html",
            tx,
            nav="templates",
            rows=templates(tx, now),
            providers=PROVIDERS,
            kinds=KINDS,
            said=request.form,
            until=(now + dt.timedelta(days=365)).date(),
            may_add=auth.may(Act.APPROVE_CHANGE) and auth.person().schools is None,
            refused=refused,
        )


def _school(school_id: int, refused: str = "") -> str:
    person = auth.person()
    with store.reading() as tx:
        found = settings_of(tx, person, school_id)
        if found is None:
            abort(404)
        return respond(
            "pages/school_changes.html",
            tx,
            nav="school changes",
            school_id=school_id,
            row=found,
            approvers=approvers_of(tx, person, school_id),
            said=request.form,
            refused=refused,
        )


def _whole(text: str) -> int:
    text = text.strip()
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ChangeError("How many is a whole number.")
    return int(text)


def _end_of(text: str) -> dt.datetime:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError as error:
        raise ChangeError("Say on which day the approval ends.") from error
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), HOME).astimezone(dt.UTC)
