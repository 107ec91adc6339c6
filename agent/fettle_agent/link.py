"""The link: keeps one stream to the server alive, through proxies and outages.

Owns connecting, credentials, back-off and what is wrong when there is no stream. What is said on the stream is session.py's.

grpc.aio and not the sync API: the same memory, a third of the processor time. bdp_probe off: a quarter of the wire bytes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from fettle_protocol.v1 import link_pb2

from fettle_agent import log
from fettle_agent.errors import AgentError
from fettle_agent.session import Over, Session, Source
from fettle_agent.words import explain

ATTACH = "/fettle.v1.Link/Attach"
WELCOME_WITHIN_S = 30.0
STABLE_S = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0
REFUSED_WAIT_S = 300.0
_SETTLED_CODES = ("clone", "revoked", "unknown", "protocol")
_KEEPALIVE_MS = 310_000
"""Above gRPC servers' default of five minutes for the shortest ping interval that they tolerate; vitals flow as often."""

_MAX_SEND_BYTES, _MAX_RECEIVE_BYTES = 4 * 1024 * 1024, 1024 * 1024

Stream = grpc.aio.StreamStreamCall[Any, link_pb2.Downlink]


def _between(least: float, most: float) -> float:
    """Anything between the two; by the system's own chance, for Python's is a module that nothing else here needs."""
    return least + (most - least) * int.from_bytes(os.urandom(4)) / 2**32


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server is, and who we are to it. `proxy` is a URL, empty for a direct way."""

    address: str
    tls_name: str
    ca_pem: bytes
    identity_pem: bytes
    proxy: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """TLS with our certificate, trusting only the enrolled server's authority. The identity holds key and certificate."""
        return grpc.ssl_channel_credentials(self.ca_pem, self.identity_pem, self.identity_pem)

    def options(self) -> list[tuple[str, str | int]]:
        """GRPC's channel options."""
        chosen: list[tuple[str, str | int]] = [
            ("grpc.http2.bdp_probe", 0),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.max_send_message_length", _MAX_SEND_BYTES),
            ("grpc.max_receive_message_length", _MAX_RECEIVE_BYTES),
            ("grpc.http_proxy", self.proxy) if self.proxy else ("grpc.enable_http_proxy", 0),
        ]
        if self.tls_name:
            chosen.append(("grpc.ssl_target_name_override", self.tls_name))
        return chosen


@dataclass(slots=True)
class LinkState:
    """What status says of the link; `code` and `text` are why there is no stream."""

    connected: bool = False
    code: str = "starting"
    text: str = "not connected yet"
    tries: int = 0


class Link:
    """Connects, speaks, reconnects; until stopped."""

    def __init__(self, target: Callable[[], Target], source: Source, changed: Callable[[], None]) -> None:
        """`target` is asked anew for each attempt, so that a renewed certificate is used; `changed` hears of each change."""
        self._target = target
        self._source = source
        self._changed = changed
        self._speak = asyncio.Event()
        self._retry = asyncio.Event()
        self._call: Stream | None = None
        self._reason: Over | None = None
        self.state = LinkState()
        self.session: Session | None = None

    def wake(self) -> None:
        """There may be something to say."""
        self._speak.set()

    def nudge(self) -> None:
        """The network came back, or the machine woke: try again soon."""
        self._retry.set()

    def hang_up(self) -> None:
        """End the stream, so that the next one begins with what changed."""
        if self._call is not None:
            self._call.cancel()
        self._retry.set()

    async def run(self) -> None:
        """Keep a stream, until cancelled."""
        wait_s = FIRST_WAIT_S
        while True:
            began_s = asyncio.get_running_loop().time()
            over = await self._one_stream()
            if over.code == "spool" or asyncio.get_running_loop().time() - began_s >= STABLE_S:
                wait_s = FIRST_WAIT_S
            await self._pause(over, wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def _pause(self, over: Over, wait_s: float) -> None:
        """Wait before the next try: full jitter, so that a school's PCs do not return at one moment."""
        refused_s = over.retry_s or (REFUSED_WAIT_S if over.code in _SETTLED_CODES else 0)
        pause_s = refused_s * _between(0.75, 1.25) if refused_s else _between(0, wait_s)
        self._retry.clear()
        try:
            async with asyncio.timeout(pause_s):
                await self._retry.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_between(0, min(pause_s, FIRST_WAIT_S)))

    async def _one_stream(self) -> Over:
        """Connect and converse; why it ended."""
        self.state.tries += 1
        try:
            target = self._target()
        except (OSError, ValueError, AgentError) as error:
            return self._ended(Over("identity", f"{error}"))
        channel = grpc.aio.secure_channel(target.address, target.credentials(), target.options())
        try:
            await self._converse(channel)
            return self._ended(Over("closed", "the server ended the stream"))
        except Over as over:
            return self._ended(over)
        except grpc.aio.AioRpcError as error:
            peer = explain(error.code().name, error.details() or "", target.address)
            log.debug("stream failed", status=error.code().name, details=error.details())
            return self._ended(Over(peer.code, str(peer)))
        except TimeoutError:
            return self._ended(Over("unreachable", f"{target.address} did not answer within {WELCOME_WITHIN_S:g} s"))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return self._ended(Over("closed", "the stream was ended to begin anew"))
        except Exception as error:  # whatever it was, an agent that no longer tries is worse
            return self._ended(Over("internal", f"{type(error).__name__}: {error}"))
        finally:
            self.session = self._call = None
            await channel.close()

    async def _converse(self, channel: grpc.aio.Channel) -> None:
        attach = channel.stream_stream(
            ATTACH, request_serializer=link_pb2.Uplink.SerializeToString, response_deserializer=link_pb2.Downlink.FromString
        )
        session = Session(self._source)
        self._call = call = attach()
        speaker: asyncio.Task[None] | None = None
        try:
            await call.write(link_pb2.Uplink(hello=self._source.hello()))
            async with asyncio.timeout(WELCOME_WITHIN_S):
                while not session.is_welcome:
                    if not await self._hear(call, session):
                        return
            self._began(session)
            speaker = asyncio.create_task(self._say(call, session))
            while await self._hear(call, session):
                self._speak.set()
        finally:
            call.cancel()
            if speaker is not None:
                speaker.cancel()
                await asyncio.gather(speaker, return_exceptions=True)

    async def _hear(self, call: Stream, session: Session) -> bool:
        """Take one message; False at the stream's end."""
        said = await call.read()
        if not isinstance(said, link_pb2.Downlink):
            return False
        session.hear(said)
        return True

    async def _say(self, call: Stream, session: Session) -> None:
        """Say all there is to say, then wait for more. What stops it ends the stream, and is told by the hearing side."""
        try:
            while True:
                self._speak.clear()
                while (message := session.next()) is not None:
                    await call.write(message)
                await self._speak.wait()
        except Over as over:
            self._reason = over
            call.cancel()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return
        except Exception as error:
            self._reason = Over("internal", f"{type(error).__name__}: {error}")
            call.cancel()

    def _began(self, session: Session) -> None:
        self.session = session
        self.state.connected, self.state.code, self.state.text, self.state.tries = True, "", "", 0
        log.info("link up")
        self._changed()

    def _ended(self, over: Over) -> Over:
        over, self._reason = self._reason or over, None
        known = (self.state.connected, self.state.code) == (False, over.code)
        self.state.connected, self.state.code, self.state.text = False, over.code, str(over)
        (log.debug if known else log.warning)("link down", code=over.code, why=over)
        self._changed()
        return over
