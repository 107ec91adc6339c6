"""When a wider cause is over although some of its machines have not said so, and what becomes of those.

A machine that nobody hears can neither be well nor ill: it was switched off meanwhile, or it is still cut off. Which of the
two is told by its room: where some of a room are back, the others are off; where none is, the room is still lost.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from fettle_protocol.policy import EndpointClass

from fettle_server.estate.calendars.queries import calendars
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.causes.cases import UNHEARD_EVERY
from fettle_server.proactive.causes.rules import LEAST
from fettle_server.proactive.rules import ABSENT
from fettle_server.proactive.stages.rules import HEARD_FOR, QUIET_LEAST, Stage
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.rules import SPLIT_SHARE
from fettle_server.reactive.tickets import Ticket

_LEAST_BACK = 2
SAME_LESSON = dt.timedelta(hours=1)
"""So soon after its incident was opened, a room's PCs that are not back are likelier lost than switched off..."""
LEAVING = dt.timedelta(minutes=30)
"""... but not so shortly before the school closes."""
LONGEST_UNHEARD = dt.timedelta(days=7)
"""A machine that is away for longer keeps no incident open for a fault that came and went."""
_SAID_GOODBYE = frozenset({"clean", "sleeping", "stopped"})
_CHUNK = 5000
_Row = sa.Row[int, str, int | None, str, bool, dt.datetime | None, str]


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The faults (ids) that a wider cause leaves behind: of machines that are heard and ill, and of those that are unheard."""

    ill: frozenset[int]
    unheard: frozenset[int]

    def sentence(self, over: int, total: int) -> str:
        """What its last line says of them."""
        words = [f"Over for {over} of {total}"]
        if self.ill:
            words.append(f"{len(self.ill)} that are still ill go on by themselves")
        if self.unheard:
            words.append(f"{len(self.unheard)} have not been heard of since")
        return "; ".join(words)


def is_over(recovered: int, ill: int) -> bool:
    """True where enough of those that can be heard are well again."""
    return recovered >= _LEAST_BACK and recovered >= SPLIT_SHARE * (recovered + ill)


def quiet_unheard(tx: sa.Connection, ticket: Ticket, now: dt.datetime) -> dt.datetime | None:
    """When to look again whether a fault that came and went stays away; None: its machine was heard for long enough.

    What nobody hears is quiet too: the night between two days on which a fault comes and goes is no recovery.
    """
    columns = (Endpoint.connected, Endpoint.connected_since, Endpoint.last_seen, Endpoint.revoked_at)
    row = tx.execute(sa.select(*columns).where(Endpoint.pk == ticket.endpoint_pk)).one_or_none()
    if row is None or row.revoked_at is not None or row.last_seen is None:
        return None
    if not row.connected:
        return None if now - row.last_seen > LONGEST_UNHEARD else now + UNHEARD_EVERY
    heard = now if row.connected_since is None else row.connected_since + QUIET_LEAST
    return heard if heard > now else None


def leftovers(tx: sa.Connection, ids: Sequence[int], ticket: Ticket, now: dt.datetime) -> Leftovers:
    """Sort the open faults of a shared incident by whether their machines can be heard."""
    columns = (
        Fault.id, Fault.rule, Endpoint.room_id, Endpoint.endpoint_class, Endpoint.connected, Endpoint.connected_since,
        Endpoint.leave,
    )  # fmt: skip
    statement = sa.select(*columns).join(Endpoint, Endpoint.pk == Fault.endpoint_pk)
    pieces = (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
    rows = [row for piece in pieces for row in tx.execute(statement.where(Fault.id.in_(piece)))]
    lost = _rooms_without_return(tx, ticket, [row.room_id for row in rows if not _was_switched_off(row)], now)
    ill = {row.id for row in rows if _is_ill(row, lost, now)}
    return Leftovers(frozenset(ill), frozenset(row.id for row in rows) - ill)


def _was_switched_off(row: _Row) -> bool:
    """It said goodbye after its fault was told: a trolley that was closed in the middle of it is not lost."""
    return row.rule != ABSENT and not row.connected and row.leave in _SAID_GOODBYE


def _is_ill(row: _Row, lost: frozenset[int], now: dt.datetime) -> bool:
    if row.rule == ABSENT and row.endpoint_class == EndpointClass.SERVER:
        return True
    if row.room_id in lost and not _was_switched_off(row):
        return True
    heard = row.connected and (row.connected_since is None or now - row.connected_since >= HEARD_FOR)
    return bool(heard and row.rule != ABSENT)


def _rooms_without_return(tx: sa.Connection, ticket: Ticket, left: Sequence[int | None], now: dt.datetime) -> frozenset[int]:
    """Rooms of which several are left and nobody is back; of one room's own incident there is none.

    After another lesson that says nothing, for rooms are used at different hours: their next use tells.
    """
    if ticket.room_id is not None or ticket.school_id is None or now - ticket.opened_at > SAME_LESSON:
        return frozenset()
    if not calendars(tx, [ticket.school_id])[ticket.school_id].is_open(now + LEAVING):
        return frozenset()
    back = set(
        tx.scalars(
            sa.select(Endpoint.room_id)
            .join(Fault, Fault.endpoint_pk == Endpoint.pk)
            .where(Fault.incident_number == ticket.number, Fault.stage == Stage.PARENT, Fault.cleared_at.is_not(None))
            .distinct()
        )
    )
    counted = Counter(room for room in left if room is not None and room not in back)
    return frozenset(room for room, count in counted.items() if count >= LEAST)
