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
