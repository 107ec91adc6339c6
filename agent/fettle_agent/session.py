"""One stream's conversation: what to say next, and what to make of what was heard.

Owns the order of what is said and how much may be under way unacknowledged. Knows no sockets (link.py) and keeps no data of
its own beyond the stream: events and hours lie in the spool until they are acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fettle_protocol.v1 import link_pb2

from fettle_agent import deadletters, log
from fettle_agent.spool import Spool

MAX_EVENTS_UNDER_WAY = 2_000
MAX_HOURS_UNDER_WAY = 12
_MIN_BEAT_S, _MAX_BEAT_S = 5, 3_600


class Source(Protocol):
    """What the agent lends to its conversation."""

    state: Path
    spool: Spool

    def hello(self) -> link_pb2.Hello:
        """Who speaks."""

    def vitals(self) -> link_pb2.Vitals:
        """Every reading's newest value, as of now."""

    def hour_in_progress(self) -> link_pb2.History | None:
        """The hour under way, unnumbered."""

    def now_ms(self) -> int:
        """Now, by the best knowledge of the server's clock."""

    def welcomed(self, welcome: link_pb2.Welcome) -> None:
        """The server took the stream."""

    def heard_time(self, server_ms: int) -> None:
        """What the server's clock says, give or take the way it came."""

    def take_policy(self, policy: link_pb2.Policy) -> None:
        """Judge by this policy from now on."""

    def watch(self, seconds: int) -> None:
        """A page looks: readings each second for so long."""

    def prove(self, seconds: int) -> None:
        """The server wants to see the test fault for so long."""

    def take_jobs(self, jobs: Sequence[link_pb2.Job], cancelled: Sequence[link_pb2.CancelJob]) -> None:
        """Signed work, and what shall never be begun."""

    def wake_neighbours(self, macs: Sequence[bytes]) -> None:
        """Wake PCs on this one's own network segments."""

    def told(self, code: str, text: str) -> None:
        """The server said something that a person should see."""

    def tell_again(self) -> None:
        """The server lost what it had acknowledged, or never had it: tell it what still holds."""


class Over(Exception):
    """The conversation ends here; `retry_s` is the server's wish, 0 where the agent decides."""

    def __init__(self, code: str, text: str, retry_s: float = 0) -> None:
        super().__init__(text)
        self.code = code
        self.retry_s = retry_s


class Session:
    """The state of one stream, from Hello to its end."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._spool_id = source.spool.id
        self.is_welcome = False
        self.beat_s = 300
        self.vitals_due = True
        self.progress_due = False
        self.live: link_pb2.Live | None = None
        self._pongs: list[int] = []
        self._sent_event = self._acked_event = 0
        self._sent_hour = self._acked_hour = 0

    def next(self) -> link_pb2.Uplink | None:
        """The next message to send, None while there is nothing to say.

        Raises:
            Over: the spool took another name, so that its numbers start anew.
        """
        if self._pongs:
            return link_pb2.Uplink(pong=link_pb2.Pong(nonce=self._pongs.pop(0)))
        if not self.is_welcome:
            return None
        self._check_spool()
        return self._next_event() or self._next_live() or self._next_vitals() or self._next_hour()

    def _check_spool(self) -> None:
        if self._source.spool.id != self._spool_id:
            raise Over("spool", "the spool was begun anew")

    def _next_event(self) -> link_pb2.Uplink | None:
        if self._sent_event - self._acked_event >= MAX_EVENTS_UNDER_WAY or not self._source.spool.carried.events:
            return None
        batch = self._source.spool.events_after(self._sent_event)
        if not batch:
            return None
        self._sending("events", batch[-1].sequence)
        self._sent_event = batch[-1].sequence
        return link_pb2.Uplink(events=batch)

    def _sending(self, lane: str, sequence: int) -> None:
        self._source.spool.sending(lane, sequence)
        self._check_spool()

    def _next_live(self) -> link_pb2.Uplink | None:
        live, self.live = self.live, None
        return link_pb2.Uplink(live=live) if live else None

    def _next_vitals(self) -> link_pb2.Uplink | None:
        if not self.vitals_due:
            return None
        self.vitals_due = False
        return link_pb2.Uplink(vitals=self._source.vitals())

    def _next_hour(self) -> link_pb2.Uplink | None:
        if self._source.spool.carried.hours and self._sent_hour - self._acked_hour < MAX_HOURS_UNDER_WAY:
            hour = self._source.spool.hour_after(self._sent_hour)
            if hour is not None:
                self._sending("hours", hour.sequence)
                self._sent_hour = hour.sequence
                return link_pb2.Uplink(history=[hour])
        if not self.progress_due:
            return None
        self.progress_due = False
        progress = self._source.hour_in_progress()
        return link_pb2.Uplink(history=[progress]) if progress else None

    def hear(self, said: link_pb2.Downlink) -> None:
        """Act on what the server says.

        Raises:
            Over: the server refused, or the spool's numbers were used by another copy of it.
        """
        if said.HasField("refusal"):
            raise Over(said.refusal.code, said.refusal.text, said.refusal.retry_after_s)
        if said.HasField("welcome"):
            self._welcome(said.welcome)
        for rejected in said.rejected:  # before the acknowledgement that comes with it forgets them
            self._rejected(rejected, said.ack if said.HasField("ack") else None)
        if said.HasField("ack"):
            self._acknowledged(said.ack.events, said.ack.history)
            self._source.heard_time(said.ack.server_ms)
        if said.HasField("policy"):
            self._source.take_policy(said.policy)
            self.vitals_due = True  # they say by which policy it judges
        if said.HasField("watch"):
            self._source.watch(said.watch.seconds)
        if said.HasField("prove"):
            self._source.prove(said.prove.seconds)
        if said.jobs or said.cancelled:
            self._source.take_jobs(said.jobs, said.cancelled)
        if said.HasField("wake"):
            self._source.wake_neighbours(said.wake.macs)
        if said.HasField("ping"):
            self._pongs.append(said.ping.nonce)
        if said.HasField("told"):
            self._source.told(said.told.code, said.told.text)

    def _welcome(self, welcome: link_pb2.Welcome) -> None:
        spool = self._source.spool
        if welcome.events_acked > spool.sent("events") or welcome.history_acked > spool.sent("hours"):
            spool.renew_id()
            raise Over("spool", "the server knows more of this spool than it ever said: it goes on under a new name")
        if welcome.events_acked + 1 < spool.first_sequence():
            log.info("the server lacks events that are not kept any more", acked=welcome.events_acked)
            self._source.tell_again()
        self.is_welcome = True
        self.beat_s = min(max(welcome.vitals_every_s or self.beat_s, _MIN_BEAT_S), _MAX_BEAT_S)
        self._sent_event, self._sent_hour = welcome.events_acked, welcome.history_acked
        self._acknowledged(welcome.events_acked, welcome.history_acked)
        self._source.welcomed(welcome)

    def _acknowledged(self, events: int, history: int) -> None:
        if events <= self._acked_event and history <= self._acked_hour:
            return
        self._acked_event, self._acked_hour = max(events, self._acked_event), max(history, self._acked_hour)
        self._source.spool.acknowledge(self._acked_event, self._acked_hour)

    def _rejected(self, rejected: link_pb2.Rejected, ack: link_pb2.Ack | None) -> None:
        """Set aside what the server will never take.

        A number does not say which lane it belongs to. A rejected message counts as acknowledged, so the acknowledgement that
        comes with it tells: an event it is where that reaches so far, else an hour.
        """
        log.warning("the server rejected a message", sequence=rejected.sequence, reason=rejected.reason)
        if not rejected.sequence:
            return
        spool, is_event = self._source.spool, rejected.sequence <= (ack.events if ack else self._sent_event)
        body = spool.drop_event(rejected.sequence) if is_event else None
        if body is None and rejected.sequence <= self._sent_hour:
            body = spool.drop_hour(rejected.sequence)
        if body is not None:
            deadletters.set_aside(
                self._source.state, sequence=rejected.sequence, reason=rejected.reason, body=body, at_ms=self._source.now_ms()
            )
