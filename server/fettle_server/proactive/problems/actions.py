"""What is done with problems: proposed by incidents, accepted or dismissed by people."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import Policy, Spread

from fettle_server.db import insert_into
from fettle_server.estate.people.rules import Act, Forbidden, Person, demand
from fettle_server.estate.tables import Endpoint
from fettle_server.journal.actions import record
from fettle_server.notify.actions import Message, enqueue
from fettle_server.proactive.causes.families import spread_of
from fettle_server.proactive.problems.rules import WITHIN, Likeness, ProblemState, Proposal, proposals
from fettle_server.proactive.problems.tables import Problem, ProblemIncident
from fettle_server.proactive.queries import current_policy
from fettle_server.proactive.rules import standing
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.tables import Incident

REASON_LIMIT = 500
_LOOKED_AT = 20_000
_PRIORITY = 4


class ProblemError(ValueError):
    """Something about a problem that cannot be done; the message is for the person who asked."""


def propose(tx: sa.Connection, now: dt.datetime) -> int:
    """Propose what the incidents of the last 14 days have in common, each once; returns how many are new.

    What is proposed or accepted already learns of further incidents; what was dismissed stays dismissed.
    """
    found = proposals(_likenesses(tx, current_policy(tx), now), _models(tx))
    return sum(_take(tx, proposal, now) for proposal in found)


def newest_incident(tx: sa.Connection) -> int:
    """The highest number of an incident: while it stays, nothing new can be proposed."""
    return tx.scalar(sa.select(sa.func.max(Incident.number))) or 0


def accept(tx: sa.Connection, person: Person, number: int, now: dt.datetime, reason: str = "") -> None:
    """Say that it is a problem, to be worked on.

    Raises:
        ProblemError: there is none, or it is decided already. Forbidden: the person may not.
    """
    _decide(tx, person, number, ProblemState.ACCEPTED, reason, now)


def dismiss(tx: sa.Connection, person: Person, number: int, reason: str, now: dt.datetime) -> None:
    """Say that it is none, for a reason: it is not proposed again.

    Raises:
        ProblemError: there is none, it is dismissed already, or no reason. Forbidden: the person may not.
    """
    if not reason.strip():
        raise ProblemError("Please write why it is no problem.")
    _decide(tx, person, number, ProblemState.DISMISSED, reason, now)


def _decide(tx: sa.Connection, person: Person, number: int, state: ProblemState, reason: str, now: dt.datetime) -> None:
    demand(person, Act.WORK_TASKS)
    if person.schools is not None:
        raise Forbidden(f"{person.name} may not decide on problems of all schools.")
    reason = reason.strip()
    if len(reason) > REASON_LIMIT or "\0" in reason:
        raise ProblemError(f"A reason has at most {REASON_LIMIT} characters.")
    is_one = Problem.number == number
    present = tx.scalar(sa.select(Problem.state).where(is_one).with_for_update()) if 0 < number < 2**31 else None
    if present is None:
        raise ProblemError(f"There is no problem {number}.")
    if present == state:
        raise ProblemError(f"Problem {number} is {state} already.")
    values = {"state": state.value, "decided_at": now, "decided_by": person.actor, "reason": reason, "updated_at": now}
    tx.execute(sa.update(Problem).where(is_one).values(values))
    record(tx, f"problem.{state}", person.actor, f"problem:{number}", None, {"reason": reason}, now)


def _likenesses(tx: sa.Connection, policy: Policy, now: dt.datetime) -> list[Likeness]:
    """Incidents as alike ones see each other; the instance counts where it names a kind of thing (a service), not a part."""
    columns = (Incident.number, Incident.rule, Fault.instance, Endpoint.school_id, Endpoint.model, Endpoint.name)
    statement = (
        sa.select(*columns)
        .join(Fault, sa.and_(Fault.incident_number == Incident.number, Fault.rule == Incident.rule))
        .join(Endpoint, Endpoint.pk == Fault.endpoint_pk)
        .where(Incident.opened_at >= now - WITHIN, Incident.is_test.is_(sa.false()), Incident.rule != "")
        .order_by(Incident.number.desc())
        .limit(_LOOKED_AT)
    )
    found: dict[tuple[Any, ...], Likeness] = {}
    for number, rule, instance, school_id, model, name in tx.execute(statement):
        kind = instance if spread_of(policy, rule) is Spread.KIND else ""
        title = standing(policy, rule, instance, name).title
        one = Likeness(number, rule, kind, school_id, model, title)
        found.setdefault((number, school_id, model), one)
    return list(found.values())


def _models(tx: sa.Connection) -> dict[str, int]:
    counted = sa.select(Endpoint.model, sa.func.count()).where(Endpoint.revoked_at.is_(None)).group_by(Endpoint.model)
    return {row[0]: row[1] for row in tx.execute(counted)}


def _take(tx: sa.Connection, proposal: Proposal, now: dt.datetime) -> bool:
    known = tx.execute(
        sa.select(Problem.number, Problem.state, Problem.incidents).where(Problem.key == proposal.key)
    ).one_or_none()
    if known is None:
        _add(tx, proposal, now)
        return True
    if known.state != ProblemState.DISMISSED:
        _join(tx, known.number, proposal.numbers)
        total = tx.scalar(sa.select(sa.func.count()).where(ProblemIncident.problem_number == known.number)) or 0
        if total != known.incidents:
            values = {"incidents": total, "why": proposal.why, "updated_at": now}
            if known.state == ProblemState.PROPOSED:
                values |= {"schools": proposal.schools, "title": proposal.title}
            tx.execute(sa.update(Problem).where(Problem.number == known.number).values(values))
    return False


def _add(tx: sa.Connection, proposal: Proposal, now: dt.datetime) -> None:
    values = {
        "key": proposal.key,
        "state": ProblemState.PROPOSED.value,
        "title": proposal.title,
        "why": proposal.why,
        "rule": proposal.rule,
        "instance": proposal.instance,
        "model": proposal.model,
        "incidents": len(proposal.numbers),
        "schools": proposal.schools,
        "proposed_at": now,
        "updated_at": now,
    }
    number = tx.execute(sa.insert(Problem).values(values).returning(Problem.number)).scalar_one()
    _join(tx, number, proposal.numbers)
    record(tx, "problem.proposed", "system", f"problem:{number}", None, {"title": proposal.title}, now)
    enqueue(tx, [Message("problem", None, None, _PRIORITY, proposal.title, is_test=False, at=now, text=proposal.why)])


def _join(tx: sa.Connection, problem: int, numbers: tuple[int, ...]) -> None:
    rows = [{"problem_number": problem, "incident_number": number} for number in numbers]
    tx.execute(insert_into(tx, ProblemIncident).on_conflict_do_nothing(), rows)
