"""What is held back: the stages in their order, what each holds now and what it held, and the silences that people set."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from fettle_web import auth, store
from fettle_web.pages.parts import pages, respond


@pages.get("/proactive/held")
def held() -> ResponseReturnValue:
    """The stages, with what they hold."""
    auth.person()
    with store.reading() as tx:
        return respond("pages/held.html", tx, nav="held")
