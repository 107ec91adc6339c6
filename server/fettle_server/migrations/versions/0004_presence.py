"""When endpoints are expected: learned hours, and when the server itself was away."""

from __future__ import annotations

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    pass
