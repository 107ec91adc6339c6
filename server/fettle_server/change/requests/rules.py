"""How risky a change is and why, who must decide on it, and what a standard change may do. Pure: no store, no clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from fettle_protocol.steps import StepKind

from fettle_server.change.rules import ChangeError, ChangeKind, ChangeState, RiskLevel, Step

MANY, VERY_MANY = 50, 500
"""So many PCs make a change wider; so many make it wide for anybody."""
MEDIUM_AT, HIGH_AT = 2, 4
PROVEN_AT = 5
"""On so many PCs a thing must have gone well before that counts for it."""
EXAM_NEAR = dt.timedelta(days=7)
TITLE_LIMIT, TEXT_LIMIT, WHY_LIMIT = 200, 10_000, 1000
MOST_NOTICE_HOURS = 24 * 28
_UNDONE = frozenset({StepKind.INSTALL, StepKind.UPGRADE, StepKind.REMOVE, StepKind.HOLD, StepKind.UNHOLD})
_HARMLESS = frozenset({StepKind.COLLECT, StepKind.MESSAGE})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the risk of a change is reckoned from.

    `proven_on` is how many PCs had all of it before and stayed well, `proven_by` the sentence about it ("the library's
    build ..."); `exam` names an exam that is on, or within a week of when the change is planned.
    """

    pcs: int
    servers: int
    schools: int
    steps: tuple[Mapping[str, Any], ...]
    proven_on: int = 0
    proven_by: str = ""
    any_time: bool = False
    exam: str = ""
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Risk:
    """How much could go wrong, and the sentences that make it so."""

    level: RiskLevel
    reasons: tuple[str, ...]
    points: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a template allows; an empty tuple of names allows any. `packages` are patterns such as "firefox*"."""

    pcs: int = 0
    providers: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    reboot: bool = False
    servers: bool = False
    any_time: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision of a change as the rules see it. `by` names the person, empty while it waits; `approved` None: waits."""

    step: Step
    by: str = ""
    approved: bool | None = None
    school_id: int | None = None


@dataclass(frozen=True, slots=True)
class Proceeding:
    """A change as the rules of deciding see it: who proposed it, how far it is, and its decisions."""

    kind: ChangeKind
    state: ChangeState
    risk: RiskLevel
    proposer: str
    decisions: tuple[Decided, ...] = field(default_factory=tuple)


def risk_of(facts: Facts) -> Risk:
    """How risky that is, with a sentence for each thing that counts. More danger never makes it less."""
    found = [*_of_reach(facts), *_of_steps(facts), *_of_time(facts), _of_proof(facts)]
    points = sum(count for count, _ in found)
    level = RiskLevel.HIGH if points >= HIGH_AT else RiskLevel.MEDIUM if points >= MEDIUM_AT else RiskLevel.LOW
    return Risk(level, tuple(text for _, text in found), points)


def _of_reach(facts: Facts) -> list[tuple[int, str]]:
    where = f" in {facts.schools} schools" if facts.schools > 1 else ""
    many = 2 if facts.pcs >= VERY_MANY else 1 if facts.pcs >= MANY else 0
    found = [(many, f"It reaches {_counted(facts.pcs, 'PC')}{where}.")]
    if facts.servers:
        text = f"{_counted(facts.servers, 'server')} among them: whoever works with a server is hindered with it."
        found.append((2, text))
    return found


def _of_steps(facts: Facts) -> list[tuple[int, str]]:
    kinds = {StepKind(step["kind"]) for step in facts.steps}
    found = []
    if StepKind.REBOOT in kinds:
        found.append((1, "The PCs restart."))
    if StepKind.SCRIPT in kinds:
        found.append((1, "It runs a script: what that does is only known by reading it."))
    if StepKind.REMOVE in kinds:
        found.append((1, "It takes programs away."))
    if not kinds - _HARMLESS:
        found.append((0, "It changes nothing on the PCs."))
    elif kinds - _UNDONE - _HARMLESS - {StepKind.REBOOT, StepKind.RESTART_SERVICE}:
        found.append((1, "Not all of it can be undone by itself."))
    elif kinds & _UNDONE:
        found.append((0, "It can be backed out: the former versions are put back."))
    return found


def _of_time(facts: Facts) -> list[tuple[int, str]]:
    found = []
    if facts.any_time:
        found.append((2, "It may happen during lessons."))
    if facts.exam:
        found.append((1, f"Exams are near: {facts.exam}."))
    if facts.severity in ("critical", "important"):
        found.append((0, f"It closes a hole of severity {facts.severity}: to wait is a risk too."))
    return found


def _of_proof(facts: Facts) -> tuple[int, str]:
    if facts.proven_on >= PROVEN_AT:
        return 0, facts.proven_by or f"It went well on {_counted(facts.proven_on, 'PC')} before."
    if facts.steps and not {StepKind(step["kind"]) for step in facts.steps} - _HARMLESS:
        return 0, "There is nothing to prove first."
    before = f": it has only been on {_counted(facts.proven_on, 'PC')}" if facts.proven_on else ""
    return 1, f"It has not been proven here{before}."


def needed(kind: ChangeKind, risk: RiskLevel, finals: Sequence[int]) -> tuple[Decided, ...]:
    """The decisions that a change waits for, in FITS's order. `finals` are the schools that have the last word themselves.

    A standard change was approved beforehand. An emergency waits for one approval only: its review by a peer is demanded
    before it is closed, and schools are told instead of asked. A normal change of low risk needs no approval to proceed of its
    own: the approval to implement says both.
    """
    if kind is ChangeKind.STANDARD:
        return ()
    if kind is ChangeKind.EMERGENCY:
        return (Decided(Step.IMPLEMENT), Decided(Step.PEER_REVIEW))
    proceed = () if risk is RiskLevel.LOW else (Decided(Step.PROCEED),)
    last = tuple(Decided(Step.FINAL, school_id=school_id) for school_id in finals)
    return (*proceed, Decided(Step.PEER_REVIEW), Decided(Step.IMPLEMENT), *last)


def next_steps(change: Proceeding) -> tuple[Decided, ...]:
    """The decisions whose turn it is: one, or all the final approvers at once; none where nothing waits."""
    waiting = [one for one in change.decisions if one.approved is None]
    if not waiting or not _may_wait(change, waiting[0].step):
        return ()
    return tuple(one for one in waiting if one.step is waiting[0].step)


def _may_wait(change: Proceeding, step: Step) -> bool:
    if change.state is ChangeState.PROPOSED:
        return True
    late = change.kind is ChangeKind.EMERGENCY and step is Step.PEER_REVIEW
    return late and change.state not in (ChangeState.DRAFT, ChangeState.REJECTED, ChangeState.WITHDRAWN, ChangeState.CLOSED)


def refusal(change: Proceeding, step: Step, who: str, school_id: int | None = None) -> str | None:
    """Why that person may not decide that step now, as a sentence; None where they may. Roles and schools are asked elsewhere.

    Duties are kept apart: nobody decides on what they proposed, the peer who reviewed it does not approve to implement
    it (nor the other way round), and of a change of high risk nobody gives both approvals.
    """
    turn = next_steps(change)
    if not turn:
        return "Nothing of this change waits for a decision."
    if step is not turn[0].step or not any(one.school_id == school_id for one in turn):
        return _not_its_turn(change, step, school_id, turn[0].step)
    if who == change.proposer:
        return "You proposed this change: somebody else must decide on it."
    mine = {one.step for one in change.decisions if one.by == who}
    if {step, *mine} >= {Step.PEER_REVIEW, Step.IMPLEMENT}:
        return "Who reviews a change does not also approve it to be implemented: somebody else must."
    if change.risk is RiskLevel.HIGH and {step, *mine} >= {Step.PROCEED, Step.IMPLEMENT}:
        return "The risk is high: its two approvals must be given by two people, and you gave the other one."
    return None


def _not_its_turn(change: Proceeding, step: Step, school_id: int | None, turn: Step) -> str:
    if any(one.step is step and one.school_id == school_id for one in change.decisions if one.approved is not None):
        return f"{STEP_WORDS[step].capitalize()} was decided already."
    if not any(one.step is step and one.school_id == school_id for one in change.decisions):
        return f"This change does not need the {STEP_WORDS[step]}."
    return f"First comes the {STEP_WORDS[turn]}."


def is_approved(change: Proceeding) -> bool:
    """True where nothing keeps it from being carried out: all are in, but for an emergency's late review."""
    late = Step.PEER_REVIEW if change.kind is ChangeKind.EMERGENCY else None
    return all(one.approved for one in change.decisions if one.step is not late)


def template_refusals(limits: Limits, facts: Facts) -> tuple[str, ...]:
    """What of the change goes beyond its template, a sentence for each; none where it is a standard change."""
    kinds = [str(step["kind"]) for step in facts.steps]
    found = []
    if limits.pcs and facts.pcs > limits.pcs:
        found.append(f"It reaches {_counted(facts.pcs, 'PC')}; the template allows {limits.pcs}.")
    if facts.servers and not limits.servers:
        found.append("Servers are among them; the template is for PCs only.")
    if StepKind.REBOOT in kinds and not limits.reboot:
        found.append("It restarts the PCs; the template does not allow that.")
    if facts.any_time and not limits.any_time:
        found.append("It would run outside the schools' change windows; the template does not allow that.")
    allowed = set(limits.kinds) | ({StepKind.REBOOT} if limits.reboot else set())
    found += [f"The template has no step “{kind}”." for kind in dict.fromkeys(kinds) if limits.kinds and kind not in allowed]
    for step in facts.steps:
        found += _of_packages(limits, step)
    return tuple(dict.fromkeys(found))


def _of_packages(limits: Limits, step: Mapping[str, Any]) -> list[str]:
    provider = step.get("provider")
    if provider is None:
        return []
    if limits.providers and provider not in limits.providers:
        return [f"The template is not for {provider}."]
    named = [str(package["name"]) for package in step["packages"]]
    return [
        f"The template is not for the package {name}."
        for name in named
        if limits.packages and not any(fnmatchcase(name.casefold(), one.casefold()) for one in limits.packages)
    ]


def mixed_systems(steps: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The systems that the steps are for, where they are for more than one: no PC could do them all."""
    found = {SYSTEM_OF[step["provider"]] for step in steps if step.get("provider") in SYSTEM_OF}
    return tuple(sorted(found)) if len(found) > 1 else ()


SYSTEM_OF = {
    **dict.fromkeys(("apt", "dnf", "flatpak", "snap"), "Linux"),
    **dict.fromkeys(("windows", "winget", "choco"), "Windows"),
    **dict.fromkeys(("softwareupdate", "brew"), "macOS"),
}
STEP_WORDS: dict[Step, str] = {
    Step.PROCEED: "approval to proceed",
    Step.PEER_REVIEW: "peer review",
    Step.IMPLEMENT: "approval to implement",
    Step.FINAL: "final approval of the school",
}


def limits_from(kept: Mapping[str, Any]) -> Limits:
    """The limits that a template keeps as JSON.

    Raises:
        ChangeError: something that no template has.
    """
    unknown = sorted(set(kept) - set(Limits.__dataclass_fields__))
    pcs = kept.get("pcs", 0)
    lists = {name: kept.get(name, ()) for name in ("providers", "packages", "kinds")}
    flags = {name: kept.get(name, False) for name in ("reboot", "servers", "any_time")}
    good = type(pcs) is int and pcs >= 0 and all(type(flag) is bool for flag in flags.values())
    if unknown or not good or not all(_is_names(names) for names in lists.values()):
        raise ChangeError("A template's limits are pcs, providers, packages, kinds, reboot, servers and any_time.")
    if set(lists["kinds"]) - set(StepKind):
        raise ChangeError(f"The steps of a template are of {', '.join(StepKind)}.")
    named = {name: tuple(names) for name, names in lists.items()}
    return Limits(pcs, named["providers"], named["packages"], named["kinds"], **flags)


def _is_names(names: Any) -> bool:
    return isinstance(names, list | tuple) and len(names) <= 200 and all(isinstance(one, str) and one for one in names)


def checked(text: str, what: str, limit: int = TEXT_LIMIT, *, needed: bool = True) -> str:
    """The text without blanks around it.

    Raises:
        ChangeError: it is missing, too long, or has what cannot be kept.
    """
    text = text.strip().replace("\r\n", "\n")
    if needed and not text:
        raise ChangeError(f"Please write {what}.")
    if len(text) > limit:
        raise ChangeError(f"That is too long: {what} has at most {limit} characters.")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ChangeError(f"There is a character that cannot be kept in {what}.")
    return text


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


AFTER = dt.timedelta(days=3)
"""So long after a change reached a PC, what befalls it may come of the change."""
SCHOOL_SHARE = 0.25
"""An incident of a whole school may come of a change that had reached this share of its PCs."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A PC that a change reached, and when."""

    endpoint_pk: int
    name: str
    room_id: int | None
    school_id: int
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Came:
    """An incident that was opened: on one PC, in a room, or at schools."""

    at: dt.datetime
    endpoint_pk: int | None
    room_id: int | None
    room: str
    schools: frozenset[int]


def after_it(came: Came, reached: Sequence[Changed], sizes: Mapping[int, int]) -> str | None:
    """Why the incident may come of the change, as a sentence; None where it is not in its reach and time.

    `sizes` counts the PCs of each school. Of a room one changed PC will do, of a school a quarter of all.
    """
    before = [one for one in reached if one.at < came.at <= one.at + AFTER]
    if came.endpoint_pk is not None:
        mine = [one for one in before if one.endpoint_pk == came.endpoint_pk]
        return f"Opened {_span(came.at - mine[0].at)} after the change was done on {mine[0].name}." if mine else None
    if came.room_id is not None:
        mine = [one for one in before if one.room_id == came.room_id]
        where = came.room or "its room"
    else:
        mine = [one for one in before if one.school_id in came.schools]
        total = sum(sizes.get(school, 0) for school in {one.school_id for one in mine})
        if len(mine) < SCHOOL_SHARE * total:
            return None
        where = "its school" if len(came.schools) == 1 else "its schools"
    if not mine:
        return None
    latest = max(one.at for one in mine)
    return f"Opened {_span(came.at - latest)} after the change had reached {_counted(len(mine), 'PC')} of {where}."


def _span(span: dt.timedelta) -> str:
    minutes = max(1, round(span.total_seconds() / 60))
    if minutes < 120:
        return _counted(minutes, "minute")
    return _counted(round(minutes / 60), "hour") if minutes < 48 * 60 else _counted(round(minutes / 1440), "day")
