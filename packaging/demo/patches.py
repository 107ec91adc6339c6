"""What the demo estate's PCs lack: updates that their package managers offer, and a look later, what was installed of them."""

from __future__ import annotations

import datetime as dt
import json
import zlib
from typing import Any

import sqlalchemy as sa
from fettle_server.change.patches import actions

from demo.pcs import Pc

FIREFOX = {"provider": "winget", "name": "Mozilla.Firefox.ESR", "version": "128.5.0"}
OFFICE = {"provider": "apt", "name": "libreoffice-core", "version": "4:24.2.7-0ubuntu0.24.04.1"}
_CUMULATIVE = {"provider": "windows", "name": "KB5046617", "version": ""}
_DRIVER = {"provider": "windows", "name": "KB5046700", "version": ""}


def look(tx: sa.Connection, pcs: list[Pc], at: dt.datetime, has: dict[str, frozenset[int]]) -> None:
    """Every PC that is heard tells what it is offered; `has` names the PCs (by key) that have a package already."""
    looks = [(pc.pk, at, zlib.compress(json.dumps(_section(pc, at, has)).encode())) for pc in pcs if pc.heard]
    actions.take(tx, looks, at)


def _section(pc: Pc, at: dt.datetime, has: dict[str, frozenset[int]]) -> dict[str, Any]:
    offers = [offer for offer in _offers(pc, at) if pc.pk not in has.get(offer["name"], frozenset())]
    providers = {"windows": ("windows", "winget"), "linux": ("apt",)}.get(pc.system, ("softwareupdate",))
    return {
        "reboot_pending": pc.pk % 23 == 0,
        "providers": [{"provider": name, "error": ""} for name in providers],
        "offers": offers,
    }


def _offers(pc: Pc, at: dt.datetime) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if pc.system == "linux":
        found.append(_offer(OFFICE, "LibreOffice 24.2.7", _days(at, 16), "important", installed="4:24.2.6-0ubuntu0.24.04.1"))
    if pc.system == "windows":
        found.append(_offer(FIREFOX, "Mozilla Firefox ESR 128.5.0", _days(at, 6), "critical", installed="128.4.0"))
        if pc.pk % 3 == 0 and "HP" in pc.model:
            found.append(_offer(_DRIVER, "Printer class driver update", _days(at, 9)))
        if pc.pk % 5 == 0:
            found.append(_offer(_CUMULATIVE, "2026-11 Cumulative Update for Windows 11", _days(at, 19), "critical"))
    return found


def _days(at: dt.datetime, ago: int) -> dt.date:
    return at.date() - dt.timedelta(days=ago)


def _offer(which: dict[str, str], title: str, released: dt.date, severity: str = "", installed: str = "") -> dict[str, Any]:
    cves = [f"CVE-2026-{11_000 + len(title) * 7}"] if severity else []
    cvss = {"critical": 9.1, "important": 7.8}.get(severity)
    return which | {
        "title": title, "security": bool(severity), "severity": severity, "cvss": cvss, "cves": cves, "installed": installed,
        "released_on": released.isoformat(), "reference": "", "state": "offered", "words": "",
    }  # fmt: skip
