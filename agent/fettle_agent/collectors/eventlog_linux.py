"""Linux's event log: counts from systemd's journal; no data where there is no journal.

Only the fields that a count needs are asked of journalctl; the text of an event never enters the agent. The id is the short
form of the journal's MESSAGE_ID, where the event has one.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator

from fettle_agent.collectors import Collected, Setup, tools
from fettle_agent.collectors.eventlog import Entry, Level, counted

_JOURNALS = ("/var/log/journal", "/run/log/journal")
_FIELDS = "PRIORITY,SYSLOG_IDENTIFIER,_COMM,MESSAGE_ID"
_MAX_ENTRIES = "3000"
_ERROR = 3
_NAME = re.compile(r"[^\w.+/@-]+")
_NUMBERS = re.compile(r"\d{3,}|[0-9a-f]{8}-[0-9a-f-]+")


def parse(text: str, now_s: float) -> Iterator[Entry]:
    """The events in what `journalctl -o json` printed, one JSON object a line; a line that is not one is passed over."""
    for line in text.splitlines():
        try:
            row = json.loads(line)
            priority = int(row["PRIORITY"])
            age_s = now_s - int(row["__REALTIME_TIMESTAMP"]) / 1e6
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            continue
        if 0 <= priority <= _ERROR:
            yield Entry(_source(row), Level.ERROR if priority == _ERROR else Level.CRITICAL, age_s)


def _source(row: dict[str, object]) -> str:
    """The program's name, bare of numbers that differ each time, and the event's id."""
    name = row.get("SYSLOG_IDENTIFIER") or row.get("_COMM") or "unknown"
    plain = _NUMBERS.sub("", _NAME.sub("", name if isinstance(name, str) else "unknown"))[:60] or "unknown"
    number = row.get("MESSAGE_ID")
    return f"{plain}:{number[:8]}" if isinstance(number, str) and number else plain


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of log.*."""

    def collect() -> Collected:
        if not any(os.path.isdir(folder) for folder in _JOURNALS) or tools.find("journalctl") is None:
            return Collected()
        arguments = (
            "-q",
            "--no-pager",
            "-o",
            "json",
            f"--output-fields={_FIELDS}",
            "-p",
            "3",
            "--since=-24h",
            "-n",
            _MAX_ENTRIES,
        )
        return counted(parse(tools.run("journalctl", *arguments, timeout_s=30), time.time()))

    return collect
