"""A rule that people change reaches a real agent within seconds, and the page's counts say who judges by it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from fettle_protocol.policy import Policy, to_mapping
from fettle_server import clock, config, db
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.proactive.policies import shipped
from fettle_server.proactive.rulebook import actions, queries
from fettle_server.proactive.rulebook.rules import Edit
from fettle_server.proactive.rulebook.views import Spreading


def in_store(server: Any, deed: Callable[[Any], Any]) -> Any:
    engine = db.open_engine(config.load(server.data).database_url)
    try:
        with engine.begin() as tx:
            return deed(tx)
    finally:
        engine.dispose()


def spreading(server: Any) -> Spreading:
    found: Spreading = in_store(server, lambda tx: queries.spreading(tx, SYSTEM))
    return found


def any_disk() -> dict[str, Any]:
    """A rule that every disk breaks at once."""
    full = shipped().rule("disk-full")
    assert full is not None
    rule = dataclasses.replace(full, key="own-any-disk", topic="own", raise_level=99.9, clear_level=100, raise_for_s=0)
    return dict(to_mapping(Policy(1, (rule,)))["rules"][0])


def test_changed_rules_are_judged_by_within_seconds_and_the_page_says_so(server: Any, connected: Any, wait_for: Any) -> None:
    assert connected.state
    wait_for(lambda: spreading(server).confirmed == 1, 15)
    begun = time.monotonic()
    made = in_store(server, lambda tx: actions.add_rule(tx, SYSTEM, any_disk(), "to see it", clock.utc_now()))
    wait_for(lambda: server.incidents("open", "own-any-disk"), 15)
    wait_for(lambda: (spreading(server).version, spreading(server).confirmed) == (made, 1), 15)
    assert time.monotonic() - begun < 15
    back = in_store(server, lambda tx: actions.roll_back(tx, SYSTEM, made - 1, Edit("seen"), clock.utc_now()))
    wait_for(lambda: server.incidents("resolved", "own-any-disk"), 15)
    wait_for(lambda: [(one.version, one.connected) for one in spreading(server).holdings] == [(back, 1)], 15)
