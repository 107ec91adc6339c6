"""What a channel raises where the receiver did not take a notice."""

from __future__ import annotations

from fettle_server.notify.wording import flat

_LIMIT = 300


class Outcome(Exception):
    """The receiver did not take it; `text` is what it said, without secrets."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = flat(text)[:_LIMIT]


class Down(Outcome):
    """The receiver could not be reached or cannot take anything now. `in_vain`: it surely did not get the notice."""

    def __init__(self, text: str, *, in_vain: bool) -> None:
        super().__init__(text)
        self.in_vain = in_vain


class Refused(Outcome):
    """The receiver was reached, and did not want this notice."""
