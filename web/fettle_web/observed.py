"""What operators and their monitoring see of the console: alive, ready, counted."""

from __future__ import annotations

from flask import Flask

from fettle_server.config import Settings


def install(app: Flask, settings: Settings) -> None:
    """Count requests, and answer /healthz, /readyz and /metrics."""
