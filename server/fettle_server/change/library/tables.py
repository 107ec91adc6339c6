"""Packages, scripts and licences of the definitive software library, and documented builds."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Utc


class LibraryItem(Model):
    """A package version or a script that may be rolled out. `kind` is "package" or "script"; `sha256` of the file or body.

    Of a script: `body`, `interpreter`, `idempotent`. `licences` is how many the borough holds (None: it needs none).
    A withdrawn item stays, since old changes speak of it.
    """

    __tablename__ = "library_items"
    __table_args__ = (sa.UniqueConstraint("kind", "provider", "name", "version"),)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    provider: Mapped[str] = mapped_column(sa.String(20), default="")
    name: Mapped[str] = mapped_column(sa.String(200))
    version: Mapped[str] = mapped_column(sa.String(120))
    sha256: Mapped[str] = mapped_column(sa.String(64), default="")
    body: Mapped[str] = mapped_column(sa.Text, default="")
    interpreter: Mapped[str] = mapped_column(sa.String(20), default="")
    idempotent: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    systems: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    licences: Mapped[int | None] = mapped_column(sa.Integer)
    licence: Mapped[str] = mapped_column(sa.String(200), default="")
    source: Mapped[str] = mapped_column(sa.String(300), default="")
    notes: Mapped[str] = mapped_column(sa.Text, default="")
    added_by: Mapped[str] = mapped_column(sa.String(120))
    added_at: Mapped[dt.datetime] = mapped_column(Utc)
    withdrawn_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class Build(Model):
    """A documented build: what a PC of it has. `packages` are {provider, name, version} (version "": any), `absent` names.

    `tested_by` and `tested_at`: FITS wants builds tested, and a checklist of what was tried (`checklist`, {text, done}).
    """

    __tablename__ = "builds"
    __table_args__ = (sa.UniqueConstraint("name", "version"),)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    version: Mapped[str] = mapped_column(sa.String(40))
    system: Mapped[str] = mapped_column(sa.String(20))
    description: Mapped[str] = mapped_column(sa.Text, default="")
    packages: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON, default=list)
    absent: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    checklist: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON, default=list)
    tested_by: Mapped[str] = mapped_column(sa.String(120), default="")
    tested_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    created_by: Mapped[str] = mapped_column(sa.String(120))
    created_at: Mapped[dt.datetime] = mapped_column(Utc)
    retired_at: Mapped[dt.datetime | None] = mapped_column(Utc)


class BuildPlace(Model):
    """Where a build belongs: a school, a room of it, a class of endpoint; NULL means all. The narrowest place wins."""

    __tablename__ = "build_places"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    build_id: Mapped[int] = mapped_column(sa.ForeignKey("builds.id"))
    school_id: Mapped[int | None] = mapped_column(sa.Integer)
    room_id: Mapped[int | None] = mapped_column(sa.Integer)
    endpoint_class: Mapped[str | None] = mapped_column(sa.String(20))


class Drift(Model):
    """How far an endpoint is from its build, when its software was last told: how many items, and which (at most 50).

    `software_digest` is empty where its software is not known: then nothing is said.
    """

    __tablename__ = "drift"
    __table_args__ = (sa.Index("ix_drift_build_id_items", "build_id", "items"),)

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    build_id: Mapped[int] = mapped_column(sa.Integer)
    items: Mapped[int] = mapped_column(sa.Integer)
    detail: Mapped[list[dict[str, str]]] = mapped_column(sa.JSON, default=list)
    software_digest: Mapped[str] = mapped_column(sa.String(64), default="")
    at: Mapped[dt.datetime] = mapped_column(Utc)


class LicenceUse(Model):
    """An endpoint that has a licensed item of the library installed, in which version."""

    __tablename__ = "licence_uses"
    __table_args__ = (sa.Index("ix_licence_uses_item_id", "item_id"), {"sqlite_with_rowid": False})

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    item_id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    version: Mapped[str] = mapped_column(sa.String(120), default="")


class LibraryMark(Model):
    """How far the worker has come: "journal" with what endpoints told anew, "sweep" with all endpoints of that day."""

    __tablename__ = "library_marks"

    name: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    number: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    day: Mapped[int] = mapped_column(sa.Integer, default=0)
