"""A rollout is watched, and halted by one key that says first what it does."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server import clock
from fettle_server.change.rollouts.tables import Rollout, RolloutTarget
from fettle_server.estate.tables import Endpoint
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def running(served: Any) -> int:
    """The rollout that runs."""
    return int(served.value(sa.select(Rollout.id).where(Rollout.state == "running")))


def test_a_mark_moves_in_place_when_its_pc_makes_a_step(visit: Any, served: Any) -> None:
    number = running(served)
    at_it = sa.select(RolloutTarget.endpoint_pk).where(RolloutTarget.rollout_id == number, RolloutTarget.state == "running")
    pk = served.value(at_it.limit(1))
    endpoint_id = served.value(sa.select(Endpoint.id).where(Endpoint.pk == pk))
    page = visit(f"/rollouts/{number}").page
    mark = page.locator(f"#m-{endpoint_id} .mark")
    expect(mark).to_have_class("mark r-running")
    page.evaluate("(id) => (window.same = document.getElementById(id))", f"m-{endpoint_id}")
    page.wait_for_timeout(2500)
    with served.engine.begin() as tx:
        is_it = sa.and_(RolloutTarget.rollout_id == number, RolloutTarget.endpoint_pk == pk)
        tx.execute(sa.update(RolloutTarget).where(is_it).values(state="changed", since=clock.utc_now()))
    expect(mark).to_have_class("mark r-done", timeout=10_000)
    assert page.evaluate("(id) => window.same === document.getElementById(id)", f"m-{endpoint_id}")


def test_halting_is_one_key_away_and_says_what_it_will_do(visit: Any, served: Any) -> None:
    number = running(served)
    page = visit(f"/rollouts/{number}", name="morag", width=390).page
    page.keyboard.press("h")
    expect(page.locator("#ask-halt .ask-words")).to_contain_text("will not begin")
    page.keyboard.type("Somebody rang")
    page.keyboard.press("Enter")
    expect(page.locator("#result")).to_contain_text("Halted")
    assert served.value(sa.select(Rollout.state).where(Rollout.id == number)) == "halted"
    expect(page.locator("#head")).to_contain_text("incident")
    expect(page.get_by_text("Undo it…")).to_be_visible()
