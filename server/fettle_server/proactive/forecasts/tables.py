"""The tables of forecasts: what each day was like, how far the nightly work has come, and what is coming.

`daily` is made from packed history and lasts longer; a row's key is `day * 2**32 + endpoint` (days since the epoch, UTC), so
that a day's rows are appended side by side and a year's age is dropped from one end.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc

SHIFT = 2**32
_UNTOLD = sa.text("is_raised <> is_told")


class Daily(Model):
    """One endpoint's day: the tracked readings' lowest, mean, highest, last and minutes (forecasts.days.encode)."""

    __tablename__ = "daily"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)


class NightlyMark(Model):
    """How far a piece of nightly work has come: all of the days before `day`, and of `day` the endpoints up to `after_pk`."""

    __tablename__ = "nightly_marks"

    name: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    day: Mapped[int] = mapped_column(sa.Integer)
    after_pk: Mapped[int] = mapped_column(sa.BigInteger)


class Forecast(Model):
    """What is coming to an endpoint by one of the server's forecasting rules; gone once it is well again.

    `value` is in the unit of the rule's reading, `low` and `high` bound it (8 chances in 10); `sure_percent` as the forecast
    says it; `due_at` is when it comes to pass, None where it is no matter of a day. `phase`, `since_ms` and `seen_ms` are the
    rule's state (fettle_protocol.rules.State). `is_raised`: the rule says so; `is_told`: the fault or task was made of it.
    """

    __tablename__ = "forecasts"
    __table_args__ = (
        sa.UniqueConstraint("endpoint_pk", "rule", "instance"),
        sa.Index("ix_forecasts_due_at_id", "due_at", "id"),
        sa.Index("ix_forecasts_school_id_due_at_id", "school_id", "due_at", "id"),
        sa.Index("ix_forecasts_untold", "id", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    endpoint_pk: Mapped[int] = mapped_column(sa.ForeignKey("endpoints.pk"))
    school_id: Mapped[int] = mapped_column(sa.ForeignKey("schools.id"))
    rule: Mapped[str] = mapped_column(sa.String(80))
    instance: Mapped[str] = mapped_column(sa.String(200), default="")
    made_on: Mapped[dt.date] = mapped_column(sa.Date)
    value: Mapped[float] = mapped_column(sa.Float)
    low: Mapped[float | None] = mapped_column(sa.Float)
    high: Mapped[float | None] = mapped_column(sa.Float)
    sure_percent: Mapped[int | None] = mapped_column(sa.Integer)
    sentence: Mapped[str] = mapped_column(sa.String(300))
    detail: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    due_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    phase: Mapped[str] = mapped_column(sa.String(10))
    since_ms: Mapped[int] = mapped_column(sa.BigInteger)
    seen_ms: Mapped[int] = mapped_column(sa.BigInteger)
    is_raised: Mapped[bool] = mapped_column(sa.Boolean, default=False)
    is_told: Mapped[bool] = mapped_column(sa.Boolean, default=False)


class Pace(Model):
    """An endpoint's lately usual sign-in and start times and its sensors' rise, for comparison with its peers."""

    __tablename__ = "paces"
    __table_args__ = (sa.Index("ix_paces_model", "model"),)

    endpoint_pk: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    school_id: Mapped[int] = mapped_column(sa.Integer)
    model: Mapped[str] = mapped_column(sa.String(200), default="")
    sign_in_s: Mapped[float | None] = mapped_column(sa.Float)
    boot_s: Mapped[float | None] = mapped_column(sa.Float)
    rise_c: Mapped[float | None] = mapped_column(sa.Float)


class Warranty(Model):
    """Until when an endpoint's maker mends it, and who says so ("set by ...", "imported")."""

    __tablename__ = "warranties"
    __table_args__ = (sa.Index("ix_warranties_ends_on", "ends_on"),)

    endpoint_pk: Mapped[int] = mapped_column(sa.ForeignKey("endpoints.pk"), primary_key=True, autoincrement=False)
    ends_on: Mapped[dt.date] = mapped_column(sa.Date)
    source: Mapped[str] = mapped_column(sa.String(120), default="")
    set_at: Mapped[dt.datetime] = mapped_column(Utc)
