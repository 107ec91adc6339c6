"""The gRPC edge: one process and one event loop for every agent's stream, with the writer's process beside it.

Owns the server, its options and its order of starting and leaving. What a stream does is in link.py.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from fettle_server import db, observed
from fettle_server.config import Settings, split_address
from fettle_server.estate.enrolment import pki
from fettle_server.ingest import enrolment, link
from fettle_server.ingest.batcher import Batcher, WriterMain
from fettle_server.ingest.enrolment import Enrolment, signing_of
from fettle_server.ingest.figures import Figures
from fettle_server.ingest.link import Link
from fettle_server.ingest.streams import Streams
from fettle_server.ingest.tls import Credentials
from fettle_server.ingest.watching import Watching

MAX_MESSAGE_BYTES = 1024 * 1024
_SPARE_FILES = 500
_COLLECT_AFTER = 50_000  # objects; at the default of 700 a twelfth of the time under load goes into collecting nothing

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 0),  # else a second server would share the port instead of finding it taken
    ("grpc.server.max_pending_requests", 20_000),  # a reconnect storm loses streams at the default
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", 8),  # of one connection: an agent has one
    ("grpc.http2.bdp_probe", 0),  # its pings cost a quarter of an agent's bytes
    ("grpc.keepalive_time_ms", 240_000),  # a PC that lost its power says nothing: this finds it
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.max_connection_idle_ms", 600_000),
    ("grpc.server_handshake_timeout_ms", 60_000),
)


@dataclass(frozen=True, slots=True)
class Ready:
    """Where agents are accepted now, and the port of /metrics."""

    address: str
    metrics_port: int


class EdgeError(Exception):
    """The edge cannot start; the message says why and what to do."""


class Edge:
    """The edge as a whole: start it, and stop it."""

    def __init__(self, settings: Settings, writer: WriterMain) -> None:
        self._settings = settings
        self._authority = pki.load_authority(settings.data)
        self._streams = Streams()
        self._figures = Figures()
        self._batcher = Batcher(settings, writer, on_answers=self._answers, on_loss=self._writer_lost)
        self._link = Link(self._streams, self._batcher, self._figures, max_streams=settings.max_streams)
        self._signing = signing_of(self._authority, settings.certificate_days)
        self._enrolment = Enrolment(db.open_engine(settings.database_url), self._signing, self._figures)
        self._reading = db.open_engine(settings.database_url, readonly=True)
        self._watching: asyncio.Task[None] | None = None
        self._server: grpc.aio.Server | None = None

    async def start(self) -> Ready:
        """Start the writer and accept agents.

        Raises:
            EdgeError: an address cannot be had.
        """
        self._server = grpc.aio.server(options=OPTIONS)
        self._server.add_generic_rpc_handlers((_Handlers(self._link, self._enrolment),))
        address = self._bind(self._server)
        metrics_port = self._serve_figures()
        self._batcher.start()
        self._watching = asyncio.create_task(Watching(self._reading, self._streams, self._link).run())
        await self._server.start()
        return Ready(address, metrics_port)

    async def stop(self) -> None:
        """Let every stream go, and return when the writer has committed all that came."""
        if self._watching is not None:
            self._watching.cancel()
        if self._server is not None:
            await self._server.stop(None)
        await self._batcher.stop()
        self._enrolment.close()
        self._reading.dispose()

    @property
    def writer_pid(self) -> int | None:
        """The writer's process, if there is one."""
        return self._batcher.pid

    def _bind(self, server: grpc.aio.Server) -> str:
        host, port = split_address(self._settings.grpc)
        name = f"[{host}]" if ":" in host else host
        try:
            taken = server.add_secure_port(f"{name}:{port}", Credentials(self._settings, self._authority).for_port())
        except RuntimeError as error:
            raise EdgeError(
                f"agents cannot be accepted on {self._settings.grpc}: the port is taken or the address is not this machine's; "
                f"choose another with --grpc, or see `fettle doctor {self._settings.data}`"
            ) from error
        return f"{name}:{taken}"

    def _serve_figures(self) -> int:
        try:
            return self._figures.serve(self._settings.metrics, self._gauges)
        except OSError as error:
            raise EdgeError(f"the setting metrics = {self._settings.metrics!r} cannot be served: {error}") from error

    def _answers(self, answers: list[Any]) -> None:
        self._link.take_answers(answers)

    def _writer_lost(self) -> None:
        self._figures.writer_lost()
        self._link.writer_lost()

    def _gauges(self) -> dict[str, tuple[str, float]]:
        return {
            "fettle_ingest_streams": ("Streams that are open", len(self._streams)),
            "fettle_ingest_attached": ("Endpoints that are connected", self._streams.attached_count),
            "fettle_ingest_waiting": ("Messages that wait for the writer to take them", self._batcher.waiting),
            "fettle_ingest_writer_up": ("Whether the writer runs", self._batcher.is_up),
            "fettle_ingest_writer_restarts": ("Times that the writer died and was started again", self._batcher.restarts),
        }


class _Handlers(grpc.GenericRpcHandler):
    """Raw bytes in and out: parsing belongs to the writer's process and to enrolment's threads."""

    def __init__(self, attached: Link, enrolling: Enrolment) -> None:
        self._handlers: dict[str, Any] = {
            link.METHOD: grpc.stream_stream_rpc_method_handler(attached.attach),
            enrolment.ENROL: grpc.unary_unary_rpc_method_handler(enrolling.enrol),
            enrolment.RENEW: grpc.unary_unary_rpc_method_handler(enrolling.renew),
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a method, or None."""
        return self._handlers.get(handler_call_details.method)


def main(settings: Settings, writer: WriterMain, ready: Callable[[Ready], None]) -> None:
    """Run the edge until SIGTERM or SIGINT; `ready` is called once agents are accepted.

    Raises:
        EdgeError: it cannot start.
        PkiError: its certificates cannot be used.
    """
    raise_file_limit(settings.max_streams + _SPARE_FILES)
    gc.freeze()  # what is loaded now stays: no collection needs to walk it
    gc.set_threshold(_COLLECT_AFTER)
    asyncio.run(_run(settings, writer, ready))


async def _run(settings: Settings, writer: WriterMain, ready: Callable[[Ready], None]) -> None:
    leave = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leave.set)
    edge = Edge(settings, writer)
    try:
        ready(await edge.start())
        await leave.wait()
    finally:
        await edge.stop()


def raise_file_limit(wanted: int) -> None:
    """Allow this process as many open files as it needs, as far as it may; says so where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            observed.log().warning("fewer files may be open than agents may connect", limit=allowed, wanted=wanted)
