"""What people do with a request for change: propose it, decide on it, withdraw it, review what came of it.

Proposing makes the draft of its rollout in the same transaction; the last approval prepares what is to be signed.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from fettle_protocol.steps import StepError, StepKind, check_steps

from fettle_server.change import record
from fettle_server.change.patches import actions as patches
from fettle_server.change.requests import rules, telling
from fettle_server.change.requests.facts import Reached, facts_of, reached
from fettle_server.change.requests.proceedings import finals_of, may_everywhere, no_right, proceeding, who
from fettle_server.change.requests.rules import checked
from fettle_server.change.requests.templates import usable_template
from fettle_server.change.requests.views import Preview, Proposal
from fettle_server.change.rollouts import actions as rollouts
from fettle_server.change.rollouts import ending
from fettle_server.change.rollouts.plans import When, plan_from
from fettle_server.change.rollouts.rules import Direction
from fettle_server.change.rollouts.tables import Rollout
from fettle_server.change.rollouts.views import Draft, Reach
from fettle_server.change.rules import BEFORE, ChangeError, ChangeKind, ChangeState, Linked, Outcome, Step
from fettle_server.change.tables import Change, ChangeApproval
from fettle_server.estate.people.rules import SYSTEM, Act, Forbidden, Person, demand, sees
from fettle_server.reactive.tables import Incident

_PLAN = "Ring by ring: bench, pilot room, school, all; the next ring only once the one before stayed well."
_BACK_OUT = "Fettle puts back what each PC had before, as a rollout of its own."
_UNDOABLE = frozenset({StepKind.INSTALL, StepKind.UPGRADE, StepKind.REMOVE, StepKind.HOLD, StepKind.UNHOLD})
_FORGIVING = _UNDOABLE | {StepKind.REBOOT, StepKind.COLLECT, StepKind.MESSAGE, StepKind.RESTART_SERVICE}


def preview(tx: sa.Connection, person: Person, proposal: Proposal, now: dt.datetime) -> Preview:
    """What the proposal would be: its risk with the reasons, who must decide, whom it reaches, what refuses it.

    Raises:
        ChangeError: it cannot be read at all. Forbidden: the person may not propose that there.
    """
    proposal, found = _read(tx, person, proposal, now)
    facts = facts_of(tx, proposal, found, now)
    risk = rules.risk_of(facts)
    finals = finals_of(tx, found.schools) if proposal.kind is ChangeKind.NORMAL else ()
    steps = tuple(dict.fromkeys(one.step for one in rules.needed(proposal.kind, risk.level, finals)))
    template = usable_template(tx, proposal.template_id, now) if proposal.kind is ChangeKind.STANDARD else None
    refusals = rules.template_refusals(template.limits, facts) if template else ()
    names = tuple(found.schools[key] for key in finals)
    return Preview(
        risk.level, risk.reasons, steps, names, len(found.pks), found.servers, tuple(found.schools.values()), refusals
    )


def propose(tx: sa.Connection, person: Person, proposal: Proposal, now: dt.datetime) -> int:
    """Make the change, its risk, the decisions that it waits for and the draft of its rollout; returns its number.

    A standard change is approved at once, and what is to be signed prepared.

    Raises:
        ChangeError: it cannot be, or goes beyond its template. Forbidden: the person may not propose that there.
    """
    proposal, found = _read(tx, person, proposal, now)
    facts = facts_of(tx, proposal, found, now)
    if proposal.kind is ChangeKind.STANDARD:
        _within_template(tx, proposal, facts, now)
    risk = rules.risk_of(facts)
    change_id = _insert(tx, person, proposal, found, risk, now)
    finals = finals_of(tx, found.schools) if proposal.kind is ChangeKind.NORMAL else ()
    rows = [
        {"change_id": change_id, "step": one.step.value, "school_id": one.school_id}
        for one in rules.needed(proposal.kind, risk.level, finals)
    ]
    if rows:
        tx.execute(sa.insert(ChangeApproval), rows)
    detail = {"kind": proposal.kind.value, "risk": risk.level.value, "updates": sorted(proposal.update_ids)}
    record.say(tx, change_id, "proposed", person.actor, proposal.why, detail, now)
    rollouts.draft(tx, person, _draft(change_id, proposal, found), now)
    for number in proposal.mends:
        link(tx, person, change_id, number, "This change is to mend it", now, how=Linked.MENDS)
    _go_on(tx, change_id, "system", now)
    return change_id


def _draft(change_id: int, proposal: Proposal, found: Reached) -> Draft:
    named = {name: tuple(proposal.reach.get(name) or ()) for name in Reach.__dataclass_fields__}
    if found.everywhere:
        named["schools"] = tuple(found.schools)
    plan = plan_from({**proposal.rollout, **({"when": When.ANY_TIME.value} if proposal.any_time else {})})
    return Draft(change_id, Reach(**named), tuple(dict(step) for step in proposal.steps), plan)


def decide(
    tx: sa.Connection,
    person: Person,
    change_id: int,
    step: Step,
    approved: bool,
    why: str,
    now: dt.datetime,
    school_id: int | None = None,
) -> ChangeState:
    """Give or refuse one approval, with a reason (needed for a no); returns what the change is then.

    A no ends the change, but for an emergency's late review, which is only kept. A head's no among several
    schools' ends it as a whole too: who goes on without that school proposes it again without it.

    Raises:
        ChangeError: it does not wait for that, or duties must be kept apart. Forbidden: the person may not.
    """
    state = _held(tx, change_id)
    step = Step(step)
    change = proceeding(tx, change_id)
    _demand_decider(tx, person, change_id, step, school_id)
    reason = rules.refusal(change, step, who(person), school_id)
    if reason is not None:
        raise ChangeError(reason)
    why = checked(why, "why not", rules.WHY_LIMIT, needed=not approved)
    mine = sa.and_(ChangeApproval.change_id == change_id, ChangeApproval.step == step, ChangeApproval.decision == "")
    mine = sa.and_(mine, ChangeApproval.school_id == school_id) if school_id is not None else mine
    decision = "approved" if approved else "rejected"
    tx.execute(sa.update(ChangeApproval).where(mine).values(decision=decision, actor=who(person), why=why, at=now))
    detail = {"step": step.value, "decision": decision, **({"school": school_id} if school_id is not None else {})}
    record.say(tx, change_id, f"step {decision}", person.actor, why, detail, now)
    _touch(tx, change_id, now)
    if not approved and state is ChangeState.PROPOSED:
        record.set_state(tx, change_id, ChangeState.REJECTED, now, person.actor, why)
        ending.drop(tx, change_id, f"The change was rejected: {why}", now)
        return ChangeState.REJECTED
    return _go_on(tx, change_id, person.actor, now)


def withdraw(tx: sa.Connection, person: Person, change_id: int, why: str, now: dt.datetime) -> None:
    """Take a change back before anything was done: its proposer may, and whoever may approve changes.

    Raises:
        ChangeError: it has begun or is over already. Forbidden: the person may not.
    """
    state = _held(tx, change_id)
    row = _row(tx, change_id)
    if who(person) != row.proposer:
        demand_everywhere(tx, person, Act.APPROVE_CHANGE, change_id)
    if state not in BEFORE - {ChangeState.SCHEDULED}:
        word = "has been started: halt its rollout instead" if state not in _ENDED else f"is {state} already"
        raise ChangeError(f"Change {change_id} {word}.")
    why = checked(why, "why", rules.WHY_LIMIT)
    record.set_state(tx, change_id, ChangeState.WITHDRAWN, now, person.actor, why)
    ending.drop(tx, change_id, f"The change was withdrawn: {why}", now)


_ENDED = frozenset({ChangeState.REVIEW, ChangeState.CLOSED, ChangeState.REJECTED, ChangeState.WITHDRAWN})


def review(
    tx: sa.Connection, person: Person, change_id: int, outcome: Outcome, text: str, lessons: str, now: dt.datetime
) -> None:
    """Write down what came of the change, and close it. An emergency is closed only once a peer has reviewed it.

    Raises:
        ChangeError: it is not carried out yet, or its peer review is due first. Forbidden: the person may not.
    """
    state = _held(tx, change_id)
    demand_everywhere(tx, person, Act.RUN_ROLLOUT, change_id)
    if state is not ChangeState.REVIEW:
        raise ChangeError(f"Change {change_id} is {state}: it is reviewed once it has been carried out.")
    if any(one.step is Step.PEER_REVIEW and one.approved is None for one in proceeding(tx, change_id).decisions):
        raise ChangeError("This was an emergency: a peer reviews it first, and then it is closed.")
    text, lessons = checked(text, "what came of it"), checked(lessons, "what was learned", needed=False)
    whole = f"{text}\n\nWhat was learned: {lessons}" if lessons else text
    values = {"outcome": Outcome(outcome).value, "review": whole, "reviewed_by": who(person), "reviewed_at": now}
    tx.execute(sa.update(Change).where(Change.id == change_id).values(values))
    detail = {"outcome": Outcome(outcome).value, "lessons": lessons}
    record.say(tx, change_id, "reviewed", person.actor, text, detail, now)
    record.set_state(tx, change_id, ChangeState.CLOSED, now, person.actor)
    ending.close(tx, change_id, now)


def link(
    tx: sa.Connection, person: Person, change_id: int, number: int, why: str, now: dt.datetime, how: str = Linked.BY_HAND
) -> None:
    """Put an incident beside the change.

    Raises:
        ChangeError: there is no such change or incident, or it stands there. Forbidden: the person may not.
    """
    record.state_of(tx, change_id)
    demand_everywhere(tx, person, Act.PROPOSE_CHANGE, change_id)
    _check_incident(tx, person, number)
    if not record.link_incident(tx, change_id, number, how, checked(why, "why", 300), person.actor, now):
        raise ChangeError(f"Incident {number} stands with change {change_id} already.")
    _touch(tx, change_id, now)


def _check_incident(tx: sa.Connection, person: Person, number: int) -> None:
    is_one = Incident.number == number
    row = tx.execute(sa.select(Incident.school_id).where(is_one)).one_or_none() if 0 < number < 2**31 else None
    schools = (row.school_id,) if row is not None and row.school_id is not None else ()
    if row is None or not all(sees(person, school_id) for school_id in schools):
        raise ChangeError(f"There is no incident {number}.")


def unlink(tx: sa.Connection, person: Person, change_id: int, number: int, why: str, now: dt.datetime) -> None:
    """Take an incident away from the change, for a reason; nothing puts it back by itself.

    Raises:
        ChangeError: it does not stand there. Forbidden: the person may not.
    """
    record.state_of(tx, change_id)
    demand_everywhere(tx, person, Act.PROPOSE_CHANGE, change_id)
    record.unlink_incident(tx, change_id, number, checked(why, "why", 300), person.actor, now)
    _touch(tx, change_id, now)


def demand_everywhere(tx: sa.Connection, person: Person, act: Act, change_id: int) -> None:
    """Nothing, where the person may do that in all schools of the change.

    Raises:
        Forbidden: they may not.
    """
    row = _row(tx, change_id)
    reason = may_everywhere(person, act, row.schools, everywhere=row.everywhere)
    if reason is not None:
        raise Forbidden(reason)


def _demand_decider(tx: sa.Connection, person: Person, change_id: int, step: Step, school_id: int | None) -> None:
    if person.id == SYSTEM.id:
        raise ChangeError("A decision is a person's: say who decides (--as NAME).")
    row = _row(tx, change_id)
    reason = no_right(tx, person, step, school_id, row.schools, everywhere=row.everywhere)
    if reason is not None:
        raise Forbidden(reason)


def _go_on(tx: sa.Connection, change_id: int, actor: str, now: dt.datetime) -> ChangeState:
    """Approve the change where nothing is missing any more; else ask for what is next."""
    change = proceeding(tx, change_id)
    if change.state is ChangeState.PROPOSED and rules.is_approved(change):
        record.set_state(tx, change_id, ChangeState.APPROVED, now, actor)
        _prepare(tx, change_id, now)
        change = replace(change, state=ChangeState.APPROVED)
    for one in rules.next_steps(change):
        telling.ask(tx, change_id, one.step, one.school_id, now)
    return change.state


def _prepare(tx: sa.Connection, change_id: int, now: dt.datetime) -> None:
    drafts = sa.select(Rollout.id, Rollout.reach).where(Rollout.change_id == change_id, Rollout.direction == Direction.FORWARD)
    updates = telling.updates_of(tx, change_id)
    for row in tx.execute(drafts.order_by(Rollout.id)).all():
        rollouts.prepare(tx, row.id, now)
        if updates:
            patches.approve(tx, change_id, updates, reached(tx, row.reach).pks, now)


def _read(tx: sa.Connection, person: Person, given: Proposal, now: dt.datetime) -> tuple[Proposal, Reached]:
    """The proposal with its texts filled and known to be whole, and whom it reaches now."""
    try:
        steps = tuple(check_steps([dict(step) for step in given.steps]))
    except StepError as error:
        raise ChangeError(str(error)) from error
    if systems := rules.mixed_systems(steps):
        raise ChangeError(f"No PC can do all of it: it is for {' and '.join(systems)}. Propose a change for each system.")
    found = reached(tx, given.reach)
    demand(person, Act.PROPOSE_CHANGE)
    if found.everywhere and person.schools is not None:
        raise Forbidden(f"{person.name} acts in some schools only: name the school or the PCs.")
    for school_id in found.schools:
        demand(person, Act.PROPOSE_CHANGE, school_id)
    if not found.pks and not found.everywhere and not given.reach.get("schools") and not given.reach.get("rooms"):
        raise ChangeError("That reaches no PC: name PCs, rooms or schools that have some.")
    template = usable_template(tx, given.template_id, now) if given.kind is ChangeKind.STANDARD else None
    kinds = {StepKind(step["kind"]) for step in steps}
    back_out = given.back_out_plan or (template.back_out_plan if template else "") or (_BACK_OUT if kinds <= _FORGIVING else "")
    _check_times(given, now)
    read = replace(
        given,
        steps=steps,
        title=" ".join(checked(given.title, "a title", rules.TITLE_LIMIT).split()),
        why=checked(given.why or (template.why if template else ""), "why it is to be done"),
        what=checked(given.what, "what is done", needed=False),
        plan=checked(given.plan or (template.plan if template else "") or _PLAN, "the plan"),
        back_out_plan=checked(back_out, "how it is undone: not all of its steps can be undone by themselves"),
        reach_words=checked(given.reach_words, "who is affected", 1000, needed=False) or found.words,
        template_id=template.id if template else None,
    )
    return read, found


def _check_times(given: Proposal, now: dt.datetime) -> None:
    first, last = given.planned_from, given.planned_until
    if last is not None and last <= (first or now):
        raise ChangeError("It would end before it begins: look at the planned times.")
    if any(time and time > now + dt.timedelta(days=366) for time in (first, last)):
        raise ChangeError("A change is planned for a year ahead at most.")
    if not 0 <= given.notice_hours <= rules.MOST_NOTICE_HOURS:
        raise ChangeError(f"Notice is given 0 to {rules.MOST_NOTICE_HOURS} hours before.")


def _within_template(tx: sa.Connection, proposal: Proposal, facts: rules.Facts, now: dt.datetime) -> None:
    found = rules.template_refusals(usable_template(tx, proposal.template_id, now).limits, facts)
    if found:
        raise ChangeError(" ".join([*found, "Propose it as a normal change, or keep within the template."]))


def _insert(tx: sa.Connection, person: Person, proposal: Proposal, found: Reached, risk: rules.Risk, now: dt.datetime) -> int:
    values: dict[str, Any] = {
        "kind": proposal.kind.value,
        "state": ChangeState.PROPOSED.value,
        "title": proposal.title,
        "why": proposal.why,
        "what": proposal.what,
        "reach": proposal.reach_words,
        "plan": proposal.plan,
        "back_out_plan": proposal.back_out_plan,
        "schools": [] if found.everywhere else sorted(found.schools),
        "everywhere": found.everywhere,
        "risk": risk.level.value,
        "risk_reasons": list(risk.reasons),
        "template_id": proposal.template_id,
        "proposer": who(person),
        "created_at": now,
        "planned_from": proposal.planned_from,
        "planned_until": proposal.planned_until,
        "notice_hours": proposal.notice_hours,
        "updated_at": now,
    }
    return int(tx.execute(sa.insert(Change).values(values).returning(Change.id)).scalar_one())


def _held(tx: sa.Connection, change_id: int) -> ChangeState:
    """The change's state, it and its rollouts locked until the transaction ends."""
    ending.lock(tx, change_id)
    return record.state_of(tx, change_id)


def _row(tx: sa.Connection, change_id: int) -> Any:
    columns = (Change.proposer, Change.schools, Change.everywhere, Change.state, Change.kind, Change.title)
    return tx.execute(sa.select(*columns).where(Change.id == change_id)).one()


def _touch(tx: sa.Connection, change_id: int, now: dt.datetime) -> None:
    tx.execute(sa.update(Change).where(Change.id == change_id).values(updated_at=now))


__all__ = [
    "decide",
    "demand_everywhere",
    "link",
    "preview",
    "propose",
    "review",
    "unlink",
    "who",
    "withdraw",
]
