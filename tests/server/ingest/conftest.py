"""A real edge with its real writer on a loopback port, and agents that speak to it over real mTLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import queue
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from fettle_protocol import identity
from fettle_protocol.v1 import link_pb2
from fettle_server import clock, db
from fettle_server.config import Settings, load
from fettle_server.estate.enrolment import actions, pki
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.tables import Endpoint
from fettle_server.ingest import edge as edges
from fettle_server.ingest import writer
from fettle_server.ingest.messages import Known

WITHIN_S = 20.0
Starter = Callable[..., tuple["Server", Callable[[], None]]]
MACHINE = {"hostname": "pc-14", "os": "linux", "os_version": "Debian 12", "agent_version": "0.1.0"}


def channel(address: str, ca: bytes, key: bytes, certificate: bytes) -> grpc.Channel:
    """A connection of its own, by the name that the server's own certificate carries."""
    options = [
        ("grpc.ssl_target_name_override", identity.SERVER_NAME),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
    ]
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate), options)


def csr_of(key: Any) -> bytes:
    """A signing request for a key."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def downlink(answer: Any) -> link_pb2.Downlink:
    """What an answer of the writer says to its stream."""
    return link_pb2.Downlink.FromString(answer.welcome if isinstance(answer, Known) else answer.downlink)


def row(store: Any, pk: int, *columns: Any) -> Any:
    """Those columns of an endpoint."""
    return store.rows(sa.select(*columns).where(Endpoint.pk == pk))[0]


class Talk:
    """One stream of an agent, as the test drives it."""

    def __init__(self, opened: grpc.Channel) -> None:
        self._channel = opened
        self._up: queue.Queue[bytes | None] = queue.Queue()
        self._call = opened.stream_stream("/fettle.v1.Link/Attach")(iter(self._up.get, None), timeout=WITHIN_S)

    def say_bytes(self, body: bytes) -> None:
        """Send bytes as they are."""
        self._up.put(body)

    def say(self, **fields: Any) -> None:
        """Send one Uplink."""
        self.say_bytes(link_pb2.Uplink(**fields).SerializeToString())

    def say_hello(self, instance: str = "first", spool: str = "spool-1") -> None:
        """Send the first word of an agent."""
        machine = link_pb2.Machine(**MACHINE)
        self.say(hello=link_pb2.Hello(protocol=1, machine=machine, instance=instance, spool=spool, boot="boot-1"))

    def hear(self) -> link_pb2.Downlink:
        """The next Downlink."""
        return link_pb2.Downlink.FromString(next(self._call))

    def hear_until(self, field_name: str) -> Any:
        """The first Downlink's field of that name; others before it are passed over."""
        while True:
            downlink = self.hear()
            value = getattr(downlink, field_name)
            if value if field_name == "rejected" else downlink.HasField(field_name):
                return value

    def hear_ack(self, sequence: int) -> None:
        """Return once events up to the number are acknowledged."""
        while self.hear_until("ack").events < sequence:
            pass

    def end(self) -> tuple[str, grpc.StatusCode, str]:
        """Listen to the end: the Refusal's code ("": none), the status and its sentence."""
        code = ""
        try:
            for body in self._call:
                code = link_pb2.Downlink.FromString(body).refusal.code or code
        except grpc.RpcError as error:
            return code, error.code(), error.details() or ""
        return code, grpc.StatusCode.OK, ""

    def close(self) -> None:
        """Hang up."""
        self._up.put(None)
        self._call.cancel()
        self._channel.close()


@dataclass(slots=True)
class Agent:
    """An enrolled machine."""

    server: Server
    endpoint_id: str
    key: bytes
    certificate: bytes
    talks: list[Talk] = field(default_factory=list)

    def knock(self) -> Talk:
        """A stream on which nothing was said yet."""
        talk = Talk(channel(self.server.address, self.server.authority.pem, self.key, self.certificate))
        self.server.talks.append(talk)
        return talk

    def attach(self, instance: str = "first", spool: str = "spool-1") -> Talk:
        """A stream that was welcomed."""
        talk = self.knock()
        talk.say_hello(instance, spool)
        assert talk.hear_until("welcome").endpoint_id == self.endpoint_id
        return talk


@dataclass(slots=True)
class Server:
    """An edge that runs in a thread, with its own data directory."""

    settings: Settings
    authority: pki.Authority
    edge: edges.Edge
    address: str
    metrics_port: int
    engine: sa.Engine
    loop: asyncio.AbstractEventLoop
    talks: list[Talk] = field(default_factory=list)
    is_stopped: bool = False

    def token(self, uses: int = 1) -> str:
        """A fresh enrolment token."""
        with self.engine.begin() as tx:
            life = dt.timedelta(hours=1)
            return actions.create_token(tx, SYSTEM, "Harbour School", uses, life, clock.utc_now(), self.authority.sha256).token

    def call(self, method: str, body: bytes, key: bytes, certificate: bytes) -> bytes:
        """One unary call."""
        with channel(self.address, self.authority.pem, key, certificate) as opened:
            return bytes(opened.unary_unary(method)(body, timeout=WITHIN_S))

    def enrol(self, text: str | None = None) -> Agent:
        """A machine that enrolled over the wire."""
        key = identity.new_key()
        machine = link_pb2.Machine(**MACHINE)
        request = link_pb2.EnrolRequest(token=text or self.token(), csr_der=csr_of(key), machine=machine)
        body = self.call("/fettle.v1.Enrolment/Enrol", request.SerializeToString(), *identity.visitor_credentials())
        answer = link_pb2.EnrolResponse.FromString(body)
        return Agent(self, answer.endpoint_id, identity.key_pem(key), answer.certificate_pem)

    def stop(self) -> None:
        """What SIGTERM does."""
        if not self.is_stopped:
            self.is_stopped = True
            asyncio.run_coroutine_threadsafe(self.edge.stop(), self.loop).result(WITHIN_S)

    def kill_writer(self) -> None:
        """What a crash does: no warning, no flush."""
        os.kill(self.edge.writer_pid or 0, signal.SIGKILL)


@pytest.fixture(scope="session")
def starting(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Starter:
    """Starts an edge with settings by name; returns it and what stops it."""

    def start(**settings: Any) -> tuple[Server, Callable[[], None]]:
        data = tmp_path_factory.mktemp("edge")
        shutil.copyfile(sqlite_template, data / "fettle.db")
        authority = pki.make_authority(data, clock.utc_now())
        return _start(load(data, grpc="127.0.0.1:0", log_level="error", **settings), authority)

    return start


@pytest.fixture
def serve(starting: Starter) -> Iterator[Callable[..., Server]]:
    """Starts an edge of the test's own, with settings by name; stops it after the test."""
    stops: list[Callable[[], None]] = []

    def start(**settings: Any) -> Server:
        server, stop = starting(**settings)
        stops.append(stop)
        return server

    yield start
    for stop in stops:
        stop()


@pytest.fixture(scope="session")
def shared_server(starting: Starter) -> Iterator[Server]:
    server, stop = starting()
    yield server
    stop()


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """An edge with the settings that ship, which other tests have used before: each enrols machines of its own."""
    yield shared_server
    for talk in shared_server.talks:
        talk.close()
    shared_server.talks.clear()


def _start(settings: Settings, authority: pki.Authority) -> tuple[Server, Callable[[], None]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(WITHIN_S)

    async def made() -> edges.Edge:
        return edges.Edge(settings, writer.main)

    edge = run(made())
    ready = run(edge.start())
    engine = db.open_engine(settings.database_url)
    server = Server(settings, authority, edge, ready.address, ready.metrics_port, engine, loop)

    def stop() -> None:
        for talk in server.talks:
            talk.close()
        server.stop()
        run(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WITHIN_S)
        loop.close()
        engine.dispose()

    return server, stop
