"""Daily summaries of history, forecasts, and maintenance tasks."""

from __future__ import annotations

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    pass
