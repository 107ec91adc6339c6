"""A technician's walk in a real browser against the real server: sign in, see the incident appear, resolve it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

PASSWORD = "correct horse battery staple"
WIDTHS = {"desk": (1400, 900), "phone": (390, 844)}

pytestmark = pytest.mark.browser


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    width, height = WIDTHS[request.param]
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=request.param == "phone")
    yield context.new_page()
    context.close()


def sign_in(page: Page, server: Any) -> None:
    printed = (server.data / "printed.txt").read_text()
    once = re.search(r"password[^:\n]*:\s*(\S+)", printed, re.IGNORECASE)
    assert once, printed
    page.goto(f"http://{server.http}/")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(once[1])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_label("The same again").press("Enter")
    expect(page).not_to_have_url(re.compile("password|sign-in"))


def test_incident_appears_by_itself_and_is_resolved(page: Page, server: Any, connected: Any, run: Any, wait_for: Any) -> None:
    sign_in(page, server)
    page.goto(f"http://{server.http}/incidents")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    run("fettle-agent", "test-fault", "--state", connected.state)
    link = page.locator("main a[href*='/incidents/1']").first
    expect(link).to_be_visible(timeout=8000)  # nobody reloads the page
    link.click()
    page.get_by_role("button", name=re.compile("^Take it")).click()
    expect(page.locator("main")).to_contain_text("admin")
    page.get_by_text("Resolve…").click()
    page.get_by_label("What fixed it?").fill("It was a test.")
    page.get_by_role("button", name="Resolve", exact=True).click()
    wait_for(lambda: server.incidents("resolved", "test-fault"), 10)
    expect(page.locator("main")).to_contain_text(re.compile("resolved", re.IGNORECASE))
