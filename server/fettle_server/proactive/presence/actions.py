"""The look at who is missing: what the worker's job "presence" does every few seconds."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fettle_server.config import Settings


def tick(tx: sa.Connection, *, now: dt.datetime, settings: Settings) -> bool:
    """Judge what is due; True where there is more to do at once."""
    return False


def next_due(tx: sa.Connection, now: dt.datetime) -> dt.datetime | None:
    """The earliest moment at which a look could change anything; None: only something new could."""
    return None
