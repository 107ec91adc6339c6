"""Windows's Wi-Fi signal, by `netsh wlan show interfaces`.

netsh speaks the user's language, so no label is read: an interface's block begins with its name, and the signal is its only
percentage. Windows tells a quality of 0 to 100, which stands for -100 to -50 dBm. Source: WLAN_ASSOCIATION_ATTRIBUTES,
wlanSignalQuality (Microsoft). Names of networks are neither kept nor told.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fettle_agent.collectors import Collected, Reading, Setup, tools

_PERCENT = re.compile(r"^(\d{1,3})\s?%$")


def parse(text: str) -> tuple[Reading, ...]:
    """The signal of each connected interface."""
    readings = []
    for block in re.split(r"\r?\n\s*\r?\n", text):
        pairs = [line.partition(" : ") for line in block.splitlines()]
        values = [value.strip() for _, colon, value in pairs if colon]
        qualities = [int(found[1]) for found in map(_PERCENT.match, values) if found is not None]
        if qualities:
            readings.append(Reading("wifi.signal_dbm", min(100, qualities[0]) / 2 - 100, values[0]))
    return tuple(readings)


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of wifi.signal_dbm; no data where the WLAN service does not run, as on a PC without Wi-Fi."""

    def collect() -> Collected:
        status, output = tools.ended("netsh.exe", "wlan", "show", "interfaces", timeout_s=10)
        return Collected(parse(output) if status == 0 else ())

    return collect
