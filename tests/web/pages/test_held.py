"""What is held back, as the console shows it: told once for many PCs, marked on the PC's own page."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from fettle_server import clock
from fettle_server.estate.people.rules import Role
from fettle_server.estate.tables import Endpoint
from fettle_server.proactive.stages.views import HeldRow
from fettle_server.proactive.tables import Fault
from fettle_web.pages.held import alike

NOW = clock.utc_now()
HOSTILE = "Silence: <b>new disk</b>"


def row(number, reason="Part of incident 7: a room", title="Not heard of"):
    stage, fault = ("parent", "parent cause", reason, None), ("absent", "", title, "ill")
    return HeldRow(number, *stage, *fault, "1" * 32, "PC", 1, "School", NOW, None, 7, ())


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ([row(1), row(2), row(3)], [3]),
        ([row(1), row(2)], [1, 1]),
        ([row(1), row(2), row(3), row(4, "another")], [3, 1]),
        ([row(1), row(2, "another"), row(3), row(4)], [1, 1, 1, 1]),
        ([], []),
    ],
)
def test_three_beside_each_other_that_tell_the_same_are_one_line(rows, lines):
    assert [len(group) for group in alike(rows)] == lines


def test_pc_page_says_which_fault_is_held_back_and_why(console):
    console.person("tom", Role.TECHNICIAN)
    with console.begin() as tx:
        pc = tx.execute(sa.select(Endpoint.pk, Endpoint.id).order_by(Endpoint.pk).limit(1)).one()
        until = NOW + dt.timedelta(days=2)
        tx.execute(
            sa.insert(Fault).values(
                endpoint_pk=pc.pk, rule="disk-low", instance="C:", severity="watch", since_at=NOW, raised_at=NOW, value=9.0,
                stage="silence", stage_reason=HOSTILE, held_until=until,
            )
        )  # fmt: skip
    page = console.client("tom").get(f"/pcs/{pc.id}").get_data(as_text=True)
    assert "Held back</span> Silence: &lt;b&gt;new disk&lt;/b&gt;" in page
