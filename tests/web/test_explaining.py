"""A countdown on a PC's page, its explanation, and the live word that other durations run."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2
from fettle_server import clock
from fettle_server.db import to_ms
from fettle_server.estate.people.rules import Role
from fettle_server.estate.tables import Vitals
from fettle_web.live import Look

PC = "1" * 32


@pytest.fixture
def console(open_console: Any) -> Any:
    console = open_console()
    console.person("ada", Role.ADMINISTRATOR)
    return console


def _pending(console: Any, *rules: str) -> None:
    now = clock.utc_now()
    body = link_pb2.Vitals(pending=[link_pb2.Pending(rule=rule, since_ms=to_ms(now)) for rule in rules])
    with console.begin() as tx:
        tx.execute(sa.update(Vitals).where(Vitals.endpoint_pk == 1).values(at=now, body=body.SerializeToString()))


def test_page_counts_down_what_is_about_to_be_raised(console: Any) -> None:
    _pending(console, "processor-busy")
    for path in (f"/pcs/{PC}", f"/pcs/{PC}/why"):
        page = console.client("ada").get(path).get_data(as_text=True)
        assert 'data-word="raises" data-if="it stays above 95 %"' in page


def test_page_shows_no_countdown_where_none_runs(console: Any) -> None:
    assert "data-ends" not in console.client("ada").get(f"/pcs/{PC}").get_data(as_text=True)


def test_live_page_hears_once_that_other_durations_run(console: Any) -> None:
    with console.app.test_request_context():
        look = Look(console.people["ada"], PC)
        assert [look.counts_otherwise(second) for second in (0.0, 3.0)] == [False, False]
        _pending(console, "processor-busy")
        assert [look.counts_otherwise(second) for second in (4.0, 6.0, 9.0)] == [False, True, False]
