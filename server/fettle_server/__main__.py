"""`fettle`: finds the command, and turns every expected error into one line and exit status 1."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import typer

MODULES = {
    "init": "data",
    "serve": "serve",
    "migrate": "store",
    "token": "enrolment",
    "endpoint": "enrolment",
    "user": "people",
    "calendar": "places",
    "room": "places",
    "endpoints": "listing",
    "incidents": "listing",
    "incident": "listing",
    "explain": "explaining",
    "held": "explaining",
    "forecasts": "coming",
    "tasks": "coming",
    "notices": "notices",
    "prove": "notices",
    "rules": "rulebook",
    "change": "changes",
    "key": "keys",
    "rollout": "rollouts",
    "window": "windows",
    "freeze": "windows",
    "sign": "signing",
    "job": "jobs",
    "patches": "patches",
    "compliance": "patches",
    "library": "library",
    "build": "library",
    "doctor": "doctor",
}
"""Each command's module. Only the one that was asked for is imported: it makes every part of the server start sooner."""


def main() -> None:
    """Run one command: exit status 0 done, 1 failed with one line that says why, 2 wrong usage."""
    try:
        _gather(sys.argv[1] if len(sys.argv) > 1 else "")()
    except BrokenPipeError:
        sys.exit(1)  # whoever read our output has gone
    except Exception as error:
        text = _in_one_line(error)
        if text is None:
            raise
        fail(text)


def fail(text: str) -> NoReturn:
    """One line on standard error, and exit status 1."""
    print(f"fettle: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(1)


def _gather(wanted: str) -> typer.Typer:
    app = typer.Typer(
        name="fettle",
        help="Fettle's server: healthy PCs for schools.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # plain lines: a message in a box is broken at 80 columns, and scripts read it too
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)  # a single command keeps its name
    names = [MODULES[wanted]] if wanted in MODULES else dict.fromkeys(MODULES.values())
    for name in names:
        app.add_typer(importlib.import_module(f"fettle_server.commands.{name}").app)
    return app


def _in_one_line(error: Exception) -> str | None:
    """What to tell a person; None where the error is a fault of ours and its traceback is wanted."""
    import sqlalchemy as sa

    from fettle_server.change.jobs.rules import JobError
    from fettle_server.change.library.rules import LibraryError
    from fettle_server.change.manifests.rules import SigningError
    from fettle_server.change.patches.rules import PatchError
    from fettle_server.change.rollouts.plans import RolloutError
    from fettle_server.change.rules import ChangeError
    from fettle_server.commands.data import DataError
    from fettle_server.commands.parts import PartError
    from fettle_server.commands.store import StoreError
    from fettle_server.config import SettingsError
    from fettle_server.estate.calendars.rules import CalendarError
    from fettle_server.estate.endpoints.actions import EndpointError
    from fettle_server.estate.enrolment.pki import PkiError
    from fettle_server.estate.enrolment.rules import EnrolmentError
    from fettle_server.estate.people.rules import PeopleError
    from fettle_server.estate.rooms.rules import RoomError
    from fettle_server.notify.rules import NoticeError
    from fettle_server.proactive.proofs.actions import ProofError
    from fettle_server.proactive.rulebook.rules import RuleBookError

    expected = (
        CalendarError,
        ChangeError,
        RolloutError,
        RoomError,
        SettingsError,
        StoreError,
        DataError,
        PartError,
        PkiError,
        EnrolmentError,
        EndpointError,
        JobError,
        LibraryError,
        PatchError,
        SigningError,
        PeopleError,
        RuleBookError,
    )
    if isinstance(error, (*expected, NoticeError, ProofError)):
        return str(error)
    if isinstance(error, sa.exc.OperationalError):
        return f"the store cannot be used ({str(error.orig).strip().splitlines()[0]}): try again, or see `fettle doctor`"
    if isinstance(error, OSError):
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        return f"{what}: see that this user owns the data directory and that its disk has room"
    return None


if __name__ == "__main__":
    main()
