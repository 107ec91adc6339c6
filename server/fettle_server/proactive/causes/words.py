"""What to say of a wider cause: its rule's words are about one machine. Pure."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from fettle_protocol.policy import Rule, Spread

from fettle_server.reactive.rules import Scope

_CONNECTION = frozenset({"presence.absent_minutes", "gateway.reachable"})
_CUT_OFF = "Most of its PCs that were on went silent together: they have one cause, and its end is seen by itself."
_NO_NAMES = "Most of its PCs reach the network but cannot turn names into addresses: the name server they share is the cause."
_IN_COMMON = "So many at one time are no chance: what they have in common is the cause, not each of them."
_FIRST = {
    Scope.ROOM: "Look at the room's switch and its power first: a light that is out, a plug that is loose, a fuse.",
    Scope.SCHOOL: "Ring the school: is the power on? If it is, look at its router and ask the provider about the line.",
}


class Words(NamedTuple):
    """What an incident means that no rule of the policy opened, and what is to be done about it first."""

    meaning: str
    first_step: str
    severity: str = "ill"


_OWN = {
    "rollout-halted": Words(
        "A rollout stopped, by its gate or by a person: nothing of it begins any more, and the PCs that took it still have it.",
        "Look at one of the PCs that are unwell on the rollout's page. Then back the rollout out, or say why it may go on.",
    ),
}


def advice(rule: Rule | None, scope: str, key: str = "") -> Rule | Words | None:
    """The rule with what its fault means, and is to be done about first, at that level; `key` names what no rule opened."""
    if rule is None:
        return _OWN.get(key)
    if scope == Scope.ENDPOINT:
        return rule
    if rule.spread is Spread.PLACE and rule.reading in _CONNECTION:
        return dataclasses.replace(rule, meaning=_CUT_OFF, first_step=_FIRST.get(Scope(scope), rule.first_step))
    if rule.spread is Spread.PLACE and rule.reading == "dns.working":
        first = "Look at the name server that they use: is it on, and does its service run? Then at the line beyond it."
        return dataclasses.replace(rule, meaning=_NO_NAMES, first_step=first)
    if rule.spread is Spread.KIND:
        first = "See what changed on them lately, an update first of all; mend one of them before you touch the others."
        return dataclasses.replace(rule, meaning=f"{rule.meaning} {_IN_COMMON}", first_step=first)
    return rule
