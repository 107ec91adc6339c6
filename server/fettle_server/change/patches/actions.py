"""What changes of updates: endpoints' looks at them, what jobs told, what a change approved. Never commits.

The hot path is `take`: it runs in the writer's transaction, for many endpoints at a time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from fettle_server.change.patches import catalogue, ledger, software, stepping
from fettle_server.change.patches.catalogue import Known
from fettle_server.change.patches.ledger import Move, Row, Scan, Sum
from fettle_server.change.patches.looks import Look, moved
from fettle_server.change.patches.looks import moves as moves_of
from fettle_server.change.patches.reading import Key, read
from fettle_server.change.patches.rules import OPEN, PatchState
from fettle_server.change.patches.stepping import Seen, Step
from fettle_server.db import as_json, to_ms
from fettle_server.estate.tables import Endpoint

SETTLED_BY_SOFTWARE = frozenset({"apt", "dnf"})
"""The providers whose packages stand in the software inventory under the same names."""
_SETTLE_AFTER_MS = 60_000
_APPROVABLE = frozenset({PatchState.OFFERED, PatchState.FAILED})
_PIECE = 400


class Told(NamedTuple):
    """What a job's step that touched packages told of one endpoint.

    `packages` maps the names that the step was about to the version that is there now ("" where the tool does not say);
    `state` is DOWNLOADED, INSTALLED, REBOOT_PENDING or FAILED; `words` the operating system's own.
    """

    endpoint_pk: int
    at: dt.datetime
    change_id: int | None
    provider: str
    packages: dict[str, str]
    state: PatchState
    words: str = ""


def take(tx: sa.Connection, looks: Sequence[tuple[int, dt.datetime, bytes]], now: dt.datetime) -> None:
    """Take in "updates" sections as they came (endpoint pk, time, zlib-compressed JSON); the last of an endpoint counts.

    Never raises for what a section holds: what is malformed is left out, and said in the endpoint's look.
    """
    if not looks:
        return
    newest = {pk: (to_ms(at), read(body)) for pk, at, body in looks}
    taken = [Look(pk, school_id, *newest[pk]) for pk, school_id in _schools(tx, newest)]
    known = catalogue.learn(tx, (offer for look in taken for offer in look.section.offers), now)
    held = ledger.open_rows(tx, [look.endpoint_pk for look in taken])
    names = _names(tx, known, held)
    excepted = ledger.exceptions(tx)
    moves: list[Move] = []
    scans: list[Scan] = []
    for look in taken:
        rows = held[look.endpoint_pk]
        made = moves_of(look, rows, known, names)
        moves.extend(made)
        settle = any(move.state is PatchState.GONE and names[move.update_id][0] in SETTLED_BY_SOFTWARE for move in made)
        scans.append(_scan(look, _total(rows, made, excepted), settle))
    ledger.move(tx, moves)
    ledger.store_scans(tx, scans)


def job_progress(tx: sa.Connection, told: Sequence[Told], now: dt.datetime) -> None:
    """Note that packages were downloaded, where that is further than what is known."""
    _hear(tx, [one for one in told if one.state is PatchState.DOWNLOADED], now)


def job_ended(tx: sa.Connection, told: Sequence[Told], now: dt.datetime) -> None:
    """Note what ended steps did: installed, waiting for a restart, or failed. Proven is only what a later look shows."""
    _hear(tx, told, now)


def approve(tx: sa.Connection, change_id: int, updates: Collection[int], endpoints: Collection[int], now: dt.datetime) -> int:
    """Note that a change approved these updates (ids) for these endpoints (pks); returns how many rows that moved."""
    wanted, pks, moved_rows = frozenset(updates), sorted(set(endpoints)), 0
    for start in range(0, len(pks), _PIECE):
        held = ledger.open_rows(tx, pks[start : start + _PIECE])
        rows = [
            row
            for of_pk in held.values()
            for row in of_pk.values()
            if row.update_id in wanted and (row.had.state in _APPROVABLE or row.change_id is None)
        ]
        step = [row for row in rows if row.had.state in _APPROVABLE]
        ledger.move(tx, [moved(row, Step(PatchState.APPROVED, row.had.words), row.due_on, to_ms(now)) for row in step])
        ledger.mark(tx, change_id, [(row.endpoint_pk, row.update_id) for row in rows])
        moved_rows += len(rows)
    return moved_rows


def settle(tx: sa.Connection, now: dt.datetime, limit: int) -> int:
    """Ask endpoints' software whether updates that are no longer offered were installed; returns how many were asked."""
    due = ledger.unsettled(tx, now, limit)
    at_ms = to_ms(now)
    moves: list[Move] = []
    open_questions: set[int] = set()
    for scan in due:
        found = software.versions(tx, scan.endpoint_pk)
        for row, (provider, name, version) in ledger.lately_gone(tx, scan.endpoint_pk, now):
            seen = Seen(at_ms, True, scan.reboot_pending)
            step = stepping.software(provider, version, found.get(name, ""), seen)
            if step is None:
                open_questions.add(scan.endpoint_pk)
            else:
                moves.append(moved(row, step, row.due_on, at_ms))
    ledger.move(tx, moves)
    ledger.asked(tx, due, open_questions, now)
    ledger.refresh(tx, {move.endpoint_pk for move in moves})
    return len(due)


def forget_revoked(tx: sa.Connection, now: dt.datetime, limit: int) -> int:
    """Updates of endpoints that were revoked are nobody's lack any more; returns of how many endpoints."""
    pks = ledger.revoked(tx, limit)
    held = ledger.open_rows(tx, pks)
    gone = Step(PatchState.GONE, "The PC's identity was revoked.")
    ledger.move(tx, [moved(row, gone, row.due_on, to_ms(now)) for rows in held.values() for row in rows.values()])
    ledger.forget_scans(tx, pks)
    return len(pks)


def _hear(tx: sa.Connection, told: Sequence[Told], now: dt.datetime) -> None:
    if not told:
        return
    held = ledger.open_rows(tx, {one.endpoint_pk for one in told})
    names = catalogue.names_of(tx, {id_ for rows in held.values() for id_ in rows})
    moves: dict[tuple[int, int], Move] = {}
    marks: dict[int, list[tuple[int, int]]] = {}
    for one in told:
        for id_, row in held[one.endpoint_pk].items():
            provider, name, version = names[id_]
            if provider != one.provider or name not in one.packages:
                continue
            step = stepping.told(row.had, one.state, one.words, provider=provider, version=version, found=one.packages[name])
            if step is not None:
                moves[one.endpoint_pk, id_] = moved(row, step, row.due_on, to_ms(min(one.at, now)))
                if one.change_id is not None:
                    marks.setdefault(one.change_id, []).append((one.endpoint_pk, id_))
    ledger.move(tx, list(moves.values()))
    for change_id, keys in marks.items():
        ledger.mark(tx, change_id, keys)
    ledger.refresh(tx, {pk for pk, _ in moves})


def _schools(tx: sa.Connection, pks: Iterable[int]) -> list[tuple[int, int]]:
    """(pk, school) of those endpoints that are there and not revoked."""
    wanted = sorted(pks)
    found: list[tuple[int, int]] = []
    for start in range(0, len(wanted), _PIECE):
        which = (Endpoint.pk.in_(wanted[start : start + _PIECE]), Endpoint.revoked_at.is_(None))
        found.extend((row[0], row[1]) for row in tx.execute(sa.select(Endpoint.pk, Endpoint.school_id).where(*which)))
    return found


def _names(tx: sa.Connection, known: Mapping[Key, Known], held: Mapping[int, Mapping[int, Row]]) -> dict[int, Key]:
    """The updates that are offered or open here."""
    names = {update.id: key for key, update in known.items()}
    return names | catalogue.names_of(tx, {id_ for rows in held.values() for id_ in rows} - names.keys())


def _total(rows: Mapping[int, Row], moves: Sequence[Move], excepted: Collection[tuple[int, int | None]]) -> Sum:
    """What an endpoint's updates come to after those moves."""
    open_ones = {id_: (id_, row.school_id, row.had.state, row.due_on) for id_, row in rows.items()}
    open_ones |= {move.update_id: (move.update_id, move.school_id, move.state, move.due_on) for move in moves}
    return ledger.sum_up((one for one in open_ones.values() if one[2] in OPEN), excepted)


def _scan(look: Look, total: Sum, settle: bool) -> Scan:
    section = look.section
    providers = as_json([{"provider": name, "error": error} for name, error in sorted(section.providers.items())])
    worked = section.whole and bool(section.providers) and not any(section.providers.values())
    settle_ms = look.at_ms + _SETTLE_AFTER_MS if settle else None
    return Scan(look.endpoint_pk, look.at_ms, section.reboot_pending, worked, providers, section.refused, total, settle_ms)
