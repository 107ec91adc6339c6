"""Ingest's own figures, in Prometheus's format on a port of its own; the console's /metrics passes them on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fettle_protocol.v1 import link_pb2
from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fettle_server.config import split_address
from fettle_server.ingest.messages import WriterFigures
from fettle_server.ingest.streams import End

_NOTHING = WriterFigures(0, 0, 0, 0, 0, 0.0, 0)


class Figures:
    """Counters of the edge, and the writer's running totals, which start anew with each writer and never go back here."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.clones = self._counter("fettle_ingest_clones", "Streams refused because their identity was connected already")
        self.slowed = self._counter("fettle_ingest_slowed", "Rests that streams over their rate were made to take")
        self.enrolled = self._counter("fettle_ingest_enrolled", "Machines enrolled")
        self.renewed = self._counter("fettle_ingest_renewed", "Endpoint certificates renewed")
        self.refused = Counter(
            "fettle_ingest_refused", "Streams and enrolments refused or ended by the server", ["reason"], registry=self.registry
        )
        self._past = _NOTHING
        self._present = _NOTHING

    def take(self, figures: WriterFigures) -> None:
        """The writer's newest totals."""
        self._present = figures

    def writer_lost(self) -> None:
        """The next totals start from nothing."""
        self._past = _sum(self._past, self._present)
        self._present = _NOTHING

    def ended(self, end: End) -> None:
        """Count a stream that the server ended, by its reason."""
        code = link_pb2.Downlink.FromString(end.refusal).refusal.code if end.refusal else end.status.name.lower()
        self.refused.labels(code).inc()

    def totals(self) -> WriterFigures:
        """The writers' totals since this process started."""
        return _sum(self._past, self._present)

    def serve(self, address: str, gauges: Callable[[], dict[str, tuple[str, float]]]) -> int:
        """Answer scrapes from a thread; the port that was taken.

        Raises:
            OSError: the address cannot be had.
        """
        host, port = split_address(address)
        self.registry.register(_Totals(self.totals, gauges))
        server, _ = start_http_server(port, host, registry=self.registry)
        return int(server.server_port)

    def _counter(self, name: str, sentence: str) -> Counter:
        return Counter(name, sentence, registry=self.registry)


class _Totals(Collector):
    def __init__(self, totals: Callable[[], WriterFigures], gauges: Callable[[], dict[str, tuple[str, float]]]) -> None:
        self._totals = totals
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        totals = self._totals()
        for name, sentence, value in (
            ("messages", "Messages that agents sent", totals.messages),
            ("events", "Events committed", totals.events),
            ("repeats", "Events that came again after their commit, and were dropped", totals.repeats),
            ("rejected", "Messages that could not be taken", totals.rejected),
            ("batches", "Transactions committed", totals.batches),
            ("commit_seconds", "Time spent in transactions", totals.commit_seconds),
        ):
            yield CounterMetricFamily(f"fettle_ingest_{name}", sentence, value=value)
        yield GaugeMetricFamily("fettle_ingest_backlog", "Messages that wait in the writer", value=totals.backlog)
        for name, (sentence, value) in self._gauges().items():
            yield GaugeMetricFamily(name, sentence, value=value)


def _sum(first: WriterFigures, second: WriterFigures) -> WriterFigures:
    return WriterFigures(
        messages=first.messages + second.messages,
        events=first.events + second.events,
        repeats=first.repeats + second.repeats,
        rejected=first.rejected + second.rejected,
        batches=first.batches + second.batches,
        commit_seconds=first.commit_seconds + second.commit_seconds,
        backlog=second.backlog,
    )
