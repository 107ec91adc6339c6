"""The steps from one release's tables to the next's, run by Alembic inside this package.

Owns how they run and which step a store is at. The tables themselves are in each wing's tables.py; a test compares both.
Each step must leave the release before it able to work, since several processes are never replaced at one moment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

ON_DEMAND = "history_w"
"""What the names of tables begin with that are made and dropped as time goes by, and so belong to no step."""


class UnknownStep(Exception):
    """The store is at a step that this program has never heard of; the message is the step."""


def upgrade(engine: sa.Engine) -> None:
    """Bring the store to the newest step, in one transaction.

    Raises:
        UnknownStep: a newer program has been here.
    """
    step = step_of(engine)
    if step is not None and not knows(step):
        raise UnknownStep(step)
    with engine.connect() as connection:
        _check_keys(connection, on=False)
        try:
            with connection.begin():
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                _demand_whole(connection)
        finally:
            _check_keys(connection, on=True)


def _check_keys(connection: sa.Connection, *, on: bool) -> None:
    """SQLite alters a table by making it anew under the old name, during which nothing may look at references to it."""
    if connection.dialect.name == "sqlite":
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute(f"PRAGMA foreign_keys = {'ON' if on else 'OFF'}")


def _demand_whole(connection: sa.Connection) -> None:
    """Nothing refers to what is not there: checked before the step is kept."""
    if connection.dialect.name == "sqlite" and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
        raise RuntimeError(f"the store's table {broken[0]} refers to missing rows of {broken[2]}; nothing was changed")


def step_of(engine: sa.Engine) -> str | None:
    """The step that the store is at; None where it is empty."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_step() -> str:
    """The step that this program needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def knows(step: str) -> bool:
    """True where the step is one of this program's."""
    try:
        return ScriptDirectory.from_config(_config()).get_revision(step) is not None
    except CommandError:
        return False


def belongs(name: str | None, kind: str, *_: Any) -> bool:
    """Alembic's filter: True for what the steps look after."""
    return not (kind == "table" and (name or "").startswith(ON_DEMAND))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
