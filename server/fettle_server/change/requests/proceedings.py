"""A change as the rules of deciding see it, and who has the last word at a school."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from fettle_server.change.requests.rules import Decided, Proceeding, refusal
from fettle_server.change.rules import ChangeError, ChangeKind, ChangeState, RiskLevel, Step
from fettle_server.change.tables import Change, ChangeApproval, SchoolChange
from fettle_server.estate.people.rules import SYSTEM, Act, Person, Role, may, sees
from fettle_server.estate.tables import School, User

ACTS = {Step.PEER_REVIEW: Act.REVIEW_CHANGE, Step.PROCEED: Act.APPROVE_CHANGE, Step.IMPLEMENT: Act.APPROVE_CHANGE}
_DECISIONS = {"": None, "approved": True, "rejected": False}


def proceedings(tx: sa.Connection, change_ids: Iterable[int]) -> dict[int, Proceeding]:
    """Those changes with their decisions, in the order in which these are made."""
    wanted = sorted(set(change_ids))
    decisions: dict[int, list[Decided]] = {change_id: [] for change_id in wanted}
    rows = tx.execute(
        sa.select(*ChangeApproval.__table__.c).where(ChangeApproval.change_id.in_(wanted)).order_by(ChangeApproval.id)
    )
    for row in rows:
        one = Decided(Step(row.step), row.actor if row.decision else "", _DECISIONS[row.decision], row.school_id)
        decisions[row.change_id].append(one)
    columns = (Change.id, Change.kind, Change.state, Change.risk, Change.proposer)
    return {
        row.id: Proceeding(
            ChangeKind(row.kind), ChangeState(row.state), RiskLevel(row.risk), row.proposer, tuple(decisions[row.id])
        )
        for row in tx.execute(sa.select(*columns).where(Change.id.in_(wanted)))
    }


def proceeding(tx: sa.Connection, change_id: int) -> Proceeding:
    """One change.

    Raises:
        ChangeError: there is no such change.
    """
    found = proceedings(tx, (change_id,)).get(change_id)
    if found is None:
        raise ChangeError(f"There is no change {change_id}.")
    return found


def finals_of(tx: sa.Connection, schools: Iterable[int]) -> tuple[int, ...]:
    """Those of the schools that have the last word on their changes themselves, in order of their keys."""
    wanted = sorted(set(schools))
    rows = sa.select(SchoolChange.school_id).where(SchoolChange.needs_final, SchoolChange.school_id.in_(wanted))
    return tuple(tx.scalars(rows.order_by(SchoolChange.school_id)))


def is_final_approver(tx: sa.Connection, person: Person, school_id: int) -> str | None:
    """Why the person does not have the last word at that school, as a sentence; None where they have.

    The school's named approver alone has it; where none is named, each approver of the school. Never somebody of ICT.
    """
    if not sees(person, school_id):
        return f"{person.name} may not act in that school."
    if person.role is not Role.APPROVER:
        return f"The last word is somebody's outside ICT, with the role approver; {person.name} has the role {person.role}."
    row = tx.execute(
        sa.select(SchoolChange.final_user_id, User.name, School.name.label("school"))
        .join(School, School.id == SchoolChange.school_id)
        .outerjoin(User, sa.and_(User.id == SchoolChange.final_user_id, User.active))
        .where(SchoolChange.school_id == school_id)
    ).one_or_none()
    if row is None or row.name is None or row.final_user_id == person.id:
        return None
    return f"At {row.school} the last word is {row.name}'s."


def who(person: Person) -> str:
    """How a change's record names the person, whichever token they act with: duties are kept apart between people."""
    return "system" if person.id == SYSTEM.id else f"user:{person.name}"


def sees_change(person: Person, schools: Sequence[int]) -> bool:
    """True where the change is one of the person's schools, or (no schools) one for all."""
    return person.schools is None or not schools or any(sees(person, school_id) for school_id in schools)


def may_everywhere(person: Person, act: Act, schools: Sequence[int], *, everywhere: bool) -> str | None:
    """Why the person may not do that in all schools of a change, as a sentence; None where they may."""
    if (reason := may(person, act)) is not None:
        return reason
    if everywhere and person.schools is not None:
        return f"This change is for all schools; {person.name} acts in some of them only."
    return next((reason for school_id in schools if (reason := may(person, act, school_id)) is not None), None)


def no_right(
    tx: sa.Connection, person: Person, step: Step, school_id: int | None, schools: Sequence[int], *, everywhere: bool
) -> str | None:
    """Why the person's role and schools do not let them decide that step, as a sentence; None where they do."""
    if step is Step.FINAL:
        return "Say for which school." if school_id is None else is_final_approver(tx, person, school_id)
    return may_everywhere(person, ACTS[step], schools, everywhere=everywhere)


def why_not(
    tx: sa.Connection, person: Person, change: Proceeding, one: Decided, schools: Sequence[int], *, everywhere: bool
) -> str:
    """Why the person may not make that decision now, as a sentence; "" where they may."""
    right = no_right(tx, person, one.step, one.school_id, schools, everywhere=everywhere)
    return right or refusal(change, one.step, who(person), one.school_id) or ""
