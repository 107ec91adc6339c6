"""`make screenshots`: a demo estate, the real console over it, a real browser; writes docs/screenshots/*.png for the README.

Nothing is kept but the pictures.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from demo import estate
from fettle_server import clock, config, db, migrations
from fettle_server.change.rollouts.tables import Rollout
from fettle_server.change.tables import Change
from fettle_server.estate.people import actions as people
from fettle_server.estate.people import queries as people_queries
from fettle_server.estate.people.rules import SYSTEM, Role
from fettle_server.estate.tables import Endpoint, User
from fettle_server.proactive.actions import publish_shipped
from fettle_server.proactive.tables import Fault
from fettle_server.reactive.actions import seed_priorities
from fettle_server.reactive.tables import Incident
from playwright.sync_api import Browser, ViewportSize, sync_playwright

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
NAME = "morag"
MOST_BYTES = 200_000
START_S = 30
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: its name, what it shows, its size, light or dark."""

    name: str
    path: str
    width: int
    height: int
    dark: bool = False
    fill: tuple[tuple[str, str], ...] = ()
    press: str = ""
    """What is written into which fields, and the button that is then pressed."""


def main() -> int:
    """Exit status 0 when every picture is written and none is too large."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fettle-demo-") as folder:
        data = Path(folder)
        secret, shots = _fill(data)
        console = subprocess.Popen([sys.executable, "-m", "fettle_web", str(data), "--http", "127.0.0.1:0"])
        try:
            sizes = _take(_address(data, console), secret, shots)
        finally:
            console.terminate()
            console.wait(10)
    for name, size in sizes.items():
        print(f"docs/screenshots/{name}.png  {size / 1000:.0f} kB")
    return 0 if all(size <= MOST_BYTES for size in sizes.values()) else 1


def _fill(data: Path) -> tuple[str, list[Shot]]:
    """A store with the demo estate; returns a sign-in, and what to show of it."""
    engine = db.open_engine(f"sqlite:///{data / 'fettle.db'}")
    migrations.upgrade(engine)
    with engine.begin() as tx:
        seed_priorities(tx)
        publish_shipped(tx, clock.utc_now())
        people.add_user(tx, SYSTEM, "ada", Role.ADMINISTRATOR, None, now=clock.utc_now())
        estate.fill(tx, clock.utc_now())
        tx.execute(sa.update(User).values(must_change_password=False))
        person = people_queries.person_named(tx, NAME)
        assert person is not None
        secret = people.start_session(tx, person, "127.0.0.1", "pictures", config.load(data), clock.utc_now())
        row = tx.execute(
            sa.select(Incident.number, Endpoint.id)
            .join(Endpoint, Endpoint.pk == Incident.endpoint_pk)
            .where(Incident.rule == "disk-full", Incident.state == "new")
        ).first()
        storm = tx.scalar(sa.select(Incident.number).where(Incident.scope == "room"))
        inside = sa.select(Endpoint.id).join(Fault, Fault.endpoint_pk == Endpoint.pk).where(Fault.incident_number == storm)
        member = tx.scalar(inside.where(Fault.cleared_at.is_(None)).order_by(Fault.id))
        runs = tx.scalar(sa.select(Rollout.id).where(Rollout.state == "running"))
        waits = tx.scalar(sa.select(Change.id).where(Change.state == "proposed"))
    engine.dispose()
    assert row is not None
    return secret, [
        Shot("overview", "/", 1400, 900),
        Shot("pc", f"/pcs/{row.id}", 1400, 1180),
        Shot("incident", f"/incidents/{row.number}", 1400, 900, dark=True),
        Shot("phone", f"/incidents/{storm}", 390, 844),
        Shot("storm", f"/incidents/{storm}", 1400, 760),
        Shot("why", f"/pcs/{member}/why", 1400, 900),
        Shot("rollout", f"/rollouts/{runs}", 1400, 900),
        Shot("change", f"/changes/{waits}", 1400, 900),
        Shot("compliance", "/patches/compliance", 1400, 800),
        Shot(
            "rule",
            "/proactive/rules/disk-low",
            1400,
            640,
            fill=(("#raise_level", "32"), ("#clear_level", "35"), ("#raise_for_s", "1")),
            press="See what it would have raised",
        ),
    ]


def _address(data: Path, console: subprocess.Popen[bytes]) -> str:
    ready = data / "run" / "console.ready"
    until = time.monotonic() + START_S
    while not ready.exists():
        if console.poll() is not None or time.monotonic() > until:
            raise SystemExit("the console did not start; its words are above")
        time.sleep(0.1)
    return ready.read_text().strip()


def _take(url: str, secret: str, shots: list[Shot]) -> dict[str, int]:
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        sizes = {shot.name: _one(browser, url, secret, shot) for shot in shots}
        browser.close()
    return sizes


def _one(browser: Browser, url: str, secret: str, shot: Shot) -> int:
    size: ViewportSize = {"width": shot.width, "height": shot.height}
    context = browser.new_context(viewport=size, color_scheme="dark" if shot.dark else "light")
    context.add_cookies([{"name": "fettle", "value": secret, "url": url}])
    page = context.new_page()
    page.goto(url + shot.path)
    for field, value in shot.fill:
        page.fill(field, value)
    if shot.press:
        page.get_by_role("button", name=shot.press).click()
    page.wait_for_timeout(1500)
    written = FOLDER / f"{shot.name}.png"
    page.screenshot(path=written)
    context.close()
    return written.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
