"""The console's pages, one small file each: parse the request, call a query or an action, render."""

from __future__ import annotations

from flask import Flask

from fettle_web.pages import (
    account,
    audit,
    calendars,
    enrolment,
    errors,
    forecasts,
    forward,
    held,
    incident,
    incidents,
    jobs,
    keys,
    library,
    notices,
    overview,
    parts,
    patches,
    pc,
    pcs,
    people,
    priorities,
    problems,
    proofs,
    proposing,
    requests,
    rollouts,
    rooms,
    rulebook,
    schools,
    search,
    sign_in,
    standards,
    stories,
    tasks,
    why,
    windows,
)

__all__ = ["install"]
_VIEWS = (
    patches,
    library,
    overview,
    pcs,
    pc,
    incidents,
    incident,
    schools,
    priorities,
    problems,
    search,
    held,
    tasks,
    forecasts,
    why,
    proofs,
    rulebook,
    requests,
    proposing,
    forward,
    standards,
    rollouts,
    jobs,
    windows,
)


def install(app: Flask) -> None:
    """Serve every page of the console."""
    stories.install(app)
    errors.install(app)
    app.jinja_env.globals["ui"] = app.jinja_env.get_template("ui.html").module
    for blueprint in (
        parts.pages,
        account.blueprint,
        audit.blueprint,
        calendars.blueprint,
        enrolment.blueprint,
        keys.blueprint,
        notices.blueprint,
        people.blueprint,
        rooms.blueprint,
        sign_in.blueprint,
    ):
        app.register_blueprint(blueprint)
