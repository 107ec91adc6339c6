"""Two transactions at once on one store: the second begins while the first has done its work and has not committed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa

from tests.server.conftest import Store

_PATIENCE_S = 5.0
_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def meanwhile(store: Store, first: Callable[[sa.Connection], Any], second: Callable[[sa.Connection], Any]) -> Any:
    """What the second comes to, once the first has committed; it waits for it where it needs what the first holds."""
    with ThreadPoolExecutor(1) as pool:
        with store.begin() as tx:
            first(tx)
            other = pool.submit(_alone, store, second)
            wait_for(store, other)
        return other.result(timeout=_PATIENCE_S)


def wait_for(store: Store, other: Future[Any]) -> None:
    """Until the other one waits for a lock, or has ended. SQLite has one writer: there it waits from its first word on."""
    end_s = time.monotonic() + _PATIENCE_S
    while store.engine.dialect.name == "postgresql" and not other.done() and time.monotonic() < end_s:
        if store.value(sa.text(_WAITS)):
            return
        time.sleep(0.01)


def _alone(store: Store, deed: Callable[[sa.Connection], Any]) -> Any:
    with store.begin() as tx:
        return deed(tx)
