"""The server's one reader of the clock; everything else is given `now`."""

from __future__ import annotations

import datetime as dt


def utc_now() -> dt.datetime:
    """The present, aware, UTC, cut to whole milliseconds (what the store keeps)."""
    now = dt.datetime.now(dt.UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
