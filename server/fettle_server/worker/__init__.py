"""The worker: what has to be done whether or not an agent speaks or a page is open. One process; leases keep two apart."""

from fettle_server.worker.loop import main

__all__ = ["main"]
