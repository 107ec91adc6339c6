"""The outbox, routes, deliveries, and proofs that alerts work."""

from __future__ import annotations

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    pass
