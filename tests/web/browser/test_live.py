"""What happens elsewhere shows up by itself, in place."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from fettle_protocol import catalogue
from fettle_protocol.v1 import link_pb2
from fettle_server import clock
from fettle_server.db import to_ms
from fettle_server.estate.tables import Endpoint, Watch
from fettle_server.journal.actions import record
from fettle_server.reactive.tables import Incident
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def open_incident(served: Any, title: str) -> int:
    """An incident as the server opens it, with its journal entry."""
    now = clock.utc_now()
    with served.engine.begin() as tx:
        endpoint = tx.execute(
            sa.select(Endpoint.pk, Endpoint.id, Endpoint.school_id).where(Endpoint.state == "well").limit(1)
        ).one()
        made = tx.execute(
            sa.insert(Incident).values(
                cause=f"test:{title}", impact="school", urgency="high", priority=1, title=title, school_id=endpoint.school_id,
                endpoint_pk=endpoint.pk, rule="gateway-lost", opened_at=now, updated_at=now,
            )
        )  # fmt: skip
        number = int(made.inserted_primary_key[0])
        record(
            tx, "incident.opened", f"endpoint:{endpoint.id}", f"incident:{number}", endpoint.school_id, {"title": title}, now
        )
    return number


@pytest.mark.parametrize("path", ["/", "/incidents"])
def test_incident_appears_without_a_reload(visit: Any, served: Any, path: str) -> None:
    page = visit(path).page
    page.evaluate("window.sameDocument = true")
    open_incident(served, f"The switch of room 3 is dead, seen on {path}")
    expect(page.get_by_text(f"The switch of room 3 is dead, seen on {path}").first).to_be_visible(timeout=10_000)
    assert page.evaluate("window.sameDocument")


def test_typing_and_focus_survive_what_happens(visit: Any, served: Any) -> None:
    page = visit("/incidents").page
    page.keyboard.press("/")
    page.keyboard.type("half a wo")
    open_incident(served, "Something new while typing")
    expect(page.get_by_text("Something new while typing")).to_be_visible(timeout=10_000)
    assert page.evaluate("document.activeElement.name") == "q"
    assert page.locator("input[type=search]").input_value() == "half a wo"


def test_open_disclosures_and_half_written_comments_survive(visit: Any, served: Any) -> None:
    number = open_incident(served, "To be worked on by two")
    page = visit(f"/incidents/{number}", name="morag").page
    page.get_by_text("Resolve…").click()
    page.get_by_label("What fixed it?").fill("Half a senten")
    other = visit(f"/incidents/{number}", name="ewan").page
    other.get_by_role("button", name="Take it").click()
    expect(page.locator("#actions")).to_contain_text("ewan has it", timeout=10_000)
    assert page.get_by_label("What fixed it?").input_value() == "Half a senten"
    assert page.evaluate("document.activeElement.id") == "resolve-text"


def test_what_belongs_to_another_school_is_not_told(visit: Any, served: Any) -> None:
    heard: list[str] = []
    page = visit("/incidents").page
    page.on("request", lambda request: heard.append(request.url) if "part=" in request.url else None)
    with served.engine.begin() as tx:
        record(tx, "endpoint.state", "system", "endpoint:" + "0" * 32, 1, {}, clock.utc_now())
    page.wait_for_timeout(1200)
    assert heard == []  # the queue does not care for states of PCs


def test_live_readings_move_the_strip(visit: Any, served: Any) -> None:
    endpoint_id = served.endpoint("ill")
    page = visit(f"/pcs/{endpoint_id}").page
    pk = served.value(sa.select(Endpoint.pk).where(Endpoint.id == endpoint_id))
    waiting = sa.select(Watch.until).where(Watch.endpoint_pk == pk)
    expect(page.locator("[data-live-note]")).to_be_visible()
    for _ in range(20):
        if served.value(waiting):
            break
        page.wait_for_timeout(100)
    live = link_pb2.Live(at_ms=to_ms(clock.utc_now()))
    live.readings.add(key=catalogue.BY_KEY["cpu.busy_percent"].number, value=88.5)
    with served.engine.begin() as tx:
        tx.execute(
            sa.update(Watch).where(Watch.endpoint_pk == pk).values(live_at=clock.utc_now(), live=live.SerializeToString())
        )
    expect(page.locator("[data-reading='cpu.busy_percent'] [data-value]")).to_have_text("88.5 %", timeout=10_000)
    expect(page.locator("[data-live-note]")).to_contain_text("Live")


def test_banner_comes_when_the_server_goes_and_goes_when_it_comes_back(visit: Any, served: Any) -> None:
    page = visit("/").page
    port = int(served.url.rpartition(":")[2])
    page.wait_for_timeout(500)
    served.stop()
    expect(page.locator("#offline")).to_be_visible(timeout=10_000)
    served.start(port)
    expect(page.locator("#offline")).to_be_hidden(timeout=15_000)
    open_incident(served, "After the server came back")
    expect(page.get_by_text("After the server came back").first).to_be_visible(timeout=10_000)
