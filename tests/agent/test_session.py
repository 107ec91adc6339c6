"""One stream's conversation, without a stream: order, windows, acknowledgements, and what is rejected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fettle_agent.session import MAX_EVENTS_UNDER_WAY, Over, Session
from fettle_agent.spool import Draft, Limits, Moment, Spool
from fettle_protocol.v1 import link_pb2


class Agent:
    """What a session needs of the agent, written down."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.spool = Spool(state, Moment("b", 0), Limits())
        self.heard: list[str] = []

    def record(self, count: int = 1) -> None:
        self.spool.record([Draft(link_pb2.Event(notice=link_pb2.Notice(code="n")), 1) for _ in range(count)])

    def hello(self) -> link_pb2.Hello:
        return link_pb2.Hello()

    def vitals(self) -> link_pb2.Vitals:
        return link_pb2.Vitals(at_ms=7)

    def hour_in_progress(self) -> link_pb2.History | None:
        return link_pb2.History(hour=1, pack=b"p")

    def now_ms(self) -> int:
        return 7

    def welcomed(self, welcome: link_pb2.Welcome) -> None:
        self.heard.append("welcome")

    def tell_again(self) -> None:
        self.heard.append("tell again")

    def heard_time(self, server_ms: int) -> None:
        self.heard.append(f"time {server_ms}")

    def take_policy(self, policy: link_pb2.Policy) -> None:
        self.heard.append(f"policy {policy.version}")

    def watch(self, seconds: int) -> None:
        self.heard.append(f"watch {seconds}")

    def told(self, code: str, text: str) -> None:
        self.heard.append(f"told {code}")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.spool.close()


def welcome(session: Session, events: int = 0, history: int = 0) -> None:
    session.hear(link_pb2.Downlink(welcome=link_pb2.Welcome(events_acked=events, history_acked=history)))


def said(session: Session) -> list[str]:
    """What it says until it has nothing more to say."""
    found = []
    while (up := session.next()) is not None:
        events = f"events {up.events[0].sequence}-{up.events[-1].sequence}" if up.events else ""
        hours = f"hour {up.history[0].sequence}" if up.history else ""
        found.append(events or hours or ("vitals" if up.HasField("vitals") else "live" if up.HasField("live") else "pong"))
    return found


def test_nothing_is_said_before_the_welcome_but_a_pong(agent: Agent) -> None:
    agent.record()
    session = Session(agent)
    session.hear(link_pb2.Downlink(ping=link_pb2.Ping(nonce=1)))
    assert said(session) == ["pong"]


def test_vitals_follow_a_policy_at_once(agent: Agent) -> None:
    session = Session(agent)
    welcome(session)
    assert said(session) == ["vitals"]
    session.hear(link_pb2.Downlink(policy=link_pb2.Policy(version=3)))
    assert said(session) == ["vitals"]


def test_events_go_before_all_else(agent: Agent) -> None:
    agent.record(2)
    agent.spool.put_hour(5, b"p")
    session = Session(agent)
    welcome(session)
    session.live, session.progress_due = link_pb2.Live(), True
    assert said(session) == ["events 1-2", "live", "vitals", "hour 1", "hour 0"]


def test_what_is_committed_already_is_not_said_again(agent: Agent) -> None:
    agent.record(3)
    agent.spool.sending("events", 3)
    session = Session(agent)
    welcome(session, events=2)
    assert said(session)[0] == "events 3-3"
    assert agent.spool.carried.events == 1


def test_unacknowledged_events_under_way_are_bounded(agent: Agent) -> None:
    agent.record(MAX_EVENTS_UNDER_WAY + 500)
    session = Session(agent)
    welcome(session)
    assert said(session)[-2] == f"events {MAX_EVENTS_UNDER_WAY - 199}-{MAX_EVENTS_UNDER_WAY}"
    session.hear(link_pb2.Downlink(ack=link_pb2.Ack(events=400, server_ms=9)))
    assert said(session) == ["events 2001-2200", "events 2201-2400"]
    assert agent.heard[-1] == "time 9"


def test_rejected_event_is_set_aside_before_its_acknowledgement_forgets_it(agent: Agent) -> None:
    agent.record(2)
    session = Session(agent)
    welcome(session)
    said(session)
    session.hear(link_pb2.Downlink(ack=link_pb2.Ack(events=2), rejected=[link_pb2.Rejected(sequence=2, reason="no")]))
    assert '"sequence": 2' in (agent.state / "dead-letters.jsonl").read_text()
    assert agent.spool.carried.events == 0


def test_rejected_hour_is_told_from_an_event_of_the_same_number(agent: Agent) -> None:
    agent.record()
    agent.spool.put_hour(5, b"the pack")
    session = Session(agent)
    welcome(session)
    said(session)
    session.hear(link_pb2.Downlink(ack=link_pb2.Ack(history=1), rejected=[link_pb2.Rejected(sequence=1, reason="no")]))
    assert b"the pack".hex() in (agent.state / "dead-letters.jsonl").read_text()
    assert (agent.spool.carried.events, agent.spool.carried.hours) == (1, 0)


def test_refusal_ends_the_conversation_with_the_servers_wish(agent: Agent) -> None:
    with pytest.raises(Over) as over:
        Session(agent).hear(link_pb2.Downlink(refusal=link_pb2.Refusal(code="busy", text="later", retry_after_s=9)))
    assert (over.value.code, over.value.retry_s) == ("busy", 9)


def test_numbers_from_another_copy_of_the_spool_end_it_under_a_new_name(agent: Agent) -> None:
    agent.record()
    name = agent.spool.id
    with pytest.raises(Over, match="new name"):
        welcome(Session(agent), events=50)
    assert agent.spool.id != name
    assert agent.spool.carried.events == 1


def test_numbers_of_another_copy_are_found_out_though_as_many_were_recorded_since(agent: Agent) -> None:
    agent.record(60)
    name = agent.spool.id
    with pytest.raises(Over, match="new name"):
        welcome(Session(agent), events=50)
    assert agent.spool.id != name
    assert agent.spool.carried.events == 60


def test_hours_of_another_copy_are_found_out_too(agent: Agent) -> None:
    agent.spool.put_hour(5, b"p")
    with pytest.raises(Over, match="new name"):
        welcome(Session(agent), history=1)
    assert agent.spool.carried.hours == 1


def test_numbers_that_were_said_before_a_kill_are_this_copys_own(agent: Agent) -> None:
    agent.record(3)
    session = Session(agent)
    welcome(session)
    said(session)
    welcome(Session(agent), events=3)
    assert agent.spool.carried.events == 0


def test_server_that_was_set_back_is_told_again_what_holds(agent: Agent) -> None:
    agent.record(3)
    session = Session(agent)
    welcome(session)
    said(session)
    session.hear(link_pb2.Downlink(ack=link_pb2.Ack(events=3)))
    welcome(Session(agent), events=3)
    assert "tell again" not in agent.heard
    welcome(Session(agent), events=1)
    assert "tell again" in agent.heard


def test_spool_that_was_begun_anew_ends_the_stream(agent: Agent) -> None:
    session = Session(agent)
    welcome(session)
    agent.spool.renew_id()
    with pytest.raises(Over, match="begun anew"):
        session.next()


def test_server_cannot_set_an_absurd_beat(agent: Agent) -> None:
    session = Session(agent)
    session.hear(link_pb2.Downlink(welcome=link_pb2.Welcome(vitals_every_s=1)))
    assert session.beat_s == 5
