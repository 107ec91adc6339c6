"""What a look at who is missing works with: the moment, since when the server hears, what the rule book says, who is absent.

Owns how an absence is raised and cleared. Who is absent is decided by losses.py and attendance.py.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import sqlalchemy as sa
from fettle_protocol.policy import Rule, Severity

from fettle_server.db import to_ms
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.presence import rules
from fettle_server.proactive.presence.rules import Expectation
from fettle_server.proactive.rules import ABSENT, RECOVERED, SETTLED, Clear, Raise, Signal
from fettle_server.proactive.stages.rules import Stage
from fettle_server.proactive.tables import Fault

IS_ABSENT = sa.text("faults.rule = 'absent' AND faults.cleared_at IS NULL")
"""As the partial index says it, so that it can be used."""
_DETAIL_LIMIT = 200


@dataclass(slots=True)
class Look:
    """One look: `looked` is when the last one was, `ready` from when on silence may be judged.

    What it finds is gathered in `signals` and, of faults that need not wait for company any more, in `ripe`.
    """

    now: dt.datetime
    looked: dt.datetime
    ready: dt.datetime
    rule: Rule | None
    version: int
    absent: frozenset[int]
    signals: list[tuple[int, Signal]] = field(default_factory=list)
    ripe: list[tuple[int, str, str]] = field(default_factory=list)

    def expects(self, endpoint_class: str) -> Expectation:
        """When the class is expected, as far as the rule book has the rule on for it."""
        if self.rule is not None and (not self.rule.enabled or (self.rule.classes and endpoint_class not in self.rule.classes)):
            return Expectation.NEVER
        return rules.expectation(endpoint_class)

    @property
    def server_patience(self) -> dt.timedelta:
        """How long an always-on machine is missed before its absence is told."""
        return dt.timedelta(minutes=self.rule.raise_level if self.rule else rules.SERVER_MINUTES)

    def missing(self, pk: int, since: dt.datetime, detail: str, *, held: dt.timedelta | None = None) -> None:
        """It is absent: raise that, to wait for company for so long; where it is raised already, it has waited enough."""
        if pk in self.absent:
            if held is None:
                self.ripe.append((pk, ABSENT, ""))
            return
        severity = self.rule.severity if self.rule else Severity.ILL
        minutes = max(0.0, (self.now - since).total_seconds() / 60)
        hold_ms = 0 if held is None else to_ms(self.now + held)
        since_ms, at_ms, text = min(to_ms(since), to_ms(self.now)), to_ms(self.now), detail[:_DETAIL_LIMIT]
        signal = Raise(at_ms, ABSENT, "", severity, round(minutes, 1), since_ms, [], self.version, text, False, hold_ms)
        self.signals.append((pk, signal))


@dataclass(frozen=True, slots=True)
class Absence:
    """An absence that is raised, and what became of its endpoint since."""

    endpoint_pk: int
    raised_at: dt.datetime
    connected: bool
    connected_since: dt.datetime | None
    left_at: dt.datetime | None
    endpoint_class: str
    stage: str


def absences(tx: sa.Connection) -> tuple[Absence, ...]:
    """All that are open."""
    columns = (
        Fault.endpoint_pk, Fault.raised_at, Endpoint.connected, Endpoint.connected_since, Endpoint.left_at,
        Endpoint.endpoint_class, Fault.stage,
    )  # fmt: skip
    statement = (
        sa.select(*columns).join(Endpoint, Endpoint.pk == Fault.endpoint_pk).where(IS_ABSENT).order_by(Fault.endpoint_pk)
    )
    return tuple(Absence(*row) for row in tx.execute(statement))


def clear_those_back(look: Look, raised: tuple[Absence, ...]) -> None:
    """Absences of endpoints that are there again for a minute, or were meanwhile, or that nobody expects any more, are over.

    So are those that a wider cause left behind: whether such a PC is missed by itself is asked anew on the next school day.
    """
    at_ms = to_ms(look.now)
    for absence in raised:
        back_ms = at_ms if absence.connected_since is None else to_ms(absence.connected_since)
        if is_back(absence, look.now):
            clear = Clear(at_ms, ABSENT, "", RECOVERED, 0.0, min(back_ms, at_ms), [], False)
        elif absence.stage == Stage.LATE or look.expects(absence.endpoint_class) is Expectation.NEVER:
            clear = Clear(at_ms, ABSENT, "", SETTLED, 0.0, at_ms, [], False)
        else:
            continue
        look.signals.append((absence.endpoint_pk, clear))


def is_back(absence: Absence, now: dt.datetime) -> bool:
    """True where it has been connected for long enough since it was missed; at once where nobody was told that it was."""
    since = absence.connected_since
    if since is None:
        return False
    if absence.connected:
        return bool(absence.stage) or now - since >= rules.BACK_FOR
    return since > absence.raised_at and absence.left_at is not None and absence.left_at - since >= rules.BACK_FOR
