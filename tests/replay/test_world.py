"""The played world: the same from the same seed, and ignorant of everything that judges it."""

from __future__ import annotations

import ast
import datetime as dt
from pathlib import Path

import pytest
from replay.world import causes, terms
from replay.world.estate import Kind
from replay.world.life import End, Start
from replay.world.world import Plan, World

WORLD = Path(terms.__file__).parent
PLAN = Plan(seed=5, schools=2, pcs=60, days=20, lead=3, tail=2, scale=6.0)


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", sorted(WORLD.glob("*.py")), ids=lambda path: path.name)
def test_the_world_knows_no_rules_no_agent_and_no_server(path: Path) -> None:
    foreign = {name for name in _imports(path) if name.startswith("fettle") or name in ("replay", "sqlalchemy")}
    beyond = {name for name in _imports(path) if name.startswith("replay.") and not name.startswith("replay.world")}
    assert not foreign | beyond


def _told(world: World) -> list[object]:
    days = [sorted(world.day(date).items()) for date in world.dates()]
    return [[(place, day.on, day.bends, day.cut_off) for place, day in days] for days in days] + [
        (cause.kind, cause.start, cause.felt_at) for cause in world.causes
    ]


def test_the_same_seed_is_the_same_world() -> None:
    assert _told(World(PLAN)) == _told(World(PLAN))


def test_another_seed_is_another_world() -> None:
    assert World(PLAN).causes != World(Plan(6, 2, 60, 20, 3, 2, 6.0)).causes


def test_times_of_being_on_follow_each_other_and_join_from_day_to_day() -> None:
    world = World(PLAN)
    still_on: set[int] = set()
    for date in world.dates():
        days = world.day(date)
        for place, day in days.items():
            assert all(one.start < one.end for one in day.on)
            assert all(one.end <= two.start for one, two in zip(day.on, day.on[1:], strict=False))
            if day.on[0].how is Start.ALREADY and world.estate.pcs[place].kind is not Kind.SERVER:
                assert place in still_on
        still_on = {place for place, day in days.items() if day.on[-1].over is End.STAYS}


def test_nobody_uses_a_suite_in_the_holidays() -> None:
    world = World(Plan(seed=3, schools=1, pcs=60, days=130, lead=0, tail=0))
    for date in world.dates():
        kinds = {world.estate.pcs[place].kind for place in world.day(date)}
        if dt.date(2025, 12, 23) <= date <= dt.date(2026, 1, 4):
            assert Kind.TROLLEY not in kinds


def test_a_dead_machine_is_never_on() -> None:
    world = World(Plan(seed=8, schools=1, pcs=100, days=30, lead=0, tail=5, scale=30))
    dead = {place: spans for place, spans in world.script.dead.items() if spans}
    assert dead
    for date in world.dates():
        for place, day in world.day(date).items():
            for start, end in dead.get(place, ()):
                assert all(on.end <= start or on.start >= end for on in day.on)


def _world_of(kind: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which only that goes wrong with machines."""
    monkeypatch.setattr(causes, "PER_PC", {kind: 2.0})
    for others in ("PER_SCHOOL", "PER_ESTATE"):
        monkeypatch.setattr(causes, others, dict.fromkeys(getattr(causes, others), 0.0))
    return World(Plan(seed=8, schools=1, pcs=100, days=150, lead=0, tail=60))


def test_what_is_seldom_used_is_mended_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = _world_of("overheating", monkeypatch)
    lasted: dict[bool, list[float]] = {True: [], False: []}
    for cause in world.causes:
        if cause.kind == "overheating":
            share = world.estate.share_of_use(world.estate.pcs[min(cause.pcs)])
            lasted[share > 0.7].append(cause.end - cause.start)
    often, seldom = (sum(spans) / len(spans) for spans in (lasted[True], lasted[False]))
    assert often * 1.2 < seldom


def test_a_disk_that_fills_hinders_nobody_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    world = _world_of("disk filling", monkeypatch)
    filling = [cause for cause in world.causes if cause.kind == "disk filling"]
    assert filling
    for cause in filling:
        (bend,) = (bend for bend in world.script.bends[min(cause.pcs)] if bend.start == cause.start)
        assert max(value for at, value in bend.values if at > cause.harms_from) < causes.HINDERS_FREE
        assert min(value for at, value in bend.values if at < cause.harms_from) >= causes.HINDERS_FREE


def test_a_start_is_only_slow_where_the_machine_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    world = _world_of("start slow", monkeypatch)
    days = [day for date in world.dates() for day in world.day(date).values()]
    starts = {on.start for day in days for on in day.on if on.how is Start.BOOT}
    felt = {cause.felt_at for cause in world.causes if cause.kind == "start slow"} - {None}
    assert felt
    assert felt <= starts
