"""What an endpoint's health is, from its connection and its open faults. Pure."""

from __future__ import annotations

from enum import StrEnum


class Health(StrEnum):
    """The four states that every page shows, in the order in which lists put them."""

    ILL = "ill"
    WATCH = "watch"
    UNKNOWN = "unknown"
    WELL = "well"


ORDER: tuple[Health, ...] = tuple(Health)


def health(watch_faults: int, ill_faults: int) -> Health:
    """The state of an endpoint that is heard: its worst open fault."""
    if ill_faults:
        return Health.ILL
    return Health.WATCH if watch_faults else Health.WELL


SEARCH_MAXIMUM = 300
"""Characters; PostgreSQL's indexes refuse entries over 2,700 bytes."""


def search_text(*parts: str) -> str:
    """What the search box looks through for one endpoint: name, id, model, serial number; lower case, once each."""
    return " ".join(dict.fromkeys(part.strip().lower() for part in parts if part.strip()))[:SEARCH_MAXIMUM]


def search_words(search: str) -> tuple[str, ...]:
    """The words of a search, all of which an endpoint must have; at most eight count."""
    plain = search[:200].replace("\0", " ").encode(errors="ignore").decode()
    return tuple(dict.fromkeys(plain.lower().split()))[:8]
