"""Every page, at every width, light and dark: accessible, within its weight, without a foreign host or a broken policy."""

from __future__ import annotations

import http.client
import re
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server.change.jobs.tables import Job
from fettle_server.reactive.tables import Incident

pytestmark = pytest.mark.browser
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
"""All that a dark page can have wrong and the same page in light has not."""
SIZES = {"type": "rule", "values": ["target-size", "scrollable-region-focusable"]}
"""All that a tablet's page can have wrong and neither a phone's nor a desk's has: besides its width."""
MOST_BYTES = 300_000
NOWHERE = "/there/is/no/such/page"
"""The browser itself complains of its 404."""
_PART = re.compile(r'<[a-z]+ [^>]*\bid="([\w-]+)"[^>]* data-part\b')
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def paths(served: Any) -> list[str]:
    """One address of each kind of page."""
    working = served.value(sa.select(sa.func.min(Incident.number)).where(Incident.state == "in progress"))
    new = served.value(sa.select(sa.func.min(Incident.number)).where(Incident.state == "new"))
    storm = served.value(sa.select(sa.func.min(Incident.number)).where(Incident.scope == "room"))
    job = served.value(sa.select(Job.uid).where(Job.state == "failed"))
    ill, unknown = served.endpoint("ill"), served.endpoint("unknown")
    return [
        "/", "/pcs", "/pcs?q=nothing+of+that+name", f"/pcs/{ill}", f"/pcs/{unknown}?range=1h", "/incidents",
        "/incidents?state=resolved", "/incidents?who=me", f"/incidents/{new}", f"/incidents/{working}", f"/pcs/{ill}/why",
        f"/pcs/{unknown}/why", "/proactive/held", f"/proactive/held?pc={ill}", "/proactive/problems?state=all", "/schools/2",
        "/schools/2/calendar", "/schools/2/rooms", "/settings/priorities", "/account", "/account/password", "/people",
        "/enrolment", "/audit", "/proactive/rules", "/proactive/rules/disk-low", "/proactive/rules/disk-low/copy",
        "/proactive/rules/versions", f"/incidents/{storm}", "/proactive/tasks", "/proactive/forecasts", "/proactive/proofs",
        "/settings/notices", "/changes", "/changes/new?school=2", "/changes/1", "/changes/4/decide",
        "/changes/calendar?school=2", "/changes/statistics", "/changes/templates", "/schools/2/changes",
        "/rollouts", "/rollouts/2", "/rollouts/3", f"/jobs/{job}", "/settings/windows", "/settings/keys",
        "/patches", "/patches/1", "/patches/compliance", f"/pcs/{ill}/patches", "/library", "/library/builds",
        "/library/builds/1", "/there/is/no/such/page",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("width", "scheme", "rules"),
    [(1400, "light", RULES), (768, "light", SIZES), (390, "light", RULES), (1400, "dark", COLOURS), (390, "dark", COLOURS)],
)
def test_axe_finds_nothing(
    visit: Any, served: Any, axe: str, paths: list[str], width: int, scheme: str, rules: dict[str, Any]
) -> None:
    page = visit("/", width=width, color_scheme=scheme, bypass_csp=True).page
    found = []
    for path in paths:
        page.goto(served.url + path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
        page.evaluate(axe)
        answer = page.evaluate("(rules) => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
        found += [(path, each["id"], node["target"]) for each in answer["violations"] for node in each["nodes"]]
        assert page.evaluate(OVERFLOW) <= 0, f"{path} is wider than {width} px"
    assert found == []


def test_pages_are_light_ask_no_other_host_keep_the_policy_and_say_where_one_is(
    visit: Any, served: Any, paths: list[str]
) -> None:
    watched = visit("/")
    answers: list[Any] = []
    weighs = ("script", "stylesheet")
    watched.page.on("response", lambda answer: answers.append(answer) if answer.request.resource_type in weighs else None)
    for path in paths:
        for noted in (watched.requests, watched.errors, answers):
            noted.clear()
        watched.page.goto(served.url + path)
        watched.page.wait_for_timeout(250)
        assert sum(len(answer.body()) for answer in answers) < MOST_BYTES, path
        assert all(url.startswith((served.url, "data:")) for url in watched.requests), path
        assert watched.errors == [] or path == NOWHERE, f"{path}: {watched.errors}"
        assert watched.page.locator("h1").count() == 1, path


def test_each_part_of_a_page_can_be_asked_for_again(served: Any, paths: list[str]) -> None:
    connection, secret = http.client.HTTPConnection(served.url.removeprefix("http://")), served.secret("ada")
    for path in paths[:-1]:
        for name in _PART.findall(_answer(connection, secret, path)):
            again = _answer(connection, secret, f"{path}{'&' if '?' in path else '?'}part={name}")
            assert f'id="{name}"' in again, f"{path} cannot refresh its part {name}"
    connection.close()


def _answer(connection: http.client.HTTPConnection, secret: str, path: str) -> str:
    connection.request("GET", path, headers={"Cookie": f"fettle={secret}"})
    answer = connection.getresponse()
    text = answer.read().decode()
    assert answer.status == 200, path
    return text
