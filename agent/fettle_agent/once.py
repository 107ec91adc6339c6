"""`fettle-agent once`: every collector once, without a server, for a person or a script to look at."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from fettle_protocol import catalogue

from fettle_agent import config
from fettle_agent.collectors import Collected, Collector, Lane, Setup
from fettle_agent.lanes import Ran, run
from fettle_agent.loop import adjusted
from fettle_agent.place import here

BETWEEN_S = 1.0


def once(*, as_json: bool) -> int:
    """Print what every collector gives. A collector that fails is named with its error, and costs nothing else."""
    from fettle_agent.collectors.registry import collectors

    settings = config.load(here().default_state())
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(
            system=here().system(),
            state=Path(folder),
            services=lambda: settings.services,
            clock_offset_s=lambda: None,
            collectors_failing=lambda: 0,
        )
        document = _document(adjusted(collectors(setup), settings))
    print(json.dumps(document, ensure_ascii=False) if as_json else "\n".join(_lines(document)))
    return 0


def _document(chosen: list[Collector]) -> dict[str, Any]:
    """Rates need two looks: the cheap lane runs a first time, and what it says a second later is taken."""
    for collector in chosen:
        if collector.lane is Lane.CHEAP:
            _limited(collector)
    begun = time.monotonic()
    runs = {collector.name: _limited(collector) for collector in chosen if collector.lane is Lane.SLOW}
    time.sleep(max(0.0, BETWEEN_S - (time.monotonic() - begun)))
    runs |= {collector.name: _limited(collector) for collector in chosen if collector.lane is Lane.CHEAP}
    taken = [runs[collector.name].collected or Collected() for collector in chosen]
    return {
        "readings": [
            {
                "key": reading.key,
                "instance": reading.instance,
                "value": reading.value,
                "unit": str(catalogue.BY_KEY[reading.key].unit),
                "detail": reading.detail,
            }
            for collected in taken
            for reading in collected.readings
        ],
        "collectors": [
            {
                "name": collector.name,
                "lane": str(collector.lane),
                "duration_s": round(runs[collector.name].duration_s, 4),
                "error": runs[collector.name].error,
            }
            for collector in chosen
        ],
        "inventory": {section: content for collected in taken for section, content in collected.inventory.items()},
    }


def _limited(collector: Collector) -> Ran:
    """One run within its time limit; one that hangs is left to its thread."""
    ended: list[tuple[Collected | None, str]] = []
    begun = time.monotonic()
    thread = threading.Thread(target=lambda: ended.append(run(collector)), daemon=True)
    thread.start()
    thread.join(collector.timeout_s)
    collected, error = ended[0] if ended else (None, f"still running after {collector.timeout_s:g} s")
    return Ran(collector.name, collected, error, time.monotonic() - begun)


def _shown(value: float, unit: str) -> str:
    """A value as a person reads it; the JSON document has it as it was read."""
    if unit == catalogue.Unit.YES_NO:
        return "yes" if value else "no"
    if unit in (catalogue.Unit.BYTES, catalogue.Unit.BYTES_PER_SECOND):
        return f"{value / 1e6:,.1f} M{'B' if unit == catalogue.Unit.BYTES else 'B/s'}"
    return f"{value:,.0f} {unit}" if value == int(value) else f"{value:,.2f} {unit}"


def _lines(document: dict[str, Any]) -> list[str]:
    lines = [
        f"{one['key']:<34} {one['instance']:<24} {_shown(one['value'], one['unit']):>20} {one['detail']}".rstrip()
        for one in document["readings"]
    ]
    lines += [f"inventory: {section}, {len(content)} fields" for section, content in document["inventory"].items()]
    lines += [f"failed: {one['name']}: {one['error']}" for one in document["collectors"] if one["error"]]
    spent_s = sum(one["duration_s"] for one in document["collectors"])
    return [*lines, f"{len(document['collectors'])} collectors in {spent_s:.2f} s"]
