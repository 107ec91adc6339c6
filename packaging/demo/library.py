"""The demo estate's library: a licensed package, a script, and the build of its Windows PCs, from which some have drifted."""

from __future__ import annotations

import datetime as dt
import hashlib

import sqlalchemy as sa
from fettle_server.change.library import actions, builds, sweeping
from fettle_server.change.library.actions import NewPackage, NewScript
from fettle_server.change.library.builds import NewBuild
from fettle_server.estate.people.rules import Person

from demo.inventory import version_of
from demo.pcs import Pc

_SCRIPT = """\
# Empties a print queue that is stuck, and starts the print service again.
Stop-Service Spooler
Remove-Item "$env:SystemRoot\\System32\\spool\\PRINTERS\\*" -Force
Start-Service Spooler
"""
_CHECKLIST = ("It prints to the room's printer", "Sound works", "A pupil is signed in within 30 seconds")


def fill(tx: sa.Connection, pcs: list[Pc], who: Person, now: dt.datetime) -> None:
    """What somebody added over the last weeks, and how all PCs stand to it now."""
    name, since = "Smart Notebook", now - dt.timedelta(days=60)
    digest = hashlib.sha256(name.encode()).hexdigest()
    package = NewPackage(
        "winget", name, version_of(name), digest, ("windows",), licences=220, licence="Borough's contract 4711, in the safe"
    )
    actions.add_package(tx, who, package, since)
    notes = "For a print queue that is stuck"
    script = NewScript("clear-print-queue", "1.2", _SCRIPT, "powershell", idempotent=True, systems=("windows",), notes=notes)
    actions.add_script(tx, who, script, since)
    has = [{"name": one, "version": version_of(one)} for one in ("7-Zip", "Google Chrome", "LibreOffice", "Scratch 3")]
    what = "What every teaching PC has."
    new = NewBuild("Classroom PC", "2026.2", "windows", what, has, ("TeamViewer",), _CHECKLIST)
    build = builds.create(tx, who, new, since)
    builds.check(tx, who, build, range(len(_CHECKLIST)), since + dt.timedelta(days=3))
    builds.assign(tx, who, build, since + dt.timedelta(days=4))
    sweeping.keep(tx, sweeping.look(tx, sweeping.shelf(tx), [pc.pk for pc in pcs]), now - dt.timedelta(hours=9))
