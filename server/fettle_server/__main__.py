"""`fettle`: gathers the commands, and turns every expected error into one line and exit status 1."""

from __future__ import annotations

import sys

import sqlalchemy as sa
import typer

from fettle_server.commands import data, doctor, enrolment, listing, people, serve, store
from fettle_server.commands.parts import PartError
from fettle_server.commands.store import StoreError
from fettle_server.config import SettingsError
from fettle_server.estate.endpoints.actions import EndpointError
from fettle_server.estate.enrolment.pki import PkiError
from fettle_server.estate.enrolment.rules import EnrolmentError
from fettle_server.estate.people.rules import PeopleError

app = typer.Typer(
    name="fettle",
    help="Fettle's server: healthy PCs for schools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (data, serve, store, enrolment, people, listing, doctor):
    app.add_typer(module.app)

EXPECTED = (SettingsError, StoreError, PkiError, EndpointError, EnrolmentError, PeopleError, PartError, data.DataError)


def main() -> None:
    """Run one command: exit status 0 done, 1 failed with one line that says why, 2 wrong usage."""
    try:
        app()
    except EXPECTED as error:
        fail(str(error))
    except sa.exc.OperationalError as error:
        fail(f"the store cannot be used ({str(error.orig).strip().splitlines()[0]}): try again, or see `fettle doctor`")
    except (PermissionError, FileNotFoundError) as error:
        fail(f"{error.filename}: {error.strerror}; does this user own the data directory?")
    except BrokenPipeError:
        sys.exit(1)  # whoever read our output has gone


def fail(text: str) -> None:
    """One line on standard error, and exit status 1."""
    print(f"fettle: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
