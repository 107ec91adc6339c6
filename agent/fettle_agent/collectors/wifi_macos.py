"""macOS's Wi-Fi signal, by `system_profiler SPAirPortDataType`; names of networks are neither kept nor told."""

from __future__ import annotations

import re
from collections.abc import Callable

from fettle_agent.collectors import Collected, Reading, Setup, profiler_macos
from fettle_agent.collectors.documents import Row, at, rows

_SIGNAL = re.compile(r"^\s*(-\d{1,3}) dBm")


def signals(report: Row) -> tuple[Reading, ...]:
    """The signal of each connected interface in system_profiler's report."""
    readings = []
    for card in rows(report.get("SPAirPortDataType")):
        for interface in rows(card.get("spairport_airport_interfaces")):
            words = at(interface, "spairport_current_network_information", "spairport_signal_noise")
            found = _SIGNAL.match(words) if isinstance(words, str) else None
            if found is not None:
                readings.append(Reading("wifi.signal_dbm", float(found[1]), str(interface.get("_name") or "")))
    return tuple(readings)


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of wifi.signal_dbm; no data without a Wi-Fi link."""
    return lambda: Collected(signals(profiler_macos.report("SPAirPortDataType")))
