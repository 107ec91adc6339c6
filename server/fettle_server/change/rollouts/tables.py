"""Rollouts, their rings and targets, and the windows in which schools take changes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc

_RUNS = sa.text("state IN ('running', 'halted', 'paused')")


class Rollout(Model):
    """One carrying out of a change. `state` is a change.rollouts.rules.RolloutState; `direction` "forward" or "back out".

    `reach` says which endpoints ({endpoints: [ids], schools: [ids], rooms: [ids], classes: [...], systems: [...]}; late joiners
    in its schools and rooms are taken up), `steps` what is done (fettle_protocol.steps), `plan` the rings with their shares,
    soak times and gates, people's and needs' limits, and how long silence is borne (change.rollouts.rules.Plan as JSON).
    `manifest_id` is signed before it starts; `back_out_manifest_id` may be signed with it, so that undoing waits for nobody.
    """

    __tablename__ = "rollouts"
    __table_args__ = (
        sa.Index("ix_rollouts_change_id", "change_id"),
        sa.Index("ix_rollouts_running", "state", sqlite_where=_RUNS, postgresql_where=_RUNS),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    change_id: Mapped[int] = mapped_column(sa.ForeignKey("changes.id"))
    direction: Mapped[str] = mapped_column(sa.String(10))
    undoes_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    state: Mapped[str] = mapped_column(sa.String(12))
    why: Mapped[str] = mapped_column(sa.String(500), default="")
    reach: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    steps: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    plan: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    manifest_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    back_out_manifest_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    incident_number: Mapped[int | None] = mapped_column(sa.BigInteger)
    ring: Mapped[int] = mapped_column(sa.Integer, default=0)
    created_by: Mapped[str] = mapped_column(sa.String(120))
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    started_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    halted_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    ended_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    looked_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class RolloutRing(Model):
    """A ring of a rollout: when it was let go, when it passed, and the gate's arithmetic as last reckoned (`gate`)."""

    __tablename__ = "rollout_rings"

    rollout_id: Mapped[int] = mapped_column(sa.ForeignKey("rollouts.id"), primary_key=True)
    number: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(sa.String(40))
    state: Mapped[str] = mapped_column(sa.String(12))
    released_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    deadline_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    settled_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    passed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    gate: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)


class RolloutTarget(Model):
    """One endpoint of a rollout: its ring, its job, and what came of it. `state` is a change.rollouts.rules.TargetState.

    `sick` names the faults that count against the gate; `since` is when it entered this state, `begun_at` to
    `changed_at` when it was changed; `woken_at` when a neighbour was last asked to wake it.
    """

    __tablename__ = "rollout_targets"
    __table_args__ = (
        sa.Index("ix_rollout_targets_rollout_id_ring_state", "rollout_id", "ring", "state"),
        sa.Index("ix_rollout_targets_endpoint_pk", "endpoint_pk"),
    )

    rollout_id: Mapped[int] = mapped_column(sa.ForeignKey("rollouts.id"), primary_key=True)
    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    school_id: Mapped[int] = mapped_column(sa.Integer)
    ring: Mapped[int] = mapped_column(sa.Integer)
    state: Mapped[str] = mapped_column(sa.String(12))
    why: Mapped[str] = mapped_column(sa.String(500), default="")
    job_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    sick: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    joined_at: Mapped[dt.datetime] = mapped_column(Utc)
    since: Mapped[dt.datetime] = mapped_column(Utc)
    begun_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    changed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    woken_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class ChangeWindow(Model):
    """When a place takes changes, in the school's own time. NULL of a place: all of them; the narrowest that has any wins.

    `days` of the week (0: Monday) and minutes of the day, over midnight where `to_minute` is not after `from_minute`;
    `when` is "term", "holiday" or "" (both).
    """

    __tablename__ = "change_windows"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    school_id: Mapped[int | None] = mapped_column(sa.ForeignKey("schools.id"))
    room_id: Mapped[int | None] = mapped_column(sa.Integer)
    endpoint_class: Mapped[str | None] = mapped_column(sa.String(20))
    days: Mapped[list[int]] = mapped_column(sa.JSON)
    from_minute: Mapped[int] = mapped_column(sa.Integer)
    to_minute: Mapped[int] = mapped_column(sa.Integer)
    when: Mapped[str] = mapped_column("when_", sa.String(10), default="")


class Freeze(Model):
    """No change begins at a school (None: anywhere) between those times. Exams in the calendar freeze by themselves."""

    __tablename__ = "freezes"
    __table_args__ = (sa.Index("ix_freezes_ends_at", "ends_at"),)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    school_id: Mapped[int | None] = mapped_column(sa.ForeignKey("schools.id"))
    room_id: Mapped[int | None] = mapped_column(sa.Integer)
    title: Mapped[str] = mapped_column(sa.String(120))
    starts_at: Mapped[dt.datetime] = mapped_column(Utc)
    ends_at: Mapped[dt.datetime] = mapped_column(Utc)
    created_by: Mapped[str] = mapped_column(sa.String(120))
    ended_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class RingPlace(Model):
    """An endpoint or a room that always stands in the ring of that name ("bench" or "pilot room")."""

    __tablename__ = "ring_places"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    ring: Mapped[str] = mapped_column(sa.String(40))
    endpoint_pk: Mapped[int | None] = mapped_column(sa.BigInteger)
    room_id: Mapped[int | None] = mapped_column(sa.Integer)
    set_by: Mapped[str] = mapped_column(sa.String(120))
    set_at: Mapped[dt.datetime] = mapped_column(Utc)
