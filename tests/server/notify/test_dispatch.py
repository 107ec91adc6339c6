"""What becomes of messages: who is told, together with what, when, and what is taken back."""

from __future__ import annotations

import sqlalchemy as sa
from fettle_server.notify import dispatch, editing, queries, sending, wording
from fettle_server.notify.rules import Digest
from fettle_server.notify.sending import Result
from fettle_server.notify.tables import Outbox, Route
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def test_an_incident_is_told_once_it_is_settled(desk):
    desk.route()
    desk.say()
    desk.look()
    assert desk.send() == []
    (notice,) = desk.later(seconds=61)
    assert wording.subject(notice) == "Opened, priority 2: School 1: Disk of pc-1 is full (incident 1)"
    assert notice.lines[0].url == "https://fettle.example/incidents/1"
    assert desk.later(hours=1) == []


def test_a_storm_at_a_school_is_one_message(desk):
    desk.route()
    for number in range(1, 31):
        desk.say(number=number)
        desk.later(seconds=1)
    (notice,) = desk.later(seconds=61)
    assert len(notice.threads) == 30
    assert desk.states() == ["sent"]


def test_incidents_of_two_schools_are_two_messages(desk):
    desk.route()
    desk.say(number=1, school=1)
    desk.say(number=2, school=2)
    desk.look()
    assert len(desk.later(seconds=61)) == 2


def test_over_goes_only_where_opened_went(desk):
    desk.route(priorities=(1, 2))
    desk.route(priorities=(3,))
    desk.say()
    desk.later(seconds=61)
    desk.later(seconds=61)
    desk.say("resolved", priority=3)
    desk.look()
    (notice,) = desk.later(seconds=61)
    assert notice.lines[0].kind == "incident.resolved"
    assert [wording.subject(seen).split(",")[0] for seen in desk.seen] == ["Opened", "Over"]


def test_over_before_told_takes_both_back(desk):
    desk.route()
    desk.say()
    desk.look()
    desk.say("resolved")
    desk.look()
    assert desk.later(hours=1) == []
    assert desk.states() == ["cancelled"]
    assert ("cancelled", "not sent: over before it was told") in desk.story()


def test_one_of_a_storm_that_is_over_is_taken_out_of_it(desk):
    desk.route()
    desk.say(number=1)
    desk.say(number=2)
    desk.look()
    desk.say("resolved", number=1)
    desk.look()
    (notice,) = desk.later(seconds=61)
    assert (notice.threads, notice.came_and_went) == ((2,), 1)


def test_over_follows_a_notice_that_may_have_arrived(desk):
    channel = desk.channel()
    desk.route(channel)
    desk.say()
    desk.look()
    desk.now += dispatch.rules.SETTLE
    desk.note(desk.claim(channel), Result(False, "no answer", in_vain=False, is_down=True))
    desk.say("resolved")
    desk.look()
    desk.later(hours=1)
    assert [notice.lines[0].kind for notice in desk.seen] == ["incident.opened", "incident.resolved"]


def test_reopened_after_over_is_told_again(desk):
    desk.route()
    for kind in ("opened", "resolved", "reopened", "resolved"):
        desk.say(kind)
        desk.look()
        desk.later(seconds=61)
    assert [notice.lines[0].kind.partition(".")[2] for notice in desk.seen] == ["opened", "resolved", "reopened", "resolved"]


def test_back_before_its_end_was_told_says_neither(desk):
    desk.route()
    desk.say()
    desk.look()
    desk.later(seconds=61)
    for kind in ("resolved", "reopened"):
        desk.say(kind)
        desk.look()
    assert desk.later(seconds=61) == []
    desk.say("resolved")
    desk.look()
    assert [notice.lines[0].kind for notice in desk.later(seconds=61)] == ["incident.resolved"]


def test_a_digest_gathers_until_its_time(desk):
    desk.route(digest=Digest.DAILY)
    for number in (1, 2, 3):
        desk.say(number=number, school=number)
        desk.later(hours=1)
    (notice,) = desk.later(hours=20)
    assert notice.kind == "digest"
    assert wording.subject(notice) == "3 notices at 3 schools, the worst of priority 2"


def test_the_rest_is_what_no_other_route_takes(desk):
    desk.route(priorities=(1, 2))
    desk.route(rest=True)
    desk.say(number=1, priority=2)
    desk.say(number=2, priority=5, school=2)
    desk.look()
    assert len(desk.later(seconds=61)) == 2
    assert ("skipped", "the route is for the rest, and another route takes it") in desk.story(1)
    assert ("skipped", "the route is for priority 1 and 2, this is priority 5") in desk.story(2)


def test_nobody_acknowledges_and_the_next_is_told(desk):
    second = desk.route(priorities=(1,))
    desk.route(escalate_to=second, escalate_after_min=15)
    desk.unanswered = {1}
    desk.say()
    desk.look()
    desk.later(seconds=61)
    (notice,) = desk.later(minutes=16)
    assert wording.subject(notice).startswith("Nobody has acknowledged, priority 2")
    assert desk.later(hours=3) == []


def test_who_acknowledges_in_time_escalates_nothing(desk):
    second = desk.route(priorities=(1,))
    desk.route(escalate_to=second, escalate_after_min=15)
    desk.say()
    desk.look()
    desk.later(seconds=61)
    assert desk.later(minutes=16) == []
    assert ("escalation", "not told: it was acknowledged or over in time") in desk.story()


def test_an_incident_of_several_schools_reaches_the_routes_of_each(desk):
    desk.route(schools=frozenset({2}))
    desk.route(schools=frozenset({3}))
    desk.say(school=None)
    desk.look()
    assert len(desk.later(seconds=61)) == 1


def test_without_routes_nothing_is_sent_and_that_is_known(desk):
    desk.say()
    desk.look()
    with desk.store.begin() as tx:
        assert not queries.is_configured(tx)
        assert not dispatch.is_anything_new(tx, desk.now)
    assert desk.states() == []


def test_a_claim_that_nobody_noted_is_sent_again_with_the_same_key(desk):
    channel = desk.channel()
    desk.route(channel)
    desk.say()
    desk.look()
    desk.now += dispatch.rules.SETTLE
    first = desk.claim(channel)
    assert desk.claim(channel) is None
    desk.now += sending.CLAIM
    assert desk.claim(channel).notice.key == first.notice.key


def test_a_receiver_that_is_down_holds_up_its_own_channel_only(desk):
    down, up = desk.channel(name="down"), desk.channel(name="up")
    desk.route(down)
    desk.route(up)
    desk.say()
    desk.look()
    desk.now += dispatch.rules.SETTLE
    desk.note(desk.claim(down), Result(False, "refused", in_vain=True, is_down=True))
    with desk.store.begin() as tx:
        assert sending.due_channels(tx, desk.now) == [(up, "log")]


def test_after_two_days_it_is_given_up_in_words(desk):
    channel = desk.channel()
    desk.route(channel)
    desk.say()
    desk.look()
    desk.now += dispatch.rules.SETTLE
    while parcel := desk.claim(channel):
        desk.note(parcel, Result(False, "gone away", in_vain=True, is_down=True))
        desk.now += dispatch.dt.timedelta(hours=1)
    assert desk.states() == ["expired"]
    assert any(text.endswith("tries: gone away") for _, text in desk.story())


def test_a_removed_channel_sends_nothing_more_and_forgets_its_secret(desk):
    channel = desk.channel()
    desk.route(channel)
    desk.say()
    desk.look()
    with desk.store.begin() as tx:
        editing.remove_channel(tx, "user:ada", channel, desk.now)
        assert queries.routes(tx) == ()
    assert desk.later(hours=1) == []


def test_old_notices_are_dropped_and_those_to_come_are_kept(desk):
    desk.route()
    desk.say()
    desk.look()
    desk.later(seconds=61)
    desk.say(number=2)
    with desk.store.begin() as tx:
        sending.drop_before(tx, desk.now + dispatch.dt.timedelta(days=1), 100)
    assert desk.states() == []
    assert desk.store.value(sa.select(Outbox.incident_number)) == 2


@settings(
    max_examples=8, derandomize=True, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.integers(0, 120)), max_size=14))
def test_every_notice_that_was_sent_is_followed_by_exactly_one_over(quick_desk, events):
    desk = quick_desk
    _empty(desk)
    desk.route()
    is_open = dict.fromkeys((1, 2, 3), False)
    for number, _, wait_s in events:
        desk.say("resolved" if is_open[number] else "opened", number=number)
        is_open[number] = not is_open[number]
        desk.later(seconds=wait_s)
    desk.later(seconds=120)
    for number in is_open:
        kinds = [line.kind for notice in desk.seen for line in notice.lines if line.number == number]
        assert kinds == (["incident.opened", "incident.resolved"] * 9)[: len(kinds)]
        assert bool(len(kinds) % 2) == is_open[number]


def _empty(desk) -> None:
    from fettle_server.notify.tables import Channel, Delivery, DeliveryItem, Route, Skip

    desk.seen.clear()
    with desk.store.begin() as tx:
        for table in (DeliveryItem, Delivery, Skip, Route, Channel, Outbox):
            tx.execute(sa.delete(table))


def test_a_route_that_cannot_be_read_keeps_no_other_from_telling(desk):
    broken, _ = desk.route(), desk.route()
    with desk.store.begin() as tx:
        tx.execute(sa.update(Route).where(Route.id == broken).values(wanted={"when": "a word of a later release"}))
    desk.say()
    desk.look()
    assert len(desk.later(seconds=61)) == 1
