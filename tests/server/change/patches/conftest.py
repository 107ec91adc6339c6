"""Sections as agents send them, and what is stored of them."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from fettle_server.change.patches import actions
from fettle_server.change.patches.tables import EndpointUpdate, PatchCount, PatchScan, Update
from fettle_server.estate.tables import Endpoint, Inventory

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def _offer(name: str = "openssl", version: str = "1.1", **more: Any) -> dict[str, Any]:
    plain = {"provider": "apt", "installed": "1.0", "title": f"{name} fix", "security": True, "severity": "",
             "cves": ["CVE-2026-1"], "released_on": "2026-11-16", "reference": "", "held": False, "state": "offered",
             "words": "", "size_bytes": 10}  # fmt: skip
    return {"name": name, "version": version, **plain, **more}


def _section(*offers: Any, pending: bool | None = False, error: str = "", providers: Any = None) -> bytes:
    told = [{"provider": "apt", "error": error}] if providers is None else providers
    return _packed({"reboot_pending": pending, "providers": told, "offers": list(offers)})


def _packed(document: Any) -> bytes:
    return zlib.compress(json.dumps(document).encode())


@pytest.fixture
def offer() -> Callable[..., dict[str, Any]]:
    """An offer as an agent tells it: apt's, for security, released a week ago."""
    return _offer


@pytest.fixture
def section() -> Callable[..., bytes]:
    """An "updates" section of a PC with apt."""
    return _section


@pytest.fixture
def packed() -> Callable[[Any], bytes]:
    """JSON as it travels."""
    return _packed


@pytest.fixture
def look(store) -> Callable[..., None]:
    """Take in a look of an endpoint, so many hours after nine o'clock."""

    def taken(pk: int, *offers: Any, hours: float = 0, **more: Any) -> None:
        at = NOW + hours * HOUR
        with store.begin() as tx:
            actions.take(tx, [(pk, at, _section(*offers, **more))], at)
            tx.execute(sa.update(Endpoint).where(Endpoint.pk == pk).values(last_seen=at))

    return taken


@pytest.fixture
def software(store) -> Callable[..., None]:
    """Store an endpoint's software inventory."""

    def stored(pk: int, **versions: str) -> None:
        packages = [{"name": name, "version": version, "source": "dpkg"} for name, version in versions.items()]
        body, which = _packed({"packages": packages}), (Inventory.endpoint_pk == pk, Inventory.section == "software")
        with store.begin() as tx:
            tx.execute(sa.delete(Inventory).where(*which))
            tx.execute(sa.insert(Inventory).values(endpoint_pk=pk, section="software", digest="d", at=NOW, body=body))

    return stored


@pytest.fixture
def patch(store) -> Callable[..., Any]:
    """An endpoint's update of that name and version, as it is stored."""

    def found(pk: int, name: str = "openssl", version: str = "1.1") -> Any:
        joined = sa.select(EndpointUpdate).join(Update, Update.id == EndpointUpdate.update_id)
        rows = store.rows(joined.where(EndpointUpdate.endpoint_pk == pk, Update.name == name, Update.version == version))
        return rows[0] if rows else None

    return found


@pytest.fixture
def recounted(store) -> Callable[[], None]:
    """Check that what is counted beside the endpoints' updates is what counting them anew gives."""

    def check() -> None:
        is_open = EndpointUpdate.state.not_in(("proven", "gone"))
        grouped = (EndpointUpdate.update_id, EndpointUpdate.school_id, EndpointUpdate.state, EndpointUpdate.due_on)
        rows = store.rows(sa.select(*grouped, sa.func.count()).where(is_open).group_by(*grouped))
        true = {(*row[:3], row[3].toordinal() if row[3] else 0): row[4] for row in rows}
        kept = store.rows(sa.select(PatchCount).where(PatchCount.endpoints != 0))
        assert {tuple(row)[:4]: row.endpoints for row in kept} == true
        for scan in store.rows(sa.select(PatchScan)):
            mine = store.rows(sa.select(EndpointUpdate).where(EndpointUpdate.endpoint_pk == scan.endpoint_pk, is_open))
            assert scan.lacking == len(mine)
            assert scan.restart == sum(row.state == "reboot pending" for row in mine)

    return check
