"""Windows's pending updates, from the Windows Update Agent and the registry, and what winget and Chocolatey offer.

The agent is asked for what it knows from its last search, not to search anew, so nothing goes over the network. An update
mends security if Microsoft gave it a severity or put it among the security updates. The readings count Windows's own updates;
the section names the others' offers too, which are asked for once a day, for both look in their sources when asked.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from fettle_agent.collectors import Collected, CollectError, Setup
from fettle_agent.collectors.updates import Look, Updates, collected, look, source
from fettle_agent.packages import Offer, windows_update

MAX_AGE_S = 86_400.0
_OTHERS = ("winget", "choco")


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of updates.*."""
    others = [_source(name) for name in _OTHERS if importlib.import_module(f"fettle_agent.packages.{name}").is_here()]
    return lambda: _updates([ask() for ask in others])


def _source(name: str) -> Callable[[], Look]:
    ask = cast(Callable[[], tuple[Offer, ...]], importlib.import_module(f"fettle_agent.packages.{name}").offers)
    return source(name, ask, lambda: None, max_age_s=MAX_AGE_S)


def _updates(others: list[Look]) -> Collected:
    try:
        known = windows_update.look()
    except CollectError as error:
        return collected(Updates(), [Look("windows", error=str(error), failed=True), *others])
    own = look("windows", known.offers)
    updates = Updates(own.pending, own.security, known.reboot_pending, known.days_since_check)
    return collected(updates, [own, *others])
