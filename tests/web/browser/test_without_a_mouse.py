"""The queue worked by the keyboard alone, and the pages without any script."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server.estate.tables import Endpoint, School
from fettle_server.reactive.tables import Incident
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def first_new(served: Any) -> int:
    """The number of the first incident in the queue that nobody has."""
    order = Incident.priority, Incident.number
    wanted = sa.select(Incident.number).where(Incident.state == "new").order_by(*order).limit(1)
    return int(served.value(wanted))


def state_of(served: Any, number: int) -> str:
    """The incident's state in the store."""
    return str(served.value(sa.select(Incident.state).where(Incident.number == number)))


def test_incident_is_taken_and_resolved_by_keys(visit: Any, served: Any) -> None:
    number = first_new(served)
    page = visit("/incidents?who=nobody", name="morag").page
    page.keyboard.press("j")
    expect(page.locator(".here")).to_have_attribute("data-number", str(number))
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"/incidents/{number}$"))
    page.keyboard.press("a")
    expect(page.locator("#actions")).to_contain_text("You have it now")
    page.keyboard.press("r")
    page.keyboard.type("Restarted it; the page file was full.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#head")).to_contain_text("Resolved")
    expect(page.locator("#story")).to_contain_text("Restarted it; the page file was full.")
    assert state_of(served, number) == "resolved"


def test_resolving_can_be_undone_where_it_was_done(visit: Any, served: Any) -> None:
    number = first_new(served)
    page = visit(f"/incidents/{number}", name="morag").page
    page.keyboard.press("r")
    page.keyboard.type("Fixed, I think.")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#head")).not_to_contain_text("Resolved")
    assert state_of(served, number) == "new"


def test_taking_from_the_queue_keeps_the_place(visit: Any, served: Any) -> None:
    page = visit("/incidents", name="ewan").page
    row = page.locator("li.ticket", has=page.get_by_role("button", name=re.compile("Take"))).first
    number = row.get_attribute("data-number")
    while page.locator(".here").count() == 0 or page.locator(".here").get_attribute("data-number") != number:
        page.keyboard.press("j")
    page.keyboard.press("a")
    expect(page.locator(f"#ticket-{number}")).to_contain_text("Assigned")
    expect(page.locator(".here")).to_have_attribute("data-number", str(number))


def test_palette_goes_anywhere_by_name(visit: Any, served: Any) -> None:
    page = visit("/").page
    name, endpoint_id = served.engine.connect().execute(sa.select(Endpoint.name, Endpoint.id).where(Endpoint.pk == 120)).one()
    page.keyboard.press("Control+k")
    page.keyboard.type(name)
    expect(page.get_by_role("option").first).to_contain_text(name)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(endpoint_id))
    expect(page.locator("h1")).to_have_text(name)


def test_help_says_the_keys_and_slash_searches(visit: Any) -> None:
    page = visit("/pcs").page
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"


def test_tab_reaches_the_content_first(visit: Any) -> None:
    page = visit("/incidents").page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_everything_works_without_a_script(visit: Any, served: Any) -> None:
    number = first_new(served)
    page = visit(f"/incidents/{number}", name="ewan", java_script_enabled=False).page
    page.get_by_role("button", name="Take it").click()
    expect(page.locator("#actions")).to_contain_text("You have it now")
    page.locator("#resolve summary").click()
    page.get_by_label("What fixed it?").fill("Without a script.")
    page.locator("#resolve").get_by_role("button", name="Resolve").click()
    assert state_of(served, number) == "resolved"


HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>\' " ${7*7} {{7*7}}\u202e'


def test_hostile_names_are_shown_as_text(visit: Any, served: Any) -> None:
    with served.engine.begin() as tx:
        number = tx.scalar(sa.select(sa.func.min(Incident.number)).where(Incident.state == "in progress"))
        of_it = sa.select(Incident.endpoint_pk).where(Incident.number == number).scalar_subquery()
        found = tx.execute(sa.select(Endpoint.pk, Endpoint.id, Endpoint.school_id).where(Endpoint.pk == of_it)).one()
        tx.execute(sa.update(Endpoint).where(Endpoint.pk == found.pk).values(name=HOSTILE, search=HOSTILE.lower()))
        tx.execute(sa.update(Incident).where(Incident.endpoint_pk == found.pk).values(title=HOSTILE))
        tx.execute(sa.update(School).where(School.id == found.school_id).values(name=HOSTILE))
    watched = visit("/")
    for path in ("/", "/pcs", f"/pcs/{found.id}", "/incidents", f"/incidents/{number}", f"/schools/{found.school_id}"):
        watched.page.goto(served.url + path)
        watched.page.wait_for_timeout(300)
        assert "<img src=x" in watched.page.locator("body").inner_text(), path
        assert watched.page.title() not in ("1", "2")
    watched.page.keyboard.press("Control+k")
    watched.page.keyboard.type("onerror")
    expect(watched.page.get_by_role("option").first).to_contain_text("<img src=x")
    assert watched.page.locator("img").count() == 0
    assert watched.errors == []
