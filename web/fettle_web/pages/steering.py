"""What a rollout's page says: where it stands in a sentence, what must happen next, what each act would do, and its rings.

Owns the words and puts the rings' drawings together. Does not answer requests (rollouts.py) nor draw (rings.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from fettle_protocol.manifests import Reboots
from fettle_server.change.manifests.views import ManifestRow
from fettle_server.change.rollouts import pictures, queries
from fettle_server.change.rollouts.rules import Plan, RingState, RolloutState, TargetState, When
from fettle_server.change.rollouts.views import RingView, RolloutView
from fettle_server.db import Connection
from fettle_server.estate.people.rules import Person
from markupsafe import Markup

from fettle_web.pages import rings
from fettle_web.words import day, moment, plural, span

WINDOWS_SHOWN = 8
STATE_WORDS = {
    RolloutState.DRAFT: "Not approved yet",
    RolloutState.READY: "Ready",
    RolloutState.RUNNING: "Running",
    RolloutState.PAUSED: "Paused",
    RolloutState.HALTED: "Halted",
    RolloutState.FINISHED: "Finished",
    RolloutState.CANCELLED: "Given up",
}
DONE = {
    "start": "It runs. The first ring begins as soon as its windows open.",
    "halt": "Halted. What had not begun is taken back, and an incident is open.",
    "pause": "Paused: nothing new begins.",
    "resume": "It goes on.",
    "cancel": "Given up. What was changed stays as it is.",
    "signatures": "The signatures are good and kept.",
}
_RING_MARKS = {
    RingState.WAITING: "waiting",
    RingState.RELEASED: "running",
    RingState.SOAKING: "received",
    RingState.PASSED: "done",
    RingState.HALTED: "failed",
}
_TOUCHED = (TargetState.CHANGED, TargetState.SICK, TargetState.FAILED, TargetState.RUNNING)
_REBOOTS = {
    Reboots.NEVER: "never",
    Reboots.IF_NEEDED: "where the system says that it must",
    Reboots.ALWAYS: "always, at the end",
}


@dataclass(frozen=True, slots=True)
class Next:
    """What must happen now. `must_sign`: an approver's signature is what it waits for."""

    title: str
    words: str
    more: str = ""
    must_sign: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """An act with what it would do, said before it is done. `label` is that of its reason, "" where it takes none."""

    deed: str
    title: str
    words: str
    verb: str
    key: str = ""
    label: str = ""
    is_needed: bool = False
    is_danger: bool = False
    any_time: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A ring as it is shown."""

    number: int
    name: str
    mark: str
    words: Markup
    is_now: bool
    is_halted: bool
    gate: str
    verdict: str
    drawing: rings.Drawing


@dataclass(frozen=True, slots=True)
class Opening:
    """A school's next window in words."""

    school_id: int
    school: str
    words: str


def sentence(view: RolloutView) -> str:
    """Where it stands: "Running, ring 2 of 4 (pilot room): 20 of 300 PCs done, 2 sick"."""
    row = view.row
    where = (
        f", ring {row.ring + 1} of {row.rings} ({row.ring_name})"
        if row.started_at and row.ring_name and not row.ended_at
        else ""
    )
    done = row.counts.get(TargetState.CHANGED, 0) + row.counts.get(TargetState.SICK, 0)
    parts = [f"{done:,} of {plural(row.total, 'PC')} done"]
    words = {TargetState.SICK: "sick after it", TargetState.FAILED: "failed", TargetState.SILENT: "silent"}
    parts += [f"{row.counts[state]:,} {text}" for state, text in words.items() if row.counts.get(state)]
    return f"{STATE_WORDS[row.state]}{where}: {', '.join(parts)}."


def what_next(view: RolloutView, signed: Sequence[ManifestRow]) -> Next:
    """What must happen next, or what keeps it."""
    row = view.row
    ring = next((one for one in view.rings if one.number == row.ring), None)
    unsigned = [one for one in signed if not one.is_signed]
    if row.state is RolloutState.DRAFT:
        return Next("What it waits for", "Its change is not approved yet; what is to be signed is made then.")
    if row.state is RolloutState.READY and row.manifest_id in {one.id for one in unsigned}:
        get = "An approver gets the signing commands, runs them where the key is, and brings back what they print."
        return Next("What it waits for", "It waits for the signature: no PC obeys it before.", get, must_sign=True)
    if row.state is RolloutState.READY:
        return Next("What it waits for", row.not_ready or "All is signed: it can be started.", must_sign=bool(unsigned))
    if row.state is RolloutState.HALTED:
        words = row.why or "It was halted."
        more = "Nothing that has not begun will begin. Undo it, or resume it with a reason once the cause is known."
        return Next("Halted", words, more, must_sign=bool(unsigned))
    if row.state is RolloutState.PAUSED:
        return Next("Paused", row.why or "Nothing new begins.", "What had begun goes on to its end.")
    if row.state is RolloutState.RUNNING:
        return Next(
            "What happens next", (ring.next_step if ring else "") or row.why or "It looks at its PCs every two seconds."
        )
    return Next(STATE_WORDS[row.state], row.why or "Nothing more happens by itself.")


def asks(view: RolloutView, signed: Sequence[ManifestRow]) -> tuple[Ask, ...]:
    """The acts that make sense now, but for the start, which needs no reason."""
    counts, change = view.row.counts, view.row.change_id
    waiting, running = counts.get(TargetState.WAITING, 0), counts.get(TargetState.RUNNING, 0)
    touched = sum(
        counts.get(state, 0) for state in (TargetState.CHANGED, TargetState.SICK, TargetState.FAILED, TargetState.RUNNING)
    )
    ready = any(one.purpose == "back out" and one.is_signed for one in signed)
    signature = "It is signed already, so it begins at once." if ready else "It needs a signature of its own before it begins."
    halted = view.row.state is RolloutState.HALTED
    every = (
        Ask(
            "halt", "Halt it…",
            f"{_not_begun(waiting)}. {_at_it(running)} An incident is opened and linked to change {change}. What is done stays "
            "done until it is backed out.",
            "Halt it now", "h", "Why, if it needs saying", is_danger=True,
        ),
        Ask(
            "pause", "Pause it…", f"Nothing new begins until it is resumed. {_at_it(running)}", "Pause it", "p",
            "Why, if it needs saying",
        ),
        Ask(
            "resume", "Resume it…",
            "It goes on where it stopped, and the gate counts anew from now: what was held against it is forgotten."
            if halted else "It goes on where it stopped.",
            "Resume it", "e", "Why it may go on", is_needed=True,
        ),
        Ask(
            "back out", "Undo it…",
            f"A rollout of its own brings back what was there before, on the {plural(touched, 'PC')} that it touched. "
            f"{signature}",
            "Undo it", "b", "Why", is_needed=True, is_danger=True, any_time=True,
        ),
        Ask(
            "cancel", "Give it up…", f"{_not_begun(waiting)}, and its manifest is withdrawn. This cannot be undone.",
            "Give it up", "", "Why", is_needed=True, is_danger=True,
        ),
    )  # fmt: skip
    return tuple(one for one in every if one.deed in view.may)


def _not_begun(count: int) -> str:
    if not count:
        return "No PC waits, so nothing is taken back"
    return f"{plural(count, 'PC')} that {'has' if count == 1 else 'have'} not begun will not begin"


def _at_it(count: int) -> str:
    if not count:
        return ""
    return f"{plural(count, 'PC')} at it now {'goes' if count == 1 else 'go'} on to {'its' if count == 1 else 'their'} end."


def columns(
    tx: Connection, person: Person, view: RolloutView, cells: Sequence[pictures.Cell], now: dt.datetime
) -> tuple[Column, ...]:
    """The rings as pictures: counted from the cells, and the PCs of small ones by one read each."""
    counted: dict[int, dict[tuple[int, str], dict[str, int]]] = {}
    for cell in cells:
        counts = counted.setdefault(cell.ring, {}).setdefault((cell.school_id, cell.school), {})
        mark = rings.step(cell.state, cell.job_state)
        counts[mark] = counts.get(mark, 0) + cell.count
    return tuple(_column(tx, person, view, ring, counted.get(ring.number, {}), now) for ring in view.rings)


def _column(
    tx: Connection,
    person: Person,
    view: RolloutView,
    ring: RingView,
    by_school: dict[tuple[int, str], dict[str, int]],
    now: dt.datetime,
) -> Column:
    total = sum(sum(counts.values()) for counts in by_school.values())
    shown: tuple[rings.Mark, ...] = ()
    if 0 < total <= rings.MARKS_MOST:
        rows = queries.targets(tx, person, view.row.id, now, ring=ring.number, limit=rings.MARKS_MOST).rows
        shown = tuple(
            rings.Mark(row.endpoint_id, row.name, rings.step(row.state, row.job_state), row.why)
            for row in rows
            if row.state is not TargetState.GONE
        )
    return Column(
        ring.number, ring.name, _RING_MARKS[ring.state], _clock(view, ring), _is_now(view, ring),
        ring.state is RingState.HALTED, ring.gate.why, ring.gate.verdict, rings.draw(by_school, shown),
    )  # fmt: skip


def _is_now(view: RolloutView, ring: RingView) -> bool:
    return ring.number == view.row.ring and view.row.started_at is not None and view.row.ended_at is None


def _clock(view: RolloutView, ring: RingView) -> Markup:
    """The ring's clock in words."""
    if ring.state is RingState.PASSED and ring.passed_at:
        return Markup("Passed {}").format(moment(ring.passed_at))
    if ring.state is RingState.HALTED:
        return Markup("Halted {}").format(moment(view.row.halted_at)) if view.row.halted_at else Markup("Halted")
    if ring.state is RingState.SOAKING and ring.soaks_until:
        return Markup("All are through; it soaks, until {}").format(moment(ring.soaks_until))
    if ring.released_at:
        silent = Markup("; silent after {}").format(moment(ring.deadline_at)) if ring.deadline_at else ""
        return Markup("Let go {}{}").format(moment(ring.released_at), silent)
    return Markup("Not let go yet")


def plan_words(plan: Plan) -> tuple[tuple[str, str], ...]:
    """The plan, a line for each thing that somebody may ask."""
    soaks = {ring.name: span(ring.soak_s) if ring.soak_s else "not" for ring in plan.rings}
    said = "; ".join(f"{ring.name} {ring.share_percent} %, soaks {soaks[ring.name]}" for ring in plan.rings)
    when = "in each place’s windows" if plan.when is When.WINDOWS else "at any time, but never in an exam or a freeze"
    people = plan.people
    warning = f"{span(people.warn_s)} before; may be put off {plural(people.deferrals, 'time')}, by {span(people.defer_s)}"
    return (
        ("Rings", said),
        ("When", when),
        ("Restarts", _REBOOTS[Reboots(people.reboots)]),
        ("Warns", warning),
        ("Spread", f"over {span(plan.stagger_s)} in each school" if plan.stagger_s else "all of a school at once"),
        ("Needs", f"{plan.needs.free_bytes / 1e9:.1f} GB free, {plan.needs.charge_percent} % of charge or mains"),
        ("Wakes PCs", "by a neighbour in the same room" if plan.wake else "no"),
    )


def next_windows(tx: Connection, view: RolloutView, cells: Sequence[pictures.Cell], now: dt.datetime) -> list[Opening]:
    """When the schools open next in which PCs have not begun, soonest first."""
    if view.row.ended_at or view.plan.when is not When.WINDOWS:
        return []
    waiting = {cell.school_id: cell.school for cell in cells if cell.state is TargetState.WAITING}
    opening = queries.windows_at(tx, waiting, now)
    first = sorted(opening, key=lambda one: (opening[one][0], waiting[one].casefold()))[:WINDOWS_SHOWN]
    return [Opening(one, waiting[one], window_words(*opening[one], now)) for one in first]


def window_words(start: dt.datetime, end: dt.datetime, zone: ZoneInfo, now: dt.datetime) -> str:
    """A window by the school's own clock: "Tue 24 Nov, 16:30 to 22:00"; "open now, until 22:00"."""
    begins, ends = start.astimezone(zone), end.astimezone(zone)
    until = f"{ends:%H:%M}" if ends.date() == begins.date() else f"{day(ends.date())}, {ends:%H:%M}"
    if start <= now:
        return f"open now, until {until}"
    return f"{day(begins.date())}, {begins:%H:%M} to {until}"
