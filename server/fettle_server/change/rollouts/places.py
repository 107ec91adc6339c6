"""Who stands in which ring: by a hash of the endpoint's id, spread over models, builds and schools. Pure.

Within a model, build and school the order is that of the hash alone, so the same PCs go first in every rollout.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fettle_server.change.rollouts.plans import RingPlan

_SALT = "fettle rings 1/"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An endpoint as far as its ring goes by it. `build` is its operating system's version."""

    pk: int
    id: str
    school_id: int
    room_id: int | None
    endpoint_class: str
    model: str
    build: str


_STRATA: tuple[Callable[[Candidate], object], ...] = (
    lambda one: one.model,
    lambda one: one.build,
    lambda one: one.school_id,
)


def fraction(text: str) -> float:
    """A number from 0 to below 1 that depends on the text alone."""
    digest = hashlib.sha256((_SALT + text).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def assign(rings: Sequence[RingPlan], candidates: Iterable[Candidate], placed: Mapping[int, str]) -> dict[int, int]:
    """The number of each candidate's ring, by pk. `placed` are those that a person put into the ring of that name.

    In whatever order they come, each prefix of rings has of every model, and within it of every build and of every school, its
    share, up to one PC.
    """
    order = spread(candidates)
    found = _by_hand(rings, order, placed)
    left = [one for one in order if one.pk not in found]
    through = 0
    for number, ring in enumerate(rings):
        there = sum(1 for one in found.values() if one == number)
        wanted = _size(ring, through, len(order)) - there
        chosen = left if number == len(rings) - 1 else _first(left, wanted, ring.spares)
        found.update((one.pk, number) for one in chosen)
        through += there + len(chosen)
        left = [one for one in left if one.pk not in found]
    return found


def late(rings: Sequence[RingPlan], endpoint_id: str, current: int, placed: str | None = None) -> int:
    """The ring of an endpoint that comes when the rollout is at `current`: its own, or the current one if that has passed."""
    by_hand = {ring.name.casefold(): number for number, ring in enumerate(rings)}
    own = by_hand.get((placed or "").casefold())
    if own is None:
        share = fraction(endpoint_id) * 100
        own = next((number for number, ring in enumerate(rings) if share < ring.share_percent), len(rings) - 1)
    return max(own, current)


def spread(candidates: Iterable[Candidate]) -> list[Candidate]:
    """All of them in an order of which every beginning has its share of each model, build and school."""
    return _spread(list(candidates), _STRATA, "")


def _spread(members: list[Candidate], strata: Sequence[Callable[[Candidate], object]], path: str) -> list[Candidate]:
    """Each stratum's members at even distances, beginning at a place that its name decides, laid over each other."""
    if not strata or len(members) < 2:
        return sorted(members, key=lambda one: (fraction(one.id), one.id))
    groups: dict[object, list[Candidate]] = defaultdict(list)
    for one in members:
        groups[strata[0](one)].append(one)
    marked: list[tuple[float, float, str, Candidate]] = []
    for name, group in groups.items():
        inner = f"{path}/{name!r}"
        first = fraction(inner)
        for number, one in enumerate(_spread(group, strata[1:], inner)):
            marked.append(((number + first) / len(group), fraction(one.id), one.id, one))
    marked.sort(key=lambda mark: mark[:3])
    return [mark[3] for mark in marked]


def _by_hand(rings: Sequence[RingPlan], order: Iterable[Candidate], placed: Mapping[int, str]) -> dict[int, int]:
    numbers = {ring.name.casefold(): number for number, ring in enumerate(rings)}
    named = ((one.pk, numbers.get(placed[one.pk].casefold())) for one in order if one.pk in placed)
    return {pk: number for pk, number in named if number is not None}


def _size(ring: RingPlan, through: int, total: int) -> int:
    """How many PCs the ring itself is to have; `through` are in the rings before it."""
    share = -(-ring.share_percent * total // 100) - through
    wanted = max(share, ring.at_least, 0)
    return min(wanted, ring.at_most) if ring.at_most else wanted


def _first(left: Sequence[Candidate], wanted: int, spares: Collection[str]) -> list[Candidate]:
    """The first of those that the ring may have; all may be had where there is no other kind."""
    fit = [one for one in left if one.endpoint_class not in spares] or list(left)
    return fit[: max(wanted, 0)]
