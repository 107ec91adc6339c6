"""Something that is due again and again."""

from __future__ import annotations


class Beat:
    """One interval; `due_s` may be moved by whoever owns it."""

    __slots__ = ("due_s", "every_s")

    def __init__(self, every_s: float, first_s: float) -> None:
        self.every_s = every_s
        self.due_s = first_s

    def is_due(self, now_s: float) -> bool:
        """True once for each interval."""
        if now_s < self.due_s:
            return False
        self.due_s = now_s + self.every_s
        return True
