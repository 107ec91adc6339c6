"""kill -9 under load: many agents send numbered events while the server dies again and again; nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import grpc
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from fettle_protocol import identity
from fettle_protocol.v1 import link_pb2

AGENTS, EVENTS, KILLS = 20, 3000, 3
OPTIONS = [("grpc.ssl_target_name_override", identity.SERVER_NAME), ("grpc.max_reconnect_backoff_ms", 500)]


@dataclass
class Speaker:
    """An agent's spool and link and nothing else: sends what is not acknowledged, in order, over and over."""

    number: int
    key: bytes
    certificate: bytes
    root: bytes
    server: str
    acked: int = 0

    async def speak(self) -> None:
        while self.acked < EVENTS:
            try:
                await self._attach()
            except (grpc.RpcError, TimeoutError):
                await asyncio.sleep(0.2)

    async def _attach(self) -> None:
        credentials = grpc.ssl_channel_credentials(self.root, self.key, self.certificate)
        async with grpc.aio.secure_channel(self.server, credentials, OPTIONS) as channel:
            call = channel.stream_stream(
                "/fettle.v1.Link/Attach",
                request_serializer=link_pb2.Uplink.SerializeToString,
                response_deserializer=link_pb2.Downlink.FromString,
            )(timeout=60)
            await call.write(link_pb2.Uplink(hello=self._hello()))
            first = await asyncio.wait_for(call.read(), 10)
            if first is grpc.aio.EOF or not first.HasField("welcome"):
                raise TimeoutError
            self.acked = max(self.acked, first.welcome.events_acked)
            sender = asyncio.create_task(self._send(call, self.acked + 1))
            try:
                await self._hear(call)
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)

    async def _hear(self, call: Any) -> None:
        while self.acked < EVENTS:
            answer = await asyncio.wait_for(call.read(), 10)
            if answer is grpc.aio.EOF:
                return
            self.acked = max(self.acked, answer.ack.events)

    async def _send(self, call: Any, first: int) -> None:
        for sequence in range(first, EVENTS + 1):
            notice = link_pb2.Notice(code="collector_failing", subject=f"{self.number}/{sequence}", text="under load")
            event = link_pb2.Event(sequence=sequence, at_ms=int(time.time() * 1000), notice=notice)
            await call.write(link_pb2.Uplink(events=[event]))
            if sequence % 5 == 0:
                await asyncio.sleep(0.01)  # so that the kills fall amid the sending

    def _hello(self) -> link_pb2.Hello:
        machine = link_pb2.Machine(hostname=f"pc-{self.number}", os="linux", fingerprint=f"{self.number:064x}")
        return link_pb2.Hello(protocol=1, machine=machine, instance=f"i{self.number}", spool=f"s{self.number}", boot="b")


def enrolled(server: Any, number: int, token: str) -> Speaker:
    key = identity.new_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pc")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    root = (server.data / "ca.pem").read_bytes()
    request = link_pb2.EnrolRequest(
        token=token,
        csr_der=csr.public_bytes(serialization.Encoding.DER),
        machine=link_pb2.Machine(hostname=f"pc-{number}", os="linux", fingerprint=f"{number:064x}"),
    )
    credentials = grpc.ssl_channel_credentials(root, *identity.visitor_credentials())
    with grpc.secure_channel(server.grpc, credentials, OPTIONS) as channel:
        call = channel.unary_unary(
            "/fettle.v1.Enrolment/Enrol",
            request_serializer=link_pb2.EnrolRequest.SerializeToString,
            response_deserializer=link_pb2.EnrolResponse.FromString,
        )
        answer = call(request, timeout=10)
    return Speaker(number, identity.key_pem(key), answer.certificate_pem, root, server.grpc)


async def under_fire(server: Any, speakers: list[Speaker]) -> int:
    """Kills that fell while events were under way."""
    speaking = asyncio.gather(*(speaker.speak() for speaker in speakers))
    kills = 0
    while kills < KILLS:
        await asyncio.sleep(1.5)
        if speaking.done():
            break
        await asyncio.to_thread(server.kill)
        kills += 1
        await asyncio.to_thread(server.start)
    await asyncio.wait_for(speaking, 120)
    return kills


def test_server_killed_under_load_loses_and_doubles_nothing(server: Any) -> None:
    token = server.token(uses=AGENTS)
    speakers = [enrolled(server, number, token) for number in range(AGENTS)]
    assert asyncio.run(under_fire(server, speakers)) == KILLS
    server.stop()
    engine = sa.create_engine(f"sqlite:///{server.data / 'fettle.db'}")
    with engine.connect() as connection:
        rows = connection.scalars(sa.text("SELECT detail FROM endpoint_events WHERE detail LIKE '%under load%'")).all()
    engine.dispose()
    counted = Counter(rows)
    assert len(counted) == AGENTS * EVENTS
    assert max(counted.values()) == 1
