"""Approvers' public keys, and manifests with or without their signatures."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc


class SigningKey(Model):
    """The public half of an approver's key, given to machines at enrolment while active. `id`: fettle_protocol.signing.key_id.

    `serial` is the largest serial of a manifest made for it, `floor` the largest floor.
    """

    __tablename__ = "signing_keys"

    id: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    public: Mapped[bytes] = mapped_column(sa.LargeBinary)
    name: Mapped[str] = mapped_column(sa.String(120))
    serial: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    floor: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    added_by: Mapped[str] = mapped_column(sa.String(120))
    added_at: Mapped[dt.datetime] = mapped_column(Utc)
    retired_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class Manifest(Model):
    """A manifest's bytes (fettle_protocol.manifests), and the signature of the key `key_id` once it came.

    `uid` is its id inside. Serials count up over all manifests, whosever key: so any active key may sign any of them.

    `purpose` is "forward", "back out" or "keys".
    """

    __tablename__ = "manifests"
    __table_args__ = (sa.Index("ix_manifests_change_id", "change_id"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    uid: Mapped[str] = mapped_column(sa.String(32), unique=True)
    key_id: Mapped[str | None] = mapped_column(sa.ForeignKey("signing_keys.id"))
    serial: Mapped[int] = mapped_column(sa.BigInteger)
    purpose: Mapped[str] = mapped_column(sa.String(10))
    change_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    rollout_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)
    signature: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    expires_at: Mapped[dt.datetime] = mapped_column(Utc)
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    signed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    signature_brought_by: Mapped[str] = mapped_column(sa.String(120), default="")
    withdrawn_at: Mapped[dt.datetime | None] = mapped_column(Utc)
