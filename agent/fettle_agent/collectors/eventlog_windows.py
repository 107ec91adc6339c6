"""Windows's event log: counts of errors and critical events of the System and Application logs, by provider and id.

The query gives four columns and no message, so the text of an event never enters the agent.
Source: Get-WinEvent (Microsoft); levels 1 (critical) and 2 (error) of the standard event levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fettle_agent.collectors import Collected, Setup, tools
from fettle_agent.collectors.documents import number, parse, rows
from fettle_agent.collectors.eventlog import Entry, Level, counted

SCRIPT = """
$now = Get-Date
$wanted = @{ LogName = 'System', 'Application'; Level = 1, 2; StartTime = $now.AddHours(-24) }
$events = @(Get-WinEvent -FilterHashtable $wanted -MaxEvents 3000 -ErrorAction SilentlyContinue)
@{ events = @($events | ForEach-Object { @{ source = $_.ProviderName; id = $_.Id; level = [int]$_.Level
   age = ($now - $_.TimeCreated).TotalSeconds } }) } | ConvertTo-Json -Compress -Depth 3
"""
_LEVELS = {1: Level.CRITICAL, 2: Level.ERROR}
_LONG_PREFIX = "Microsoft-Windows-"


def entries(text: str) -> Iterator[Entry]:
    """The events in what the script printed; rows that are not events are passed over.

    Raises:
        CollectError: the text is not the script's JSON.
    """
    for row in rows(parse(text, "PowerShell").get("events")):
        source, number_of_event, age = row.get("source"), number(row.get("id")), number(row.get("age"))
        level = _LEVELS.get(int(number(row.get("level")) or 0))
        if isinstance(source, str) and source and number_of_event is not None and age is not None and level is not None:
            yield Entry(f"{source.removeprefix(_LONG_PREFIX)[:80]}:{int(number_of_event)}", level, age)


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of log.*."""
    return lambda: counted(entries(tools.run_powershell(SCRIPT, timeout_s=90)))
