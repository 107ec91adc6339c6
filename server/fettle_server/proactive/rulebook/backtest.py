"""What a rule would have raised: stored hours folded by the very step function that agents run. Pure: packs in, episodes out.

History keeps the mean of each minute, so a duration is seen to the minute. Most hours never come near a level: their lowest
and highest in the pack's directory say so, and their minutes are never decoded.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fettle_protocol import catalogue, packing
from fettle_protocol.packing import PackError, Series, SeriesKey
from fettle_protocol.policy import Rule
from fettle_protocol.rules import WELL, Cleared, Direction, Levels, Phase, Raised, State, step

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
EXAMPLES = 12
_LEAST_GAP_MS = 2 * MINUTE_MS  # readings of history lie a minute apart, whatever they were taken at
_DAY_MS = 86_400_000


class Episode(NamedTuple):
    """One fault that would have been: when the reading crossed, when it would have been raised and cleared (None: open)."""

    instance: str
    since_ms: int
    raised_ms: int
    cleared_ms: int | None


class Place(NamedTuple):
    """An endpoint of the sample."""

    pk: int
    id: str
    name: str
    school_id: int
    school: str
    system: str
    endpoint_class: str


@dataclass(frozen=True, slots=True)
class Example:
    """An episode with whose it is."""

    endpoint_id: str
    name: str
    school: str
    instance: str
    since: dt.datetime
    raised: dt.datetime
    cleared: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule would have raised. `days` has a count for every day of the span; `examples` are the longest first."""

    faults: int
    endpoints: int
    schools: int
    days: tuple[tuple[dt.date, int], ...]
    longest_s: float
    examples: tuple[Example, ...]


@dataclass(slots=True)
class _Eye:
    """One rule on one instance."""

    levels: Levels
    state: State = WELL
    episodes: list[Episode] = field(default_factory=list)
    raised: tuple[int, int] | None = None

    def is_idle(self, one: Series) -> bool:
        """True where the hour cannot change what the rule thinks, going by its lowest and highest alone."""
        levels = self.levels
        is_above = levels.direction is Direction.ABOVE
        if self.state.phase is Phase.WELL:
            return one.highest < levels.raise_level if is_above else one.lowest > levels.raise_level
        if self.state.phase is Phase.RAISED:
            return one.lowest > levels.clear_level if is_above else one.highest < levels.clear_level
        return False

    def pass_over(self, end_ms: int) -> None:
        """Take the hour as read."""
        self.state = dataclasses.replace(self.state, seen_ms=end_ms)

    def fold(self, values: Sequence[float | None], start_ms: int) -> None:
        """Take the hour minute by minute."""
        for slot, value in enumerate(values):
            if value is None:
                continue
            now_ms = start_ms + slot * MINUTE_MS
            self.state, decision = step(self.state, self.levels, value, now_ms)
            if isinstance(decision, Raised):
                self.raised = (decision.since_ms, now_ms)
            elif isinstance(decision, Cleared) and self.raised is not None:
                self.episodes.append(Episode("", *self.raised, now_ms))
                self.raised = None

    def ended(self) -> list[Episode]:
        """All episodes, the open one last."""
        return [*self.episodes, Episode("", *self.raised, None)] if self.raised else self.episodes


def judged(rule: Rule, system: str, endpoint_class: str) -> bool:
    """True where the rule would judge that endpoint at all."""
    return rule.enabled and system in rule.systems and (not rule.classes or endpoint_class in rule.classes)


def episodes(rules: Sequence[Rule], place: Place, hours: Iterable[tuple[int, bytes]]) -> tuple[list[list[Episode]], int]:
    """For each rule the episodes of one endpoint, from its packed hours (oldest first); and how many minutes-decodings it took.

    All rules must look at one reading. A damaged hour is passed over.
    """
    wanted = [judged(rule, place.system, place.endpoint_class) for rule in rules]
    if not any(wanted):
        return [[] for _ in rules], 0
    number = catalogue.BY_KEY[rules[0].reading].number
    eyes: dict[str, list[_Eye | None]] = {}
    decoded = 0
    for hour, pack in hours:
        try:
            decoded += _take_hour(rules, wanted, eyes, (number, hour, pack), place.system)
        except PackError:
            continue
    return [_of(eyes, index) for index in range(len(rules))], decoded


def _take_hour(
    rules: Sequence[Rule],
    wanted: Sequence[bool],
    eyes: dict[str, list[_Eye | None]],
    packed: tuple[int, int, bytes],
    system: str,
) -> int:
    number, hour, pack = packed
    start_ms = hour * HOUR_MS
    crossing: set[SeriesKey] = set()
    for one in packing.summaries(pack, (number,)):
        instance = one.key[1]
        if instance not in eyes:
            eyes[instance] = [
                _Eye(_levels(rule)) if want and rule.applies_to(system, instance) else None
                for rule, want in zip(rules, wanted, strict=True)
            ]
        present = [eye for eye in eyes[instance] if eye is not None]
        if present and not all(eye.is_idle(one) for eye in present):
            crossing.add(one.key)
            continue
        for eye in present:
            eye.pass_over(start_ms + HOUR_MS - MINUTE_MS)
    if not crossing:
        return 0
    for one in packing.unpack(pack, crossing):
        if one.key in crossing:
            for each in eyes[one.key[1]]:
                if each is not None:
                    each.fold(one.values, start_ms)
    return 1


def _levels(rule: Rule) -> Levels:
    levels = rule.levels
    return dataclasses.replace(levels, gap_ms=max(levels.gap_ms, _LEAST_GAP_MS))


def _of(eyes: dict[str, list[_Eye | None]], index: int) -> list[Episode]:
    found = []
    for instance, several in eyes.items():
        eye = several[index]
        if eye is not None:
            found += [episode._replace(instance=instance) for episode in eye.ended()]
    return sorted(found, key=lambda episode: episode.raised_ms)


class Tally:
    """Gathers the episodes of many endpoints into an Outcome."""

    def __init__(self, start_ms: int, end_ms: int) -> None:
        self._start_ms, self._end_ms = start_ms, end_ms
        self._count = 0
        self._endpoints: set[int] = set()
        self._schools: set[int] = set()
        self._days: Counter[int] = Counter()
        self._kept: list[tuple[int, Place, Episode]] = []

    def add(self, place: Place, found: Sequence[Episode]) -> None:
        """Take in what one endpoint would have had."""
        for episode in found:
            self._count += 1
            self._endpoints.add(place.pk)
            self._schools.add(place.school_id)
            self._days[episode.raised_ms // _DAY_MS] += 1
            self._kept.append((self._length_ms(episode), place, episode))
        if len(self._kept) > 20 * EXAMPLES:
            self._trim()

    def outcome(self) -> Outcome:
        """All that was taken in."""
        self._trim()
        days = range(self._start_ms // _DAY_MS, self._end_ms // _DAY_MS + 1)
        return Outcome(
            faults=self._count,
            endpoints=len(self._endpoints),
            schools=len(self._schools),
            days=tuple((_time(day * _DAY_MS).date(), self._days[day]) for day in days),
            longest_s=self._kept[0][0] / 1000 if self._kept else 0.0,
            examples=tuple(_example(place, episode) for _, place, episode in self._kept),
        )

    def _length_ms(self, episode: Episode) -> int:
        return (self._end_ms if episode.cleared_ms is None else episode.cleared_ms) - episode.since_ms

    def _trim(self) -> None:
        self._kept.sort(key=lambda one: -one[0])
        del self._kept[EXAMPLES:]


def _example(place: Place, episode: Episode) -> Example:
    cleared = None if episode.cleared_ms is None else _time(episode.cleared_ms)
    times = (_time(episode.since_ms), _time(episode.raised_ms), cleared)
    return Example(place.id, place.name, place.school, episode.instance, *times)


def _time(at_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
