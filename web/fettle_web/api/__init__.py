"""The REST API under /api/v1: the same queries and actions as the pages, as JSON."""

from __future__ import annotations

from apiflask import APIFlask


def install(app: APIFlask) -> None:
    """Add the API to the app."""
