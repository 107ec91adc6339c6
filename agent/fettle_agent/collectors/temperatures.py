"""Heat: each sensor's temperature, how far it is below its own critical level, and the fans.

Reads the sensors that psutil can read, which are those of Linux; Windows and macOS show theirs to no documented command, so
they have no data. A fan that never turned may be an empty socket, so it is never called stalled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

from fettle_agent.collectors import Collected, Reading, Setup

HOT_CELSIUS = 75.0
HOT_HEADROOM = 15.0


def named(chips: Mapping[str, Iterable[Any]]) -> list[tuple[str, Any]]:
    """Each sensor with a name that tells it apart: chip and label, numbered where two would be the same."""
    seen: Counter[str] = Counter()
    result = []
    for chip, sensors in sorted(chips.items()):
        for sensor in sensors:
            name = f"{chip} {sensor.label}".strip()
            seen[name] += 1
            result.append((name if seen[name] == 1 else f"{name} {seen[name]}", sensor))
    return result


def heat(chips: Mapping[str, Iterable[Any]]) -> tuple[Reading, ...]:
    """The temperatures and, where the sensor tells a believable critical level, the degrees below it."""
    readings = []
    for name, sensor in named(chips):
        if sensor.current is None:
            continue
        readings.append(Reading("temperature.celsius", sensor.current, name))
        if sensor.critical is not None and 30 <= sensor.critical <= 150:
            readings.append(Reading("temperature.headroom", sensor.critical - sensor.current, name))
    return tuple(readings)


def is_hot(readings: Iterable[Reading]) -> bool:
    """True where any sensor is so hot that a fan should turn."""
    return any(
        reading.value >= HOT_CELSIUS if reading.key == "temperature.celsius" else reading.value <= HOT_HEADROOM
        for reading in readings
    )


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of temperature.* and fan.*."""
    turned: set[str] = set()

    def collect() -> Collected:
        heats = heat(_sensors("sensors_temperatures"))
        hot = is_hot(heats)
        readings = list(heats)
        for name, fan in named(_sensors("sensors_fans")):
            readings.append(Reading("fan.rpm", fan.current, name))
            if fan.current > 0:
                turned.add(name)
            if name in turned:
                readings.append(Reading("fan.stalled", float(fan.current == 0 and hot), name))
        return Collected(tuple(readings))

    return collect


def _sensors(function: str) -> Mapping[str, Iterable[Any]]:
    """What psutil's function gives; nothing on a system where psutil has not got it."""
    read = getattr(psutil, function, None)
    if read is None:
        return {}
    sensors: Mapping[str, Iterable[Any]] = read()
    return sensors
