"""What is held back on purpose, and problems that alike incidents propose."""

from __future__ import annotations

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    pass
