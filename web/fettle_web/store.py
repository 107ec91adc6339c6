"""The console's way to the store: one engine that reads, one that writes, and the settings, held by the app.

Owns opening and lending transactions. Does not know any query: pages call the wings' queries and actions with what is lent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fettle_server.config import Settings
from fettle_server.db import Connection, Engine, open_engine
from flask import Flask, current_app

_NAME = "fettle"


@dataclass(frozen=True, slots=True)
class Store:
    """What every request shares."""

    settings: Settings
    reader: Engine
    writer: Engine


def install(app: Flask, settings: Settings) -> Store:
    """Open the store for this app; connections are made when first used."""
    url = settings.database_url
    store = Store(settings, open_engine(url, readonly=True), open_engine(url))
    app.extensions[_NAME] = store
    return store


def settings() -> Settings:
    """The settings of the app that serves this request."""
    return _store().settings


def engine() -> Engine:
    """The engine that reads, for the one who asks how the store itself is."""
    return _store().reader


@contextmanager
def reading() -> Iterator[Connection]:
    """A transaction that only reads; on SQLite it never waits for the writer."""
    with _store().reader.begin() as tx:
        yield tx


@contextmanager
def writing() -> Iterator[Connection]:
    """A transaction that is committed at the end, or rolled back where anything is raised."""
    with _store().writer.begin() as tx:
        yield tx


def _store() -> Store:
    store: Store = current_app.extensions[_NAME]
    return store
