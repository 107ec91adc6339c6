"""The rule book's own table: which change made which version."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Serial, Utc


class RuleChange(Model):
    """One rule changed by one version of the policy; the version says who and when. `rule` as in the policy.

    `kind` is what was done: "edited", "switched on", "switched off", "added", "removed", "restored", "rolled back", "shipped",
    "imported". `words` says what differs from the version before, a sentence each.
    """

    __tablename__ = "rule_changes"
    __table_args__ = (
        sa.Index("ix_rule_changes_rule_version", "rule", "version"),
        sa.Index("ix_rule_changes_version", "version"),
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    version: Mapped[int] = mapped_column(sa.ForeignKey("policies.version"))
    rule: Mapped[str] = mapped_column(sa.String(80))
    kind: Mapped[str] = mapped_column(sa.String(20))
    actor: Mapped[str] = mapped_column(sa.String(120))
    why: Mapped[str] = mapped_column(sa.String(500), default="")
    words: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    at: Mapped[dt.datetime] = mapped_column(Utc)
