"""What one look of an endpoint makes of all its updates: moves for the ledger. Reads and writes nothing itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple

from fettle_server.change.patches import stepping
from fettle_server.change.patches.catalogue import Known
from fettle_server.change.patches.ledger import Move, Row
from fettle_server.change.patches.reading import Key, Offer, Section
from fettle_server.change.patches.rules import PatchState, earliest
from fettle_server.change.patches.stepping import Seen, Step


class Look(NamedTuple):
    """An endpoint's look as it is taken in."""

    endpoint_pk: int
    school_id: int
    at_ms: int
    section: Section

    def seen(self, provider: str) -> Seen:
        """What it saw of that provider."""
        return Seen(self.at_ms, self.section.worked(provider), self.section.reboot_pending)


def moves(look: Look, rows: Mapping[int, Row], known: Mapping[Key, Known], names: Mapping[int, Key]) -> list[Move]:
    """The moves that a look makes of an endpoint's open updates.

    First what is no longer offered, since what replaced it takes its clock over: a vendor's next version does not wind the
    clock back for a PC that lacked the one before.
    """
    offered = {known[offer.key].id for offer in look.section.offers}
    newest = {offer.key[:2]: (offer.key[2], offer.installed) for offer in look.section.offers}
    carried: dict[tuple[str, str], dt.date] = {}
    found: list[Move] = []
    for id_, row in rows.items():
        if id_ in offered:
            continue
        provider, name, version = names[id_]
        newer = newest.get((provider, name))
        step = stepping.absent(row.had, provider, version, newer, look.seen(provider))
        if step is None:
            continue
        if newer is not None and step.state is PatchState.GONE and row.due_on is not None:
            carried[provider, name] = earliest((row.due_on, carried.get((provider, name)))) or row.due_on
        found.append(moved(row, step, row.due_on, look.at_ms))
    there = (_there(look, offer, known[offer.key], rows, carried) for offer in look.section.offers)
    return found + [move for move in there if move is not None]


def moved(row: Row, step: Step, due_on: dt.date | None, at_ms: int) -> Move:
    """The move of an open update."""
    before = (row.had.state, row.due_on)
    return Move(row.endpoint_pk, row.update_id, row.school_id, before, step.state, step.words, due_on, at_ms, step.installed)


def _there(
    look: Look, offer: Offer, known: Known, rows: Mapping[int, Row], carried: Mapping[tuple[str, str], dt.date]
) -> Move | None:
    row = rows.get(known.id)
    due = earliest((known.due_on, carried.get(offer.key[:2]), row.due_on if row else None))
    step = stepping.offered(row.had if row else None, offer.state, offer.words, look.seen(offer.key[0]))
    if row is None:
        step = step or Step(PatchState.OFFERED, offer.words)
        return Move(
            look.endpoint_pk, known.id, look.school_id, None, step.state, step.words, due, look.at_ms, step.installed,
            offer.installed,
        )  # fmt: skip
    if step is None:
        return None if due == row.due_on else moved(row, Step(row.had.state, row.had.words), due, look.at_ms)
    return moved(row, step, due, look.at_ms)
