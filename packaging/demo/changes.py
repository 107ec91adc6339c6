"""The demo estate's changes: one that went well, one that runs, one that its gate halted, and one that waits for a head.

All by the real actions, with a clock of their own that walks from days ago up to now; only the PCs' answers are played.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fettle_protocol import signing
from fettle_server.change.jobs import actions as jobs
from fettle_server.change.jobs.rules import JobState, Report, Told
from fettle_server.change.jobs.tables import Job
from fettle_server.change.manifests import actions as keys
from fettle_server.change.manifests import queries as manifests
from fettle_server.change.requests import actions as requests
from fettle_server.change.requests import queries as known
from fettle_server.change.requests import settings
from fettle_server.change.requests.views import Proposal, SchoolSettings
from fettle_server.change.rollouts import actions as rollouts
from fettle_server.change.rollouts.tables import Rollout
from fettle_server.change.rules import ChangeKind, ChangeState, Outcome, Step
from fettle_server.db import to_ms
from fettle_server.estate.people import actions as people
from fettle_server.estate.people import queries as people_queries
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.estate.tables import Endpoint, User
from fettle_server.proactive import actions as proactive
from fettle_server.proactive.queries import current_policy
from fettle_server.proactive.rules import Raise

from demo import patches
from demo.pcs import Pc

_REOPEN = dt.timedelta(hours=4)
_HOUR, _MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)
_HALTED_SCHOOL, _HEADS_SCHOOL = 9, 6
_QUICK = {"when": "any time", "stagger_s": 0}
_SAYS = "Successfully installed. Restart the application to complete the upgrade."
_FAILS = "Installer failed with exit code: 1603\nAnother installation is already in progress."

Ends = Callable[[int], Told | None]
"""How the job of a PC ends, by the PC's key; None: it goes on."""


@dataclass(frozen=True, slots=True)
class Folk:
    """A person of each duty, and the approver's key."""

    proposer: Person
    peer: Person
    approver: Person
    key: Ed25519PrivateKey


def fill(tx: sa.Connection, pcs: list[Pc], staff: list[Person], now: dt.datetime) -> None:
    """The changes of the last days, up to now."""
    catriona = _person(tx, "catriona", Role.ADMINISTRATOR, None, now - dt.timedelta(days=80))
    folk = Folk(staff[0], staff[1], catriona, signing.new_key())
    public = signing.public_pem(signing.public_bytes(folk.key))
    keys.add_key(tx, SYSTEM, "Catriona, laptop in the safe", public, now - dt.timedelta(days=80))
    since = {row.pk: row.connected_since for row in tx.execute(sa.select(Endpoint.pk, Endpoint.connected_since))}
    tx.execute(sa.update(Endpoint).where(Endpoint.connected).values(connected_since=now - dt.timedelta(days=9)))
    patches.look(tx, pcs, now - dt.timedelta(days=8), {})
    done = _went_well(tx, folk, now - dt.timedelta(days=7))
    running = _runs(tx, folk, pcs, now)
    _halted(tx, folk, pcs, now - dt.timedelta(hours=7))
    _waits_for_the_head(tx, folk, now)
    patches.look(tx, pcs, now - _MINUTE, {patches.OFFICE["name"]: done, patches.FIREFOX["name"]: running})
    tx.execute(
        sa.update(Endpoint).where(Endpoint.pk == sa.bindparam("one")).values(connected_since=sa.bindparam("then")),
        [{"one": pk, "then": then} for pk, then in since.items()],
    )


def _went_well(tx: sa.Connection, folk: Folk, began: dt.datetime) -> frozenset[int]:
    """LibreOffice on all Ubuntu PCs: proposed, approved, rolled out, reviewed."""
    steps = (_upgrade(patches.OFFICE),)
    proposal = Proposal(
        ChangeKind.NORMAL, "LibreOffice 24.2.7 on the Ubuntu PCs", "It closes a hole by which a document can run a program.",
        {"systems": ["linux"]}, steps, plan="Ring by ring, outside lessons.", back_out_plan="The former version is put back.",
        rollout=_QUICK | {"rings": _rings((2, 4, 6), (20, 4, 6), (100, 8, 6))},
    )  # fmt: skip
    change_id, number = _approved(tx, folk, proposal, began - 5 * _HOUR)
    rollouts.start(tx, folk.proposer, number, began)
    _walk_to(tx, number, began, began + dt.timedelta(days=3))
    if _state(tx, change_id) == ChangeState.REVIEW:
        text = "All PCs have it; nobody rang. Two laptops took it after the weekend."
        requests.review(tx, folk.proposer, change_id, Outcome.SUCCESSFUL, text, "", began + dt.timedelta(days=2))
    return _changed(tx, number)


def _halted(tx: sa.Connection, folk: Folk, pcs: list[Pc], began: dt.datetime) -> None:
    """A printer driver that installs well and stops the print service: the gate halts it at the first ring."""
    package = {"provider": "winget", "name": "HP.UniversalPrintDriver", "version": "7.3.0"}
    proposal = Proposal(
        ChangeKind.NORMAL, "Print driver 7.3 for Kingsmead Grammar", "The new printers in IT 2 need it.",
        {"schools": [_HALTED_SCHOOL], "systems": ["windows"]}, (_upgrade(package),), plan="A few PCs first.",
        back_out_plan="Put driver 7.2 back.", rollout=_QUICK | {"rings": _rings((25, 24, 4), (100, 72, 24))},
    )  # fmt: skip
    _, number = _approved(tx, folk, proposal, began - dt.timedelta(days=2))
    rollouts.start(tx, folk.proposer, number, began)
    _walk(tx, number, began, [3 * _MINUTE] * 5)
    at = began + 34 * _MINUTE
    ill = {pc.pk for pc in pcs if pc.fault}
    for pk in [pk for pk in sorted(_changed(tx, number)) if pk not in ill][:2]:
        _stops_printing(tx, pk, at)
        at += 2 * _MINUTE
    _walk(tx, number, at, [_MINUTE] * 3)


def _runs(tx: sa.Connection, folk: Folk, pcs: list[Pc], now: dt.datetime) -> frozenset[int]:
    """Firefox on all Windows PCs: two rings have passed, the third is at it, the last waits."""
    proposal = Proposal(
        ChangeKind.NORMAL, "Firefox ESR 128.5 on every Windows PC", "It closes three holes that Mozilla calls critical.",
        {"systems": ["windows"]}, (_upgrade(patches.FIREFOX),), plan="Bench, pilot rooms, a quarter, all.",
        back_out_plan="128.4 is put back by the package manager.",
        rollout=_QUICK | {"rings": _rings((3, 2, 3), (15, 2, 6), (45, 72, 24), (100, 168, 24))},
    )  # fmt: skip
    began = now - 14 * _HOUR
    _, number = _approved(tx, folk, proposal, began - dt.timedelta(days=1))
    rollouts.start(tx, folk.proposer, number, began)
    _walk_to(tx, number, began, now - 20 * _MINUTE, ring=2)
    slow = {pc.pk for pc in pcs if pc.pk % 4 == 1}
    one = min((pc.pk for pc in pcs if pc.pk % 7 == 3 and pc.pk not in slow), default=0)

    def ends(pk: int) -> Told | None:
        return None if pk in slow else Told.FAILED if pk == one else Told.DONE

    _walk(tx, number, now - 3 * _MINUTE, [_MINUTE, _MINUTE], ends)
    return _changed(tx, number)


def _waits_for_the_head(tx: sa.Connection, folk: Folk, now: dt.datetime) -> None:
    """New firmware for the laptops of a college whose head has the last word."""
    head = _person(tx, "Mrs Okafor", Role.APPROVER, frozenset({_HEADS_SCHOOL}), now - dt.timedelta(days=40))
    school = SchoolSettings(_HEADS_SCHOOL, "", True, head.id, head.name, 4, "")
    settings.set_school(tx, folk.approver, school, now - dt.timedelta(days=30))
    package = {"provider": "winget", "name": "HP.ImageAssistant", "version": "5.3.1"}
    proposal = Proposal(
        ChangeKind.NORMAL, "New firmware for the laptops of Fernhill College", "The batteries of this model swell without it.",
        {"schools": [_HEADS_SCHOOL], "systems": ["windows"]}, (_upgrade(package), {"kind": "reboot"}),
        plan="In the first week of the holidays.", back_out_plan="The vendor's tool puts the former firmware back.",
    )  # fmt: skip
    _decided(tx, folk, requests.propose(tx, folk.proposer, proposal, now - dt.timedelta(days=2)), now - dt.timedelta(days=1))


def _approved(tx: sa.Connection, folk: Folk, proposal: Proposal, at: dt.datetime) -> tuple[int, int]:
    """The change and its rollout, approved and signed."""
    change_id = requests.propose(tx, folk.proposer, proposal, at)
    _decided(tx, folk, change_id, at + _HOUR)
    number = tx.execute(sa.select(Rollout.id).where(Rollout.change_id == change_id)).scalar_one()
    for row in manifests.of_rollout(tx, number):
        signature = signing.sign(folk.key, manifests.body_of(tx, row.id))
        keys.bring_signature(tx, folk.approver, row.id, signature, at + 2 * _HOUR)
    return change_id, number


def _decided(tx: sa.Connection, folk: Folk, change_id: int, at: dt.datetime) -> None:
    """All that ICT decides of it."""
    found = known.change(tx, SYSTEM, change_id)
    assert found is not None
    for approval in found.approvals:
        if approval.step is Step.FINAL:
            continue
        who = folk.peer if approval.step is Step.PEER_REVIEW else folk.approver
        why = "The back-out was tried on a bench PC." if who is folk.peer else ""
        requests.decide(tx, who, change_id, approval.step, True, why, at)
        at += 20 * _MINUTE


def _walk(
    tx: sa.Connection, number: int, at: dt.datetime, strides: Iterable[dt.timedelta], ends: Ends = lambda _: Told.DONE
) -> None:
    """Look at the rollout as the worker does, at each stride; its PCs answer in between."""
    rollouts.tick(tx, number, at)
    for stride in strides:
        at += stride
        _hear(tx, at)
        _answer(tx, number, at - stride / 2, ends)
        rollouts.tick(tx, number, at)


def _walk_to(tx: sa.Connection, number: int, at: dt.datetime, end: dt.datetime, ring: int | None = None) -> None:
    """Look each few minutes while PCs are at it and each hour while they soak, until the end, or until that ring begins."""
    while at < end:
        for _ in range(3):
            rollouts.tick(tx, number, at)
            row = tx.execute(sa.select(Rollout.state, Rollout.ring).where(Rollout.id == number)).one()
            if row.state == "finished" or row.ring == ring:
                return
            _walk(tx, number, at, [3 * _MINUTE])
            at += 3 * _MINUTE
        at += _HOUR


def _hear(tx: sa.Connection, at: dt.datetime) -> None:
    tx.execute(sa.update(Endpoint).where(Endpoint.connected, Endpoint.last_seen < at).values(last_seen=at))


def _answer(tx: sa.Connection, number: int, at: dt.datetime, ends: Ends) -> None:
    """What the PCs say of the jobs that they were handed."""
    states = (JobState.RELEASED, JobState.RECEIVED, JobState.RUNNING)
    rows = tx.execute(
        sa.select(Job.uid, Job.endpoint_pk, Job.state).where(Job.rollout_id == number, Job.state.in_(states))
    ).all()
    said: list[tuple[int, dt.datetime, Report]] = []
    for row in rows:
        said += [(row.endpoint_pk, at, one) for one in _reports(row, ends(row.endpoint_pk))]
    jobs.report(tx, said, at)


def _reports(row: Any, end: Told | None) -> list[Report]:
    received, started = Report(row.uid, Told.RECEIVED), Report(row.uid, Told.STARTED, attempt=1)
    if end is None:
        if row.endpoint_pk % 8 == 1:
            return [received]
        return [received, started] if row.endpoint_pk % 8 == 5 else []
    if end is Told.FAILED:
        failed = Report(row.uid, Told.STEP_FAILED, 1, "upgrade", why="The installer failed.", words=_FAILS)
        return [received, started, failed, Report(row.uid, Told.FAILED, why="The installer failed.")]
    done = Report(row.uid, Told.STEP_DONE, 1, "upgrade", words=_SAYS)
    return [received, started, done, Report(row.uid, Told.DONE, result={"reboot_pending": False})]


def _stops_printing(tx: sa.Connection, pk: int, at: dt.datetime) -> None:
    known_rule = current_policy(tx).rule("service-stopped")
    assert known_rule is not None
    since = to_ms(at - _MINUTE)
    evidence = [(since + (i - 20) * 20_000, float(i < 20)) for i in range(24)]
    one = Raise(to_ms(at), "service-stopped", "Print Spooler", known_rule.severity.value, 0.0, since, evidence, 1, "", False)
    proactive.judge(tx, [(pk, one)], now=at, reopen_within=_REOPEN)


def _upgrade(package: dict[str, str]) -> dict[str, Any]:
    named = [{"name": package["name"], "version": package["version"]}]
    return {"kind": "upgrade", "provider": package["provider"], "packages": named}


def _rings(*shares: tuple[int, int, int]) -> list[dict[str, Any]]:
    """Rings by their shares in per cent, and after how many hours who is silent counts as such, and how many they soak."""
    names = {2: ("bench", "all"), 3: ("bench", "pilot room", "all"), 4: ("bench", "pilot room", "school", "all")}[len(shares)]
    return [
        {"name": name, "share_percent": share, "deadline_s": silent * 3600, "soak_s": soak * 3600}
        for name, (share, silent, soak) in zip(names, shares, strict=True)
    ]


def _changed(tx: sa.Connection, number: int) -> frozenset[int]:
    return frozenset(tx.scalars(sa.select(Job.endpoint_pk).where(Job.rollout_id == number, Job.state == JobState.DONE)))


def _state(tx: sa.Connection, change_id: int) -> ChangeState:
    found = known.change(tx, SYSTEM, change_id)
    assert found is not None
    return found.row.state


def _person(tx: sa.Connection, name: str, role: Role, schools: frozenset[int] | None, now: dt.datetime) -> Person:
    people.add_user(tx, SYSTEM, name, role, schools, now=now)
    tx.execute(sa.update(User).where(User.name == name).values(must_change_password=False))
    found = people_queries.person_named(tx, name)
    assert found is not None
    return found
