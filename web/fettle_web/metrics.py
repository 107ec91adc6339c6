"""The console's figures in Prometheus's format: its own requests, the estate in numbers, and ingest's figures passed on.

Owns what is counted. Who may see it is observed.py's.
"""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Iterable, Iterator

from fettle_server.db import StoreFailure
from fettle_server.estate.endpoints import queries as endpoints
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.observed import log
from fettle_server.reactive import queries as reactive
from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from fettle_web import store

disable_created_metrics()  # type: ignore[no-untyped-call]  # a time beside each counter doubles the text and tells nothing that rate() needs
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
INGEST_PORT_FILE = "ingest-metrics.port"
INGEST_PATIENCE_S = 2
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Figures:
    """One console process's counters, and the collectors that read the store when asked."""

    def __init__(self, app: Flask) -> None:
        self._registry = CollectorRegistry()
        names = ["route", "method", "status"]
        self._requests = Counter("fettle_console_requests", "Requests answered", names, registry=self._registry)
        self._seconds = Histogram(
            "fettle_console_request_seconds",
            "Time until an answer began",
            ["route", "method"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_Estate(app))

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is the template of its address, never the address."""
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)

    def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self._registry)


class _Estate(Collector):
    """What is read when a scrape comes: a part that cannot be read is left out, and fettle_up says so."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is read at the start, when the store may not be there yet

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("fettle_up", "Whether a part of the server could be read", labels=["part"])
        for part, read in (("store", _estate), ("ingest", _ingest)):
            families: list[Metric] = []
            try:
                with self._app.app_context():
                    families = list(read())
            except (OSError, ValueError, http.client.HTTPException, StoreFailure) as error:
                log().warning("a part's figures cannot be read", part=part, error=type(error).__name__)
            up.add_metric([part], float(bool(families)))
            yield from families
        yield up


def _estate() -> Iterator[Metric]:
    with store.reading() as tx:
        counts = endpoints.counts(tx, SYSTEM)
        by_priority = reactive.open_by_priority(tx, SYSTEM)
    states = GaugeMetricFamily("fettle_endpoints", "Endpoints by state", labels=["state"])
    for state in ("ill", "watch", "unknown", "well"):
        states.add_metric([state], getattr(counts, state))
    yield states
    incidents = GaugeMetricFamily("fettle_incidents_open", "Open incidents by priority, 1 first", labels=["priority"])
    for priority in range(1, 6):
        incidents.add_metric([str(priority)], by_priority.get(priority, 0))
    yield incidents


def _ingest() -> Iterator[Metric]:
    """Ingest's own families; those of its process or of names that are the console's are left out, a name stands once."""
    port = int((store.settings().data / "run" / INGEST_PORT_FILE).read_text())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=INGEST_PATIENCE_S) as answer:
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        if family.name.startswith("fettle_ingest"):
            yield family
