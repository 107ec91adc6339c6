"""All tables of the store in one place: what Alembic compares with and tests create from."""

from __future__ import annotations

from fettle_server import leases
from fettle_server.change import tables as change
from fettle_server.change.jobs import tables as jobs
from fettle_server.change.library import tables as library
from fettle_server.change.manifests import tables as manifests
from fettle_server.change.patches import tables as patches
from fettle_server.change.rollouts import tables as rollouts
from fettle_server.db import Model
from fettle_server.estate import tables as estate
from fettle_server.estate.calendars import tables as calendars
from fettle_server.journal import tables as journal
from fettle_server.notify import tables as notify
from fettle_server.proactive import tables as proactive
from fettle_server.proactive.forecasts import tables as forecasts
from fettle_server.proactive.maintenance import tables as maintenance
from fettle_server.proactive.presence import tables as presence
from fettle_server.proactive.problems import tables as problems
from fettle_server.proactive.proofs import tables as proofs
from fettle_server.proactive.rulebook import tables as rulebook
from fettle_server.proactive.stages import tables as stages
from fettle_server.reactive import tables as reactive

METADATA = Model.metadata
__all__ = [
    "METADATA",
    "calendars",
    "change",
    "estate",
    "forecasts",
    "jobs",
    "journal",
    "leases",
    "library",
    "maintenance",
    "manifests",
    "notify",
    "patches",
    "presence",
    "proactive",
    "problems",
    "proofs",
    "reactive",
    "rollouts",
    "rulebook",
    "stages",
]
