"""Leases: of several workers on one store, one at a time has the work. Owns the table and who holds what until when."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from fettle_server.db import Model, Utc, insert_into


class Lease(Model):
    """A named piece of work and who has it until when; a lease that ran out is anybody's."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(sa.String(120))
    until: Mapped[dt.datetime] = mapped_column(Utc)


def take(tx: sa.Connection, name: str, holder: str, life: dt.timedelta, now: dt.datetime) -> bool:
    """True where the holder has the work until now + life: it had it already, the lease had run out, or nobody ever had it."""
    mine = sa.or_(Lease.holder == holder, Lease.until <= now)
    taken = sa.update(Lease).where(Lease.name == name, mine).values(holder=holder, until=now + life).returning(Lease.name)
    if tx.execute(taken).first() is not None:
        return True
    first = insert_into(tx, Lease).values(name=name, holder=holder, until=now + life)
    return tx.execute(first.on_conflict_do_nothing().returning(Lease.name)).first() is not None


def give_back(tx: sa.Connection, name: str, holder: str) -> None:
    """Let the next one have it at once; nothing where somebody else holds it."""
    tx.execute(sa.delete(Lease).where(Lease.name == name, Lease.holder == holder))
