"""The console at 150,000 endpoints: how long its lists and pages take over HTTP, signed in, from the real console process."""

from __future__ import annotations

import http.client
import re
import sys
import time
from collections.abc import Iterator
from html import unescape

import big_estate
import table
from crowd import estate, server
from testbed import SETTINGS

_FLEET = "Fleet's host list p50 1,300 ms at 15,000 (fleet#12722), Tactical RMM 12,000 ms at 1,500 (tacticalrmm#1705)"


def measure(run: table.Run) -> list[table.Row]:
    """p95 of the PC list in its worst form, and of the slowest of all pages."""
    endpoints, times = int(run.pick(30_000, 150_000)), int(run.pick(15, 60))
    data = run.work / "big"
    server.make(data, estate.school_name(0))
    secret = big_estate.fill(data, endpoints)
    with server.serving(data, SETTINGS, only="console") as own:
        found = dict(_timed(own.http, secret, times))
    lists = {name: ms for name, ms in found.items() if name.startswith("PCs")}
    rest = {name: ms for name, ms in found.items() if name not in lists}
    return [_row(f"PC list at {endpoints:,} endpoints", lists, _FLEET), _row(f"other pages at {endpoints:,}", rest)]


def _row(item: str, found: dict[str, list[float]], beside: str = "") -> table.Row:
    """The worst p95, with each page's p50 and p95 as remark."""
    worst = max(found, key=lambda name: _at(found[name], 0.95))
    each = "; ".join(f"{name} {_at(ms, 0.5):.0f}/{_at(ms, 0.95):.0f}" for name, ms in found.items())
    return table.Row(f"{item}, worst p95", _at(found[worst], 0.95), "ms", beside, target=100, remark=f"p50/p95 in ms: {each}")


def _at(ms: list[float], share: float) -> float:
    return sorted(ms)[int(len(ms) * share)]


def _timed(address: str, secret: str, times: int) -> Iterator[tuple[str, list[float]]]:
    browser = _Browser(address, secret)
    one = big_estate.endpoint_id(1)
    pages = {
        "PCs": "/pcs", "PCs that are ill": "/pcs?state=ill", "PCs by name": "/pcs?sort=name",
        "PCs by last seen": "/pcs?sort=last_seen",
        "PCs of one school": "/pcs?school=50", "PCs searched": "/pcs?q=ThinkCentre",
        "PCs searched in vain": "/pcs?q=nosuchpc",
        "overview": "/", "incidents": "/incidents", "incidents, all": "/incidents?state=all", "an incident": "/incidents/5",
        "a PC": f"/pcs/{one}", "API endpoints": "/api/v1/endpoints", "API incidents": "/api/v1/incidents",
    }  # fmt: skip
    for name, path in pages.items():
        try:
            browser.get(path)
            yield name, [browser.get(path)[0] for _ in range(times)]
        except RuntimeError as error:
            print(f"pages: {error}", file=sys.stderr)
    yield "PCs, page by page", list(_walk(browser, times))


def _walk(browser: _Browser, pages: int) -> Iterator[float]:
    path = "/pcs?sort=name"
    for _ in range(pages):
        ms, body = browser.get(path)
        yield ms
        further = re.search(r'href="(/pcs\?[^"]*after=[^"]*)"', body)
        if further is None:
            return
        path = unescape(further.group(1))


class _Browser:
    """One connection that is kept, with the sign-in's cookie."""

    def __init__(self, address: str, secret: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=60)
        self._headers = {"Cookie": f"fettle={secret}", "Accept": "*/*"}

    def get(self, path: str) -> tuple[float, str]:
        """Milliseconds until the whole page was there, and the page.

        Raises:
            RuntimeError: it was no page, but an error or the way to the sign-in.
        """
        began = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered with {answer.status}: {body[:200]}")
        return (time.perf_counter() - began) * 1000, body


if __name__ == "__main__":
    sys.exit(table.run_alone(measure))
