"""When alike incidents are a problem: the same fault in several schools, or on one model far more than on others. Pure."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

WITHIN = dt.timedelta(days=14)
SCHOOLS, INCIDENTS = 3, 5
"""The same fault: in so many schools, in so many incidents."""
MODEL_SCHOOLS, MODEL_INCIDENTS = 2, 3
"""The same fault on one model: in so many schools, in so many incidents."""
OVER = 3.0
"""A model is conspicuous where it has so many times its share of the machines."""
KEY_LIMIT = 200


class ProblemState(StrEnum):
    """What people made of a problem."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class Likeness:
    """An incident as one of many: its rule, the instance where it tells services apart, and where it was."""

    number: int
    rule: str
    instance: str
    school_id: int
    model: str
    title: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A problem that incidents propose, and why."""

    key: str
    title: str
    why: str
    rule: str
    instance: str
    model: str
    numbers: tuple[int, ...]
    schools: int


def proposals(likenesses: Iterable[Likeness], models: Mapping[str, int]) -> list[Proposal]:
    """What the incidents of the last 14 days propose. `models` counts the machines of each model in the estate.

    A model that explains most of what a rule has is the problem; the rule at large is one only where no model is.
    """
    by_fault: dict[tuple[str, str], list[Likeness]] = defaultdict(list)
    for one in likenesses:
        by_fault[one.rule, one.instance].append(one)
    found: list[Proposal] = []
    for alike in by_fault.values():
        of_models = [_of_model(model, alike, models) for model in sorted({one.model for one in alike if one.model})]
        conspicuous = [proposal for proposal in of_models if proposal is not None]
        found += conspicuous
        explained = {number for proposal in conspicuous for number in proposal.numbers}
        rest = [one for one in alike if one.number not in explained]
        at_large = _at_large(rest)
        if at_large is not None:
            found.append(at_large)
    return found


def _of_model(model: str, alike: Sequence[Likeness], models: Mapping[str, int]) -> Proposal | None:
    own = [one for one in alike if one.model == model]
    numbers, schools = {one.number for one in own}, {one.school_id for one in own}
    if len(numbers) < MODEL_INCIDENTS or len(schools) < MODEL_SCHOOLS:
        return None
    machines, everything = models.get(model, 0), sum(models.values())
    share, usual = len(own) / len(alike), machines / everything if everything else 1.0
    if share < OVER * usual:
        return None
    first = own[0]
    title = f"{_title(own)} on {model}"
    why = (
        f"{len(numbers)} incidents in {len(schools)} schools within {WITHIN.days} days; {share:.0%} of all with this fault are"
        f" this model, which is {usual:.0%} of the machines."
    )
    key = f"{first.rule}/{first.instance}/{model}"[:KEY_LIMIT]
    return Proposal(key, title[:300], why, first.rule, first.instance, model, tuple(sorted(numbers)), len(schools))


def _at_large(alike: Sequence[Likeness]) -> Proposal | None:
    numbers, schools = {one.number for one in alike}, {one.school_id for one in alike}
    if len(numbers) < INCIDENTS or len(schools) < SCHOOLS:
        return None
    first = alike[0]
    why = f"{len(numbers)} incidents in {len(schools)} schools within {WITHIN.days} days."
    key = f"{first.rule}/{first.instance}"[:KEY_LIMIT]
    title = f"{_title(alike)} in {len(schools)} schools"
    return Proposal(key, title[:300], why, first.rule, first.instance, "", tuple(sorted(numbers)), len(schools))


def _title(alike: Sequence[Likeness]) -> str:
    """The title that most of them have."""
    return Counter(one.title for one in alike).most_common(1)[0][0]
