"""What may leave a collector: readings that the catalogue knows, within their legal range, with bounded words.

Owns the filter that the registry puts around each collector. A reading that cannot be true is dropped and its neighbours
stay: one broken sensor must not hide the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fettle_protocol import catalogue

from fettle_agent.collectors import Collected, Reading

MAX_INSTANCE_BYTES = 120
MAX_DETAIL_CHARACTERS = 120
MAX_INSTANCES = 100
"""At most this many instances of one reading in one run: a machine with a thousand mounts must not fill the link."""


def legal(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """The readings that may leave, in order; the first of two for one key and instance."""
    kept: dict[tuple[str, str], Reading] = {}
    counts: dict[str, int] = {}
    for reading in readings:
        spec = catalogue.BY_KEY.get(reading.key)
        if spec is None or not spec.admits(reading.value) or counts.get(reading.key, 0) >= MAX_INSTANCES:
            continue
        instance = _plain(reading.instance).encode()[:MAX_INSTANCE_BYTES].decode("utf-8", "ignore") if spec.instance else ""
        if (reading.key, instance) in kept:
            continue
        counts[reading.key] = counts.get(reading.key, 0) + 1
        kept[reading.key, instance] = Reading(
            reading.key, float(reading.value), instance, _plain(reading.detail)[:MAX_DETAIL_CHARACTERS]
        )
    return tuple(kept.values())


def lawful(collect: Callable[[], Collected]) -> Callable[[], Collected]:
    """The same collector, giving only what may leave."""

    def collected() -> Collected:
        result = collect()
        return Collected(legal(result.readings), result.inventory, result.error)

    return collected


def _plain(text: str) -> str:
    """The text without control characters and without halves of characters, which UTF-8 cannot carry."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter for letter in text.encode("utf-8", "replace").decode() if letter.isprintable())
