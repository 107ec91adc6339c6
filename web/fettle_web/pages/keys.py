"""Approvers' keys: whose signature machines obey, adding and retiring them, and bringing signatures back.

Private keys never come here: what is to be signed leaves as a file of commands for the approver's own machine.
"""

from __future__ import annotations

from fettle_server.change.manifests import actions, queries
from fettle_server.change.manifests.rules import SigningError
from fettle_server.clock import utc_now
from fettle_server.estate.people.rules import Act
from flask import Blueprint, Response, flash, make_response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import once, respond

blueprint = Blueprint("keys", __name__, url_prefix="/settings/keys")


@blueprint.get("")
def show() -> ResponseReturnValue:
    """The keys, what waits for a signature, and the forms."""
    return _page()


@blueprint.post("")
def add() -> ResponseReturnValue:
    """Trust an approver's key from now on."""
    person, form = auth.demand(Act.MANAGE_KEYS), request.form
    try:
        with store.writing() as tx:
            key_id = actions.add_key(tx, person, form.get("name", ""), form.get("public", "").strip().encode(), utc_now())
    except SigningError as error:
        return _page(refused=str(error), at="add")
    flash(f"The key {key_id} is trusted by PCs that enrol from now on. Tell the others below.")
    return redirect(url_for(".show"), 303)


@blueprint.post("/<key_id>/retire")
def retire(key_id: str) -> ResponseReturnValue:
    """Take no more signatures of a key."""
    person = auth.demand(Act.MANAGE_KEYS)
    try:
        with store.writing() as tx:
            actions.retire_key(tx, person, key_id, request.form.get("why", ""), utc_now())
    except SigningError as error:
        return _page(refused=str(error), at=key_id)
    flash(f"Nothing that the key {key_id} signs is taken any more. PCs that trust it are told by a rotation, below.")
    return redirect(url_for(".show"), 303)


@blueprint.post("/rotate")
def rotate() -> ResponseReturnValue:
    """Make the order by which PCs trust other keys; it waits for a signature that they obey already."""
    person, form = auth.demand(Act.MANAGE_KEYS), request.form
    try:
        with store.writing() as tx:
            actions.rotate(tx, person, tuple(form.getlist("add")), tuple(form.getlist("retire")), utc_now())
    except SigningError as error:
        return _page(refused=str(error), at="rotate")
    flash("The order is made. It goes to every PC once it is signed with a key that they trust already.")
    return redirect(url_for(".show"), 303)


@blueprint.get("/manifests/<int:manifest_id>/signing.sh")
def signing(manifest_id: int) -> ResponseReturnValue:
    """The file of commands that sign one manifest on an approver's own machine."""
    person = auth.person()
    try:
        with store.writing() as tx:
            text = actions.signing_file_of(tx, person, [manifest_id], utc_now())
    except SigningError as error:
        return _page(refused=str(error), at="waiting")
    return signing_download(text, f"sign-manifest-{manifest_id}")


@blueprint.post("/signatures")
def bring() -> ResponseReturnValue:
    """Take back what the file of commands printed."""
    person = auth.person()
    try:
        with store.writing() as tx:
            taken = actions.bring_signatures(tx, person, request.form.get("signatures", ""), utc_now())
    except SigningError as error:
        return _page(refused=str(error), at="waiting")
    flash("The signature is good and kept." if len(taken) == 1 else f"{len(taken)} signatures are good and kept.")
    return redirect(url_for(".show"), 303)


def signing_download(text: str, name: str) -> Response:
    """A file of commands, to keep."""
    answer = Response(text, mimetype="text/x-shellscript")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.sh"'
    return answer


def _page(refused: str = "", at: str = "") -> ResponseReturnValue:
    auth.demand(Act.MANAGE_KEYS)
    with store.reading() as tx:
        page = respond(
            "pages/keys.html",
            tx,
            nav="keys",
            keys=once(lambda: queries.keys(tx)),
            waiting=once(lambda: queries.unsigned(tx, utc_now())),
            refused=refused,
            at=at,
            form=request.form if refused else {},
        )
    return make_response(page, 409 if refused else 200)
