"""A small server that speaks the real protocol over real mutual TLS, a real CONNECT proxy, and a machine to enrol."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from fettle_agent import enrolment
from fettle_protocol import identity, policy
from fettle_protocol.v1 import link_pb2

PEM = serialization.Encoding.PEM
SECRET = "a" * 26
ENDPOINT_ID = "0123456789abcdef0123456789abcdef"
PROCESS_ENV = {"no_proxy": "", "http_proxy": "", "https_proxy": "", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
TOOLS = ("updates", "software", "hardware", "event_log", "boot", "smart", "battery_wear", "services")
QUIET = "interval_factor = 100\n" + "".join(f"[collectors.{name}]\nenabled = false\n" for name in TOOLS)
"""agent.toml of a test's agent: nothing runs twice but the test fault, and no tool is started."""


class Authority:
    """A certificate authority that exists for one test run."""

    def __init__(self, name: str = "Fettle test authority") -> None:
        self.key = identity.new_key()
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=None), [])
        self.pem = self.certificate.public_bytes(PEM)

    @property
    def fingerprint(self) -> str:
        return identity.fingerprint(self.certificate.public_bytes(serialization.Encoding.DER))

    def server(self, *, name: str = identity.SERVER_NAME, days: tuple[float, float] = (-1, 30)) -> tuple[bytes, bytes]:
        """Key and chain of a server; `days` are those of its validity, from now."""
        key = identity.new_key()
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), x509.BasicConstraints(ca=False, path_length=None), [names], days)
        return identity.key_pem(key), certificate.public_bytes(PEM) + self.pem

    def endpoint(self, public_key: Any, days: tuple[float, float] = (-1, 90)) -> bytes:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity.endpoint_uri(ENDPOINT_ID))])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ENDPOINT_ID)])
        return self._sign(subject, public_key, x509.BasicConstraints(ca=False, path_length=None), [names], days).public_bytes(
            PEM
        )

    def _sign(
        self,
        subject: x509.Name,
        public_key: Any,
        constraints: x509.BasicConstraints,
        extensions: list[x509.ExtensionType],
        days: tuple[float, float] = (-1, 30),
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=days[0]))
            .not_valid_after(now + dt.timedelta(days=days[1]))
            .add_extension(constraints, critical=True)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())


@dataclass
class FakeStream:
    """One stream as the server saw it."""

    hello: link_pb2.Hello
    ups: list[link_pb2.Uplink] = field(default_factory=list)
    downs: queue.SimpleQueue[link_pb2.Downlink | None] = field(default_factory=queue.SimpleQueue)

    def say(self, **fields: Any) -> None:
        self.downs.put(link_pb2.Downlink(**fields))

    def end(self) -> None:
        self.downs.put(None)


class FakeServer:
    """Enrols with one token, welcomes, acknowledges, and keeps all that it heard. Repeats are dropped as the real one does."""

    def __init__(self, authority: Authority, *, days: tuple[float, float] = (-1, 30), port: int = 0) -> None:
        self.authority = authority
        self.token = f"fettle1-{SECRET}-{authority.fingerprint[:32]}"
        self.token_error = ""
        self.certificate_days: tuple[float, float] = (-1, 90)
        self.streams: list[FakeStream] = []
        self.events: list[link_pb2.Event] = []
        self.repeats = 0
        self.acked: dict[str, int] = {}
        self.acknowledges = True
        self.reject: set[int] = set()
        self.refusal: link_pb2.Refusal | None = None
        self.policy: policy.Policy | None = None
        self.vitals_every_s = 300
        self.clock_ahead_ms = 0
        self.renewals = 0
        self._server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        raw = {"request_deserializer": None, "response_serializer": None}
        handlers = {
            "Enrol": grpc.unary_unary_rpc_method_handler(self._enrol, **raw),
            "Renew": grpc.unary_unary_rpc_method_handler(self._renew, **raw),
        }
        attach = {"Attach": grpc.stream_stream_rpc_method_handler(self._attach, **raw)}
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("fettle.v1.Enrolment", handlers),
                grpc.method_handlers_generic_handler("fettle.v1.Link", attach),
            )
        )
        roots = authority.pem + identity.visitor_ca_pem()
        credentials = grpc.ssl_server_credentials([authority.server(days=days)], roots, require_client_auth=True)
        self.port = self._server.add_secure_port(f"127.0.0.1:{port}", credentials)
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def stop(self) -> None:
        for stream in self.streams:
            stream.end()
        self._server.stop(0.2).wait()

    def of(self, kind: str) -> list[Any]:
        """The bodies of all events of that kind."""
        return [getattr(event, kind) for event in list(self.events) if event.WhichOneof("body") == kind]

    def all(self, name: str) -> list[Any]:
        """Every part of that name in what was heard ("vitals", "live", "pong"), or the lists of that name joined."""
        found = []
        for stream in list(self.streams):
            for up in list(stream.ups):
                if name == "history":
                    found += list(up.history)
                elif up.HasField(name):
                    found.append(getattr(up, name))
        return found

    def _enrol(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        request = link_pb2.EnrolRequest.FromString(body)
        if self.token_error or request.token != self.token:
            context.abort(
                grpc.StatusCode.PERMISSION_DENIED, self.token_error or "this server does not know that token: ask for a new one"
            )
        csr = x509.load_der_x509_csr(request.csr_der)
        return link_pb2.EnrolResponse(
            endpoint_id=ENDPOINT_ID,
            certificate_pem=self.authority.endpoint(csr.public_key(), self.certificate_days),
            ca_pem=self.authority.pem,
            school="Bow Primary",
        ).SerializeToString()

    def _renew(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        self.renewals += 1
        csr = x509.load_der_x509_csr(link_pb2.RenewRequest.FromString(body).csr_der)
        certificate = self.authority.endpoint(csr.public_key(), (-1, 90))
        return link_pb2.RenewResponse(certificate_pem=certificate, ca_pem=self.authority.pem).SerializeToString()

    def _attach(self, ups: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        hello = link_pb2.Uplink.FromString(next(ups)).hello
        stream = FakeStream(hello)
        self.streams.append(stream)
        if self.refusal is not None:
            yield link_pb2.Downlink(refusal=self.refusal).SerializeToString()
            context.abort(grpc.StatusCode.UNAUTHENTICATED, self.refusal.text)
        threading.Thread(target=self._listen, args=(ups, stream), daemon=True).start()
        stream.say(
            welcome=link_pb2.Welcome(
                endpoint_id=ENDPOINT_ID,
                server_ms=int(time.time() * 1000) + self.clock_ahead_ms,
                events_acked=self.acked.get(hello.spool, 0),
                vitals_every_s=self.vitals_every_s,
            )
        )
        if self.policy is not None:
            packed = policy.encode(self.policy)
            if policy.digest(packed) != hello.policy_digest:
                stream.say(policy=link_pb2.Policy(version=self.policy.version, json=packed))
        while (down := stream.downs.get()) is not None:
            yield down.SerializeToString()

    def _listen(self, ups: Iterator[bytes], stream: FakeStream) -> None:
        with contextlib.suppress(grpc.RpcError):
            for body in ups:
                up = link_pb2.Uplink.FromString(body)
                stream.ups.append(up)
                self._take(up, stream)
        stream.end()

    def _take(self, up: link_pb2.Uplink, stream: FakeStream) -> None:
        spool = stream.hello.spool
        for event in up.events:
            if event.sequence <= self.acked.get(spool, 0):
                self.repeats += 1
            elif event.sequence in self.reject:
                stream.say(rejected=[link_pb2.Rejected(sequence=event.sequence, reason="not taken")])
            else:
                self.events.append(event)
            if self.acknowledges:
                self.acked[spool] = max(event.sequence, self.acked.get(spool, 0))
        hours = [one.sequence for one in up.history if one.sequence]
        if self.acknowledges and (up.events or hours):
            now_ms = int(time.time() * 1000) + self.clock_ahead_ms
            stream.say(ack=link_pb2.Ack(events=self.acked.get(spool, 0), history=max(hours, default=0), server_ms=now_ms))


class Proxy:
    """An HTTP proxy that knows CONNECT, counts, may refuse, and may cut what goes through it."""

    def __init__(self, answer: str = "200 OK") -> None:
        self.answer = answer
        self.asked: list[str] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection that goes through now."""
        for line in self._open:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked:
                part = line.recv(4096)
                if not part:
                    return
                asked += part
            self.asked.append(asked.decode())
            line.sendall(f"HTTP/1.1 {self.answer}\r\n\r\n".encode())
            if not self.answer.startswith("200"):
                return
            host, _, port = asked.split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as far:
                self._open += [line, far]
                back = threading.Thread(target=_pump, args=(far, line), daemon=True)
                back.start()
                _pump(line, far)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@dataclass
class Machine:
    """A state folder and the commands on it."""

    state: Path
    server: FakeServer | None = None
    running: subprocess.Popen[str] | None = None

    def command(self, *words: object, timeout: float = 30, **env: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "fettle_agent", *map(str, words)]
        return subprocess.run(whole, capture_output=True, text=True, timeout=timeout, check=False, env=PROCESS_ENV | env)

    def enrol(self, *words: object, **env: str) -> subprocess.CompletedProcess[str]:
        assert self.server is not None
        asked = ["--server", self.server.address, "--token", self.server.token, "--state", self.state]
        return self.command("enrol", *asked, *words, **env)

    def settle(self, extra: str = "", proxy: str = "") -> Machine:
        """Enrol within this process, and set collectors to be quiet but for the test fault."""
        assert self.server is not None
        enrolment.enrol(self.state, enrolment.Wanted(self.server.address, self.server.token, proxy=proxy or "none"))
        (self.state / "agent.toml").write_text(extra + QUIET)
        return self

    def start(self, **env: str) -> Machine:
        log = (self.state / "run.log").open("a")
        whole = [sys.executable, "-m", "fettle_agent", "run", "--state", str(self.state)]
        self.running = subprocess.Popen(whole, stderr=log, text=True, env=PROCESS_ENV | env)
        log.close()
        return self

    def stop(self) -> int:
        assert self.running is not None
        self.running.terminate()
        code = self.running.wait(10)
        self.running = None
        return code

    def kill(self) -> None:
        assert self.running is not None
        self.running.kill()
        self.running.wait(10)
        self.running = None

    def status(self) -> dict[str, Any]:
        """What the running agent last said of itself, empty before its first word."""
        try:
            return dict(json.loads((self.state / "status.json").read_text()))
        except FileNotFoundError:
            return {}

    def log(self) -> str:
        return (self.state / "run.log").read_text()


def until(what: Callable[[], Any], seconds: float = 10) -> Any:
    """The first truthy answer; fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        if answer := what():
            return answer
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.03)


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., Any]:
    return until


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def make_authority() -> Callable[..., Authority]:
    return Authority


@pytest.fixture
def make_server(authority: Authority) -> Iterator[Callable[..., FakeServer]]:
    made: list[FakeServer] = []

    def make(of: Authority = authority, **options: Any) -> FakeServer:
        made.append(FakeServer(of, **options))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def server(make_server: Callable[..., FakeServer]) -> FakeServer:
    made = make_server()
    made.policy = policy.Policy(version=1, rules=(test_rule(),))
    return made


@pytest.fixture
def machine(tmp_path: Path, server: FakeServer) -> Iterator[Machine]:
    made = Machine(tmp_path / "state", server)
    yield made
    if made.running is not None:
        made.kill()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


def test_rule(**changes: Any) -> policy.Rule:
    """The rule that looks at the test fault; any field may be another."""
    fields: dict[str, Any] = {
        "key": "test-fault",
        "reading": "agent.test_fault",
        "direction": "above",
        "raise_level": 1,
        "raise_for_s": 0,
        "clear_level": 0,
        "clear_for_s": 0,
        "severity": "watch",
        "impact": "user",
        "topic": "test",
        "title": "A test fault {instance}",
        "meaning": "Somebody tests.",
        "first_step": "Nothing.",
    }
    return policy.from_mapping({"version": 1, "rules": [fields | changes]}).rules[0]


@pytest.fixture(name="make_rule")
def make_rule_fixture() -> Callable[..., policy.Rule]:
    return test_rule


@pytest.fixture
def make_policy() -> Callable[..., policy.Policy]:
    def make(*rules: policy.Rule, version: int = 1) -> policy.Policy:
        return policy.Policy(version=version, rules=rules)

    return make
