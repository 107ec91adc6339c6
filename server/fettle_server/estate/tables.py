"""The estate's tables: schools, people, endpoints, and what endpoints last said.

An endpoint has two keys: `pk`, small, for the store; `id`, 32 hex digits, for everybody else.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from fettle_protocol.policy import EndpointClass
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc
from fettle_server.estate.endpoints.rules import Health
from fettle_server.estate.people.rules import Role

__all__ = [
    "ApiToken",
    "Certificate",
    "Endpoint",
    "EndpointEvent",
    "EnrolmentToken",
    "Health",
    "Inventory",
    "Role",
    "Room",
    "School",
    "Session",
    "Stay",
    "User",
    "UserSchool",
    "Vitals",
    "Watch",
]


class School(Model):
    """A school that the service looks after."""

    __tablename__ = "schools"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(200), unique=True)
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    time_zone: Mapped[str] = mapped_column(sa.String(60), server_default="Europe/London")


class Room(Model):
    """A place in a school where endpoints stand: a room, or a trolley that moves. `kind` is "room" or "trolley"."""

    __tablename__ = "rooms"
    __table_args__ = (sa.UniqueConstraint("school_id", "name"),)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("schools.id"))
    name: Mapped[str] = mapped_column(sa.String(120))
    kind: Mapped[str] = mapped_column(sa.String(10), default="room")
    created_at: Mapped[dt.datetime] = mapped_column(Utc)


_LOOKED_THROUGH = ("school_id", "system", "revoked_at", "search")  # so that a search reads the index alone
_HAS_OPEN = sa.text("open_incidents > 0")
_LEFT_OPEN = sa.text("leave IN ('abrupt', 'restarting', 'server away')")
_IS_SERVER = sa.text("endpoint_class = 'server'")


class Endpoint(Model):
    """A machine with an agent. `last_sequence` and `last_history` are the highest committed of the present `spool`.

    `state`, `watch_faults`, `ill_faults` and `open_incidents` are kept in the transaction that changes them, so that a list
    of 150,000 reads one table. `search` is the lower-case text that the search box looks through
    (estate.endpoints.rules.search_text keeps it short enough for an index).

    `endpoint_class` is a fettle_protocol.policy.EndpointClass; `class_source` "guessed" (from what it is) or "set" (by a
    person, never overwritten); `classed_at` when the class last changed. `leaving` is what it said before it went
    ("shutting down", "sleeping", "restarting", "agent stopping"), while it is still connected; `leave` how it went when it
    did: "clean", "sleeping", "restarting", "stopped", "abrupt", "with others" whose wider incident is over, or "server
    away" where the server itself was; empty while it is connected. `left_at` is when, `back_by` when a restarting one said
    that it would be back.
    """

    __tablename__ = "endpoints"
    __table_args__ = (
        sa.Index("ix_endpoints_state_name_pk", "state", "name", "pk", *_LOOKED_THROUGH),
        sa.Index("ix_endpoints_name_pk", "name", "pk", *_LOOKED_THROUGH),
        sa.Index("ix_endpoints_school_id_state_name_pk", "school_id", "state", "name", "pk", "revoked_at"),
        sa.Index("ix_endpoints_school_id_name_pk", "school_id", "name", "pk"),
        sa.Index(
            "ix_endpoints_open_incidents", "school_id", "open_incidents", sqlite_where=_HAS_OPEN, postgresql_where=_HAS_OPEN
        ),
        sa.Index("ix_endpoints_left", "left_at", sqlite_where=_LEFT_OPEN, postgresql_where=_LEFT_OPEN),
        sa.Index("ix_endpoints_room_id", "room_id"),
        sa.Index("ix_endpoints_classed_at", "classed_at"),
        sa.Index("ix_endpoints_policy_version", "policy_version", "school_id", "revoked_at"),
        sa.Index("ix_endpoints_servers", "school_id", sqlite_where=_IS_SERVER, postgresql_where=_IS_SERVER),
    )

    pk: Mapped[int] = mapped_column(Serial, primary_key=True)
    id: Mapped[str] = mapped_column(sa.String(32), unique=True)
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("schools.id"))
    name: Mapped[str] = mapped_column(sa.String(255))
    system: Mapped[str] = mapped_column(sa.String(20), default="")
    system_version: Mapped[str] = mapped_column(sa.String(200), default="")
    agent_version: Mapped[str] = mapped_column(sa.String(40), default="")
    model: Mapped[str] = mapped_column(sa.String(200), default="")
    serial: Mapped[str] = mapped_column(sa.String(120), default="")
    search: Mapped[str] = mapped_column(sa.Text, default="")
    fingerprint: Mapped[str] = mapped_column(sa.String(64), default="")
    spool: Mapped[str] = mapped_column(sa.String(64), default="")
    boot: Mapped[str] = mapped_column(sa.String(64), default="")
    last_sequence: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    last_history: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    policy_version: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    connected: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    connected_since: Mapped[dt.datetime | None] = mapped_column(Utc)
    address: Mapped[str] = mapped_column(sa.String(80), default="")
    last_seen: Mapped[dt.datetime | None] = mapped_column(Utc)
    state: Mapped[str] = mapped_column(sa.String(10), default=Health.UNKNOWN)
    state_since: Mapped[dt.datetime | None] = mapped_column(Utc)
    watch_faults: Mapped[int] = mapped_column(sa.Integer, default=0)
    ill_faults: Mapped[int] = mapped_column(sa.Integer, default=0)
    open_incidents: Mapped[int] = mapped_column(sa.Integer, default=0)
    enrolled_at: Mapped[dt.datetime] = mapped_column(Utc)
    revoked_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    room_id: Mapped[int | None] = mapped_column(sa.Integer)
    endpoint_class: Mapped[str] = mapped_column(sa.String(20), server_default=EndpointClass.FIXED.value)
    class_source: Mapped[str] = mapped_column(sa.String(10), server_default="guessed")
    classed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    leaving: Mapped[str] = mapped_column(sa.String(20), server_default="")
    leave: Mapped[str] = mapped_column(sa.String(12), server_default="")
    left_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    back_by: Mapped[dt.datetime | None] = mapped_column(Utc)


class Stay(Model):
    """A time that an endpoint was connected, once it is over. Kept for some days, until it is learned from."""

    __tablename__ = "stays"
    __table_args__ = (sa.Index("ix_stays_school_id_went_at", "school_id", "went_at"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger)
    school_id: Mapped[int] = mapped_column(sa.Integer)
    came_at: Mapped[dt.datetime] = mapped_column(Utc)
    went_at: Mapped[dt.datetime] = mapped_column(Utc)


class Certificate(Model):
    """A certificate that was issued to an endpoint; only these open the link, and only until they are revoked."""

    __tablename__ = "certificates"

    fingerprint: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    endpoint_pk: Mapped[int] = mapped_column(sa.ForeignKey("endpoints.pk"), index=True)
    issued_at: Mapped[dt.datetime] = mapped_column(Utc)
    not_after: Mapped[dt.datetime] = mapped_column(Utc)
    revoked_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class EnrolmentToken(Model):
    """Leave to enrol `uses_left` machines into one school before it expires; only the secret's sha256 is kept."""

    __tablename__ = "enrolment_tokens"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    secret_sha256: Mapped[str] = mapped_column(sa.String(64), unique=True)
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("schools.id"))
    uses_left: Mapped[int] = mapped_column(sa.Integer)
    expires_at: Mapped[dt.datetime] = mapped_column(Utc)
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    created_by: Mapped[str] = mapped_column(sa.String(120))


class Vitals(Model):
    """The newest readings of an endpoint: the Vitals message as it came."""

    __tablename__ = "vitals"

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[dt.datetime] = mapped_column(Utc)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)


class Watch(Model):
    """A page is looking at an endpoint until `until`; `live` is the newest Live message that its agent answered with."""

    __tablename__ = "watches"

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    until: Mapped[dt.datetime] = mapped_column(Utc)
    live_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    live: Mapped[bytes | None] = mapped_column(sa.LargeBinary)


class Inventory(Model):
    """An inventory section ("hardware", "software") as it came: zlib-compressed JSON, and its digest."""

    __tablename__ = "inventory"

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    section: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    digest: Mapped[str] = mapped_column(sa.String(64))
    at: Mapped[dt.datetime] = mapped_column(Utc)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)


class EndpointEvent(Model):
    """What happened to an endpoint besides faults: boots, sleeps, changed inventory, the agent's own notices."""

    __tablename__ = "endpoint_events"
    __table_args__ = (sa.Index("ix_endpoint_events_endpoint_pk_at", "endpoint_pk", "at"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger)
    at: Mapped[dt.datetime] = mapped_column(Utc)
    kind: Mapped[str] = mapped_column(sa.String(40))
    detail: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)


class User(Model):
    """A person who signs in. `all_schools` or the rows of UserSchool say where the role counts."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80), unique=True)
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    must_change_password: Mapped[bool] = mapped_column(sa.Boolean, default=True)
    role: Mapped[str] = mapped_column(sa.String(20))
    all_schools: Mapped[bool] = mapped_column(sa.Boolean, default=True)
    active: Mapped[bool] = mapped_column(sa.Boolean, default=True)
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    signed_in_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class UserSchool(Model):
    """A school in which a person without `all_schools` may act."""

    __tablename__ = "user_schools"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), primary_key=True)
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("schools.id"), primary_key=True)


class Session(Model):
    """A sign-in that can be ended; only the cookie secret's sha256 is kept."""

    __tablename__ = "sessions"

    secret_sha256: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    seen_at: Mapped[dt.datetime] = mapped_column(Utc)
    expires_at: Mapped[dt.datetime] = mapped_column(Utc)
    address: Mapped[str] = mapped_column(sa.String(80), default="")
    device: Mapped[str] = mapped_column(sa.String(200), default="")


class ApiToken(Model):
    """A script's key to the API: it may do what its person may, at most in `role`; only its sha256 is kept."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    secret_sha256: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(80))
    role: Mapped[str] = mapped_column(sa.String(20))
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    expires_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    used_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    revoked_at: Mapped[dt.datetime | None] = mapped_column(Utc)
