"""What pages read of rollouts, windows and freezes, and what people of some schools see of them."""

from __future__ import annotations

from fettle_server.change.jobs import queries as jobs
from fettle_server.change.rollouts import pictures, queries, settings, ticking
from fettle_server.change.rollouts.settings import Span
from fettle_server.estate.calendars.queries import HOME
from fettle_server.estate.people.rules import SYSTEM, Person, Role

from tests.server.change.rollouts.conftest import DAY, HOUR, MINUTE

STRANGER = Person(9, "sam", Role.TECHNICIAN, frozenset({99}))


def test_a_rollout_reads_the_same_for_pages_and_not_at_all_for_strangers(stored_scene):
    scene = stored_scene
    scene.pcs(5)
    scene.rollout()
    scene.tick()
    scene.take(scene.in_ring(0))
    scene.tick(MINUTE)
    with scene.store.begin() as tx:
        assert ticking.live(tx, scene.now) == [scene.id]
        found = queries.rollout(tx, SYSTEM, scene.id, scene.now)
        first = queries.targets(tx, SYSTEM, scene.id, scene.now, limit=2)
        rest = queries.targets(tx, SYSTEM, scene.id, scene.now, after=first.after)
        assert [row.row.id for row in (found,)] == [row.id for row in queries.rollouts(tx, SYSTEM, scene.now).rows]
        assert queries.rollout(tx, STRANGER, scene.id, scene.now) is None
        assert queries.rollouts(tx, STRANGER, scene.now).rows == ()
        assert queries.targets(tx, STRANGER, scene.id, scene.now).rows == ()
        assert (pictures.cells(tx, STRANGER, scene.id), pictures.pulse(tx, STRANGER, scene.id)) == ([], ())
        assert sum(cell.count for cell in pictures.cells(tx, SYSTEM, scene.id)) == 5
        assert jobs.of_rollout(tx, STRANGER, scene.id).rows == ()
        assert jobs.job(tx, STRANGER, jobs.of_rollout(tx, SYSTEM, scene.id).rows[0].uid) is None
        mine = queries.of_endpoint(tx, first.rows[0].endpoint_pk)
    assert found.may == ("pause", "halt", "back out", "cancel")
    assert found.rings[0].gate.seen_needed == 1
    assert [row.ring_name for row in (*first.rows, *rest.rows)] == ["bench", "all", "all", "all", "all"]
    assert {row.why for row in rest.rows} == {"Its ring, all, has not begun: the ring bench comes first."}
    assert [(one.rollout_id, one.ring_name, one.state) for one in mine] == [(scene.id, "bench", "changed")]


def test_a_sick_pcs_new_faults_are_told_by_their_rules_titles(scene):
    scene.pcs(5)
    scene.rollout()
    scene.tick()
    bench = scene.in_ring(0)
    scene.take(bench)
    scene.tick(MINUTE)
    scene.fall_ill(bench, "disk-full", instance="C:")
    scene.fall_ill(bench, "no-such-rule-now")
    scene.fall_ill(bench, instance="Print Spooler")
    scene.tick(MINUTE)
    with scene.store.begin() as tx:
        row = queries.targets(tx, SYSTEM, scene.id, scene.now, ring=0).rows[0]
        waiting = queries.targets(tx, SYSTEM, scene.id, scene.now, ring=1).rows[0]
    assert row.why == "It took the change. Since then: Disk C: is full; no-such-rule-now; Service Print Spooler has stopped."
    assert waiting.why == "The rollout is halted. 1 of 1 is sick after the update, limit 0."  # and not all that its gate says
    assert row.sick == ("disk-full C:", "no-such-rule-now", "service-stopped Print Spooler")


def test_windows_freezes_and_places_are_set_and_read(stored_scene):
    scene = stored_scene
    room = scene.room()
    with scene.store.begin() as tx:
        span = Span((0, 1), 17 * 60, 22 * 60)
        number = settings.add_window(tx, SYSTEM, span, scene.now, school_id=scene.school)
        frozen = settings.freeze(tx, SYSTEM, "Mocks", scene.now, scene.now + DAY, scene.now, room_id=room)
        place = settings.place_in_ring(tx, SYSTEM, "bench", scene.now, room_id=room)
        assert [row.id for row in queries.windows(tx, SYSTEM)] == [number]
        assert [(row.id, row.school_id) for row in queries.freezes(tx, SYSTEM, scene.now)] == [(frozen, scene.school)]
        assert [row.id for row in queries.ring_places(tx, SYSTEM)] == [place]
        assert queries.windows(tx, STRANGER) == []
        start, end = queries.next_windows(tx, scene.school, scene.now, 1)[0]
        assert end - start == 5 * HOUR
        assert queries.windows_at(tx, (scene.school, 99), scene.now) == {scene.school: (start, end, HOME)}
        settings.end_freeze(tx, SYSTEM, frozen, scene.now)
        settings.drop_window(tx, SYSTEM, number, scene.now)
        settings.drop_ring_place(tx, SYSTEM, place, scene.now)
        assert not (queries.windows(tx, SYSTEM))
        assert not (queries.freezes(tx, SYSTEM, scene.now))
        assert not (queries.ring_places(tx, SYSTEM))
