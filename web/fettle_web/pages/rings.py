"""A rollout's rings as a picture: a mark for each PC where they are few, a bar for each school where they are many.

Owns marks, words and arithmetic of the picture. Pure: what it draws is handed in, and the templates draw it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fettle_server.change.rollouts.rules import TargetState

MARKS_MOST = 300
"""Up to so many PCs a ring shows each of them; above that, counts for each school."""
WIDTH = 100.0
_GAP = 0.4

WORDS = {
    "waiting": "Waiting",
    "released": "On its way",
    "received": "Received",
    "running": "Running",
    "restarting": "Restarting",
    "done": "Done",
    "sick": "Sick after it",
    "failed": "Failed",
    "silent": "Silent",
    "cancelled": "Left out",
}
"""The steps of a PC in their order, as people say them; the keys name the marks (templates/rollout_marks.html)."""
STATES = {
    "waiting": (TargetState.WAITING,),
    "running": (TargetState.RUNNING,),
    "done": (TargetState.CHANGED,),
    "sick": (TargetState.SICK,),
    "failed": (TargetState.FAILED,),
    "silent": (TargetState.SILENT,),
    "cancelled": (TargetState.WITHDRAWN, TargetState.GONE),
}
"""What a list can be asked for, by the mark that it shows."""
_BY_STATE = {state: mark for mark, states in STATES.items() for state in states}
_BY_JOB = {
    (TargetState.WAITING, "released"): "released",
    (TargetState.WAITING, "received"): "received",
    (TargetState.WAITING, "deferred"): "received",
    (TargetState.RUNNING, "restarting"): "restarting",
}


def step(state: TargetState, job_state: str = "") -> str:
    """The step at which a PC is, out of what came of it and its job's state."""
    return _BY_JOB.get((state, job_state), _BY_STATE[state])


@dataclass(frozen=True, slots=True)
class Mark:
    """One PC of a ring. `why` says why it has not run yet, or what came of it."""

    endpoint_id: str
    name: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar: its state, where it begins and how wide it is, of 100."""

    state: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A school's PCs in a ring, as one bar, with its words."""

    school_id: int
    school: str
    total: int
    words: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a ring shows: `counts` in the steps' order, and either marks or bars."""

    total: int
    counts: tuple[tuple[str, int], ...]
    marks: tuple[Mark, ...]
    bars: tuple[Bar, ...]

    @property
    def words(self) -> str:
        """The picture in words."""
        return ", ".join(f"{count} {WORDS[state].lower()}" for state, count in self.counts) or "no PC"


def draw(by_school: Mapping[tuple[int, str], Mapping[str, int]], marks: Iterable[Mark] = ()) -> Drawing:
    """The drawing of a ring from its counts by (school's id, name) and state, with the marks where they are to be shown."""
    totals: dict[str, int] = {}
    for counts in by_school.values():
        for state, count in counts.items():
            totals[state] = totals.get(state, 0) + count
    shown = tuple(marks)
    bars = () if shown else tuple(bar(key, name, counts) for (key, name), counts in sorted(by_school.items(), key=_by_name))
    return Drawing(sum(totals.values()), ordered(totals), shown, bars)


def ordered(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """The counts that are not nought, in the order of a PC's steps."""
    return tuple((state, counts[state]) for state in WORDS if counts.get(state))


def bar(school_id: int, school: str, counts: Mapping[str, int]) -> Bar:
    """The bar of one school."""
    total = sum(counts.values())
    said = [f"{counts.get('done', 0):,} of {total:,} done"]
    said += [f"{count:,} {WORDS[state].lower()}" for state, count in ordered(counts) if state in ("sick", "failed", "silent")]
    return Bar(school_id, school, total, ", ".join(said), parts(counts))


def parts(counts: Mapping[str, int]) -> tuple[Part, ...]:
    """The pieces of a bar, what is furthest first, so that it fills from the left; each that is there can be seen."""
    order = ("done", "sick", "failed", "silent", "restarting", "running", "received", "released", "cancelled", "waiting")
    total = sum(counts.values())
    made, x = [], 0.0
    for state in order:
        if not counts.get(state):
            continue
        width = WIDTH * counts[state] / total
        made.append(Part(state, round(x, 2), round(max(width - _GAP, 0.8), 2)))
        x += width
    return tuple(made)


def _by_name(item: tuple[tuple[int, str], Mapping[str, int]]) -> str:
    return item[0][1].casefold()
