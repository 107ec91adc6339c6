"""Every route, by every kind of caller: what they get, that a refusal changes nothing, that no other school shows through.

The table below is the rule. A route that is not in it fails the test.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import sqlite3
import zlib
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fettle_protocol import signing
from fettle_server import clock
from fettle_server.change.jobs.tables import Job
from fettle_server.change.library import actions as library
from fettle_server.change.library import builds
from fettle_server.change.library.actions import NewScript
from fettle_server.change.library.builds import NewBuild
from fettle_server.change.manifests import actions as manifests
from fettle_server.change.manifests import queries as made_manifests
from fettle_server.change.patches import actions as patches
from fettle_server.change.patches import exceptions
from fettle_server.change.requests import actions as requests
from fettle_server.change.requests import templates
from fettle_server.change.requests.views import Proposal
from fettle_server.change.rollouts import actions as rollouts
from fettle_server.change.rollouts import settings as windows
from fettle_server.change.rules import ChangeKind
from fettle_server.estate.calendars import actions as calendars
from fettle_server.estate.calendars.rules import Kind
from fettle_server.estate.calendars.views import NewEntry
from fettle_server.estate.enrolment import actions as enrolment
from fettle_server.estate.people import queries as people_queries
from fettle_server.estate.people.rules import SYSTEM, Person, Role
from fettle_server.estate.rooms import actions as rooms
from fettle_server.estate.tables import ApiToken, EnrolmentToken, Session
from fettle_server.notify import editing
from fettle_server.notify.rules import Wanted
from fettle_server.proactive.maintenance import actions as maintenance
from fettle_server.proactive.maintenance.rules import Task
from fettle_server.proactive.problems.tables import Problem, ProblemIncident
from fettle_server.proactive.proofs import actions as proofs
from fettle_server.proactive.proofs.tables import Proof
from fettle_server.reactive.tables import Incident
from fettle_web.pages.incident import DEEDS

CALLERS = ("stranger", "vera", "tom", "otto", "ada")
"""Nobody; viewer and technician of Harbour School, whose things are asked for; technician of Hilltop College; administrator."""
HARBOUR_PC = "1" * 32
WARRANTY = {"ends_on": "2027-08-31"}
PERSON_FORM = {"name": "new person", "role": "viewer", "school": "1", "active": "1"}
WINDOW_FORM = {
    "title": "Updates", "school": "1", "often": "weekly", "weekday": "TU", "from": "18:00", "to": "20:00", "day": "2026-11-24",
}  # fmt: skip
TOMORROW, DAY_AFTER = ((clock.utc_now() + dt.timedelta(days=days)).isoformat() for days in (1, 2))
WINDOW = {"school": 1, "title": "x", "starts_at": TOMORROW, "ends_at": DAY_AFTER}
CHANNEL = {"name": "another", "kind": "log", "target": ""}
ROUTE = {"channel": "1", "priority": "1", "all_schools": "1"}
_LOG = {"channel_id": 1}
RULE_FORM = {
    "enabled": "1", "raise_level": "3", "raise_for_s": "30", "raise_for_s_unit": "s", "clear_level": "6", "clear_for_s": "30",
    "clear_for_s_unit": "s", "gap_s": "15", "gap_s_unit": "min", "gather_s": "0", "gather_s_unit": "s", "severity": "ill",
    "impact": "user", "spread": "", "systems": ["windows", "linux", "macos"], "title": "Disk {instance} is full",
    "meaning": "Full.", "first_step": "Empty it.", "source": "ours", "why": "too loud", "deed": "save",
}  # fmt: skip
RULE_JSON = {"why": "too loud", "rule": {"raise_level": 3}}
UPGRADE = {"kind": "upgrade", "provider": "apt", "packages": [{"name": "tree"}]}
CHANGE_FORM = {
    "title": "t",
    "why": "w",
    "whom": "some",
    "school": "1",
    "provider": "apt",
    "packages": "tree",
    "deed": "propose",
}
CHANGE_JSON = {"title": "t", "why": "w", "reach": {"schools": [1]}, "steps": [UPGRADE]}
YES_FORM, YES = {"step": "peer review", "answer": "yes"}, {"step": "peer review", "approved": True}
TEMPLATE_FORM = {"name": "n", "why": "w", "plan": "p", "back_out_plan": "b", "until": DAY_AFTER[:10]}
TEMPLATE = {"name": "n", "why": "w", "plan": "p", "back_out_plan": "b", "expires_at": DAY_AFTER}
KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"1")
"""The same in every run: its id is in the names of tests, which processes that share them out must agree on."""
KEY_ID = signing.key_id(signing.public_bytes(KEY))
KEY_FORM = {"name": "another", "public": signing.public_pem(signing.public_bytes(signing.new_key())).decode()}
CHANGE_WINDOW = {"where": "school:1", "day": "0", "from": "16:30", "to": "21:00"}
CHANGE_WINDOW_JSON = {"school": 1, "days": [0], "from_minute": 990, "to_minute": 1260}
FREEZE = {
    "where": "school:1", "title": "x", "starts_on": TOMORROW[:10], "starts_at": "00:00", "ends_on": DAY_AFTER[:10],
    "ends_at": "12:00",
}  # fmt: skip
FREEZE_JSON = {"school": 1, "title": "x", "starts_at": TOMORROW, "ends_at": DAY_AFTER}
ROLLOUT, JOB = {"rollout_id": 2}, {"uid": "<job>"}
LINK = {"incident": 1, "why": "seen"}
WORDS = {"text": "because", "assignee": "tom", "impact": "room", "urgency": "low"}
TODAY = dt.date(2026, 11, 27)
ENTRY = {"kind": "inset", "title": "INSET", "starts_on": "2026-11-27"}
BELLS = {"opens0": "08:30", "closes0": "15:30"}
PLACING = {"pc": "1" * 32, "room": "1"}
EXCEPTION = {"why": "the reading scheme", "until": (clock.utc_now() + dt.timedelta(days=9)).date().isoformat()}
PACKAGE = {"provider": "apt", "name": "gimp", "version": "3"}
SCRIPT = {"name": "tidy", "version": "1", "body": "true", "interpreter": "sh"}
BUILD_FORM = {"name": "Lab", "version": "1", "system": "linux", "packages": "gimp 3", "absent": "", "checklist": ""}
BUILD_JSON = {"name": "Lab", "version": "1", "system": "linux", "absent": ["telnetd"]}
UPDATES = {
    "providers": [{"provider": "apt", "error": None}],
    "offers": [{"provider": "apt", "name": "openssl", "version": "2", "security": True, "title": "Harbour's fix"}],
}
OTHERS_MARKS = {
    "stranger": ("Harbour", "harbour", "Hilltop", "hilltop"),
    "vera": ("Hilltop", "hilltop", "2" * 32),
    "tom": ("Hilltop", "hilltop", "2" * 32),
    "otto": ("Harbour", "harbour", "1" * 32),
    "ada": (),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One request and what each caller gets for it; "303!" is an answer that must have changed nothing."""

    method: str
    rule: str
    answers: str
    values: dict[str, Any] = field(default_factory=dict)
    form: dict[str, Any] | None = None
    json: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return " ".join([self.method, self.rule, *map(str, self.values.values())])


def _deed(name: str) -> Row:
    """What a page's deed on Harbour's incident answers; some need another state first, which `_prepare` makes."""
    return Row("POST", "/incidents/<int:number>/<deed>", "303! 403 303 404 303", {"number": 1, "deed": name}, WORDS)


def _api_deed(name: str, body: dict[str, Any] | None = None) -> Row:
    return Row("POST", f"/api/v1/incidents/<int:number>/{name}", "401 403 200 404 200", {"number": 1}, json=body)


TABLE = (
    # Pages                                       stranger, viewer, technician, another school's, administrator
    Row("GET", "/", "303 200 200 200 200"),
    Row("GET", "/pcs", "303 200 200 200 200"),
    Row("GET", "/pcs/<endpoint_id>", "303 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    Row("GET", "/pcs/<endpoint_id>/history.json", "303 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    Row("POST", "/pcs/<endpoint_id>/revoke", "303! 403 303 404 303", {"endpoint_id": HARBOUR_PC}, {}),
    Row("GET", "/incidents", "303 200 200 200 200"),
    Row("GET", "/incidents/<int:number>", "303 200 200 404 200", {"number": 1}),
    *(_deed(name) for name in DEEDS),
    Row("GET", "/schools/<int:school_id>", "303 200 200 404 200", {"school_id": 1}),
    Row("GET", "/schools/<int:school_id>/calendar", "303 200 200 404 200", {"school_id": 1}),
    Row("GET", "/schools/<int:school_id>/calendar.ics", "303 200 200 404 200", {"school_id": 1}),
    Row("POST", "/schools/<int:school_id>/calendar/entries", "303! 403 303 404 303", {"school_id": 1}, ENTRY),
    Row(
        "POST",
        "/schools/<int:school_id>/calendar/entries/<int:entry_id>/remove",
        "303! 403 303 404 303",
        {"school_id": 1, "entry_id": 1},
        {},
    ),
    Row("POST", "/schools/<int:school_id>/calendar/bells", "303! 403 303 404 303", {"school_id": 1}, BELLS),
    Row("POST", "/schools/<int:school_id>/calendar/import", "303! 403 400 404 400", {"school_id": 1}, {}),
    Row("POST", "/schools/<int:school_id>/calendar/import/confirm", "303! 403 303 404 303", {"school_id": 1}, {}),
    Row("GET", "/schools/<int:school_id>/rooms", "303 200 200 404 200", {"school_id": 1}),
    Row("POST", "/schools/<int:school_id>/rooms", "303! 403 303 404 303", {"school_id": 1}, {"name": "Lab", "kind": "room"}),
    Row(
        "POST",
        "/schools/<int:school_id>/rooms/<int:room_id>",
        "303! 403 303 404 303",
        {"school_id": 1, "room_id": 1},
        {"name": "Lab", "kind": "trolley"},
    ),
    Row(
        "POST",
        "/schools/<int:school_id>/rooms/<int:room_id>/remove",
        "303! 403 303 404 303",
        {"school_id": 1, "room_id": 1},
        {},
    ),
    Row("POST", "/schools/<int:school_id>/rooms/pcs", "303! 403 303 404 303", {"school_id": 1}, PLACING),
    Row("POST", "/schools/<int:school_id>/rooms/proposals", "303! 403 400 404 400", {"school_id": 1}, {"prefix": "R9"}),
    Row("POST", "/pcs/<endpoint_id>/place", "303! 403 303 404 303", {"endpoint_id": HARBOUR_PC}, {"class": "loan"}),
    Row("GET", "/search.json", "303 200 200 200 200"),
    Row("GET", "/live", "303 200 200 200 200"),
    Row("GET", "/settings/priorities", "303 200 200 200 200"),
    Row("POST", "/settings/priorities", "303! 403 403 403 303", {}, {"user.low": "1"}),
    Row("GET", "/pcs/<endpoint_id>/why", "303 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    # The proactive wing: what is held back, and why
    Row("GET", "/proactive/held", "303 200 200 200 200"),
    Row("GET", "/proactive/problems", "303 200 200 200 200"),
    Row("GET", "/proactive/problems/<int:number>", "303 200 200 404 200", {"number": 1}),
    Row("POST", "/proactive/problems/<int:number>/<deed>", "303! 403 403 404 303", {"number": 1, "deed": "accept"}, {}),
    Row("POST", "/proactive/silences", "303! 403 303 400 303", {}, {"where": "school:1", "hours": "24", "reason": "because"}),
    Row("POST", "/proactive/windows", "303! 403 303 400 303", {}, WINDOW_FORM),
    Row("POST", "/proactive/held/<int:order_id>/end", "303! 403 409 409 409", {"order_id": 1}, {}),
    # Notices, and proofs that alerts work
    Row("GET", "/settings/notices", "303 403 403 403 200"),
    Row("POST", "/settings/notices/channels", "303! 403 403 403 303", {}, CHANNEL),
    Row("POST", "/settings/notices/channels/<int:channel_id>", "303! 403 403 403 303", _LOG, CHANNEL),
    Row("POST", "/settings/notices/channels/<int:channel_id>/remove", "303! 403 403 403 303", _LOG, {}),
    Row("POST", "/settings/notices/channels/<int:channel_id>/test", "303! 403 403 403 303", _LOG, {}),
    Row("POST", "/settings/notices/routes", "303! 403 403 403 303", {}, ROUTE),
    Row("POST", "/settings/notices/routes/<int:route_id>", "303! 403 403 403 303", {"route_id": 1}, ROUTE),
    Row("POST", "/settings/notices/routes/<int:route_id>/remove", "303! 403 403 403 303", {"route_id": 1}, {}),
    Row("GET", "/proactive/proofs", "303 200 200 200 200"),
    Row("POST", "/proactive/proofs/<int:school_id>", "303! 403 303 404 303", {"school_id": 1}, {}),
    # The rule book: everybody reads it, people of all schools edit it
    Row("GET", "/proactive/rules", "303 200 200 200 200"),
    Row("GET", "/proactive/rules/<key>", "303 200 200 200 200", {"key": "disk-full"}),
    Row("POST", "/proactive/rules/<key>", "303! 403 403 403 303", {"key": "disk-full"}, RULE_FORM),
    Row("GET", "/proactive/rules/<key>/copy", "303 403 403 403 200", {"key": "disk-full"}),
    Row("POST", "/proactive/rules/<key>/copy", "303! 403 403 403 303", {"key": "disk-full"}, RULE_FORM | {"key": "own-full"}),
    Row("GET", "/proactive/rules/versions", "303 200 200 200 200"),
    Row("POST", "/proactive/rules/versions/<int:version>/roll-back", "303! 403 403 403 303", {"version": 1}, {"why": "to see"}),
    # What is to be done, and what is coming
    Row("GET", "/proactive/tasks", "303 200 200 200 200"),
    Row("POST", "/proactive/tasks/<int:number>/<deed>", "303! 403 303 404 303", {"number": 1, "deed": "done"}, {}),
    Row("GET", "/proactive/forecasts", "303 200 200 200 200"),
    Row("POST", "/proactive/warranties", "303! 403 303 303! 303", {}, {"text": "name,ends_on\npc-harbour,2027-08-31\n"}),
    Row("POST", "/pcs/<endpoint_id>/warranty", "303! 403 303 404 303", {"endpoint_id": HARBOUR_PC}, {"ends_on": "2027-08-31"}),
    # Requests for change
    Row("GET", "/changes", "303 200 200 200 200"),
    Row("GET", "/changes/new", "303 403 200 200 200"),
    Row("POST", "/changes/new", "303! 403 303 403 303", {}, CHANGE_FORM),
    Row("GET", "/changes/<int:number>", "303 200 200 404 200", {"number": 1}),
    Row("GET", "/changes/<int:number>/decide", "303 200 200 404 200", {"number": 1}),
    Row("POST", "/changes/<int:number>/decide", "303! 403 303 404 303", {"number": 1}, YES_FORM),
    Row("POST", "/changes/<int:number>/<deed>", "303! 403 403 404 303", {"number": 1, "deed": "withdraw"}, {"why": "no need"}),
    Row("POST", "/changes/<int:number>/<deed>", "303! 403 303 404 303", {"number": 1, "deed": "link"}, LINK),
    Row("POST", "/changes/<int:number>/<deed>", "303! 403 409 404 409", {"number": 1, "deed": "unlink"}, LINK),
    Row("POST", "/changes/<int:number>/<deed>", "303! 403 409 404 409", {"number": 1, "deed": "review"}, {"outcome": "failed"}),
    Row("GET", "/changes/calendar", "303 200 200 200 200"),
    Row("GET", "/changes/calendar.ics", "303 200 200 200 200"),
    Row("POST", "/changes/calendar/address", "303! 200 200 200 200", {}, {}),
    Row("GET", "/changes/feed/<secret>.ics", "404 404 404 404 404", {"secret": "fettle_pat_none"}),
    Row("GET", "/changes/statistics", "303 200 200 200 200"),
    Row("GET", "/changes/templates", "303 200 200 200 200"),
    Row("POST", "/changes/templates", "303! 403 403 403 303", {}, TEMPLATE_FORM),
    Row("POST", "/changes/templates/<int:number>/withdraw", "303! 403 403 403 303", {"number": 1}, {"why": "no need"}),
    Row("GET", "/schools/<int:school_id>/changes", "303 200 200 404 200", {"school_id": 1}),
    Row("POST", "/schools/<int:school_id>/changes", "303! 403 303 404 303", {"school_id": 1}, {"at_once": "5"}),
    Row("GET", "/api/v1/changes", "401 200 200 200 200"),
    Row("POST", "/api/v1/changes", "401 403 201 403 201", json=CHANGE_JSON),
    Row("POST", "/api/v1/changes/preview", "401 403 200 403 200", json=CHANGE_JSON),
    Row("GET", "/api/v1/changes/<int:number>", "401 200 200 404 200", {"number": 1}),
    Row("POST", "/api/v1/changes/<int:number>/decide", "401 403 200 404 200", {"number": 1}, json=YES),
    Row("POST", "/api/v1/changes/<int:number>/withdraw", "401 403 403 404 200", {"number": 1}, json={"why": "no need"}),
    Row(
        "POST",
        "/api/v1/changes/<int:number>/review",
        "401 403 409 404 409",
        {"number": 1},
        json={"outcome": "failed", "text": "x"},
    ),
    Row("POST", "/api/v1/changes/<int:number>/incidents", "401 403 200 404 200", {"number": 1}, json=LINK),
    Row("POST", "/api/v1/changes/<int:number>/incidents/remove", "401 403 409 404 409", {"number": 1}, json=LINK),
    Row("GET", "/api/v1/changes/statistics", "401 200 200 200 200"),
    Row("GET", "/api/v1/changes/schedule", "401 200 200 200 200"),
    Row("GET", "/api/v1/changes/templates", "401 200 200 200 200"),
    Row("POST", "/api/v1/changes/templates", "401 403 403 403 201", json=TEMPLATE),
    Row(
        "POST", "/api/v1/changes/templates/<int:number>/withdraw", "401 403 403 403 200", {"number": 1}, json={"why": "no need"}
    ),
    Row("GET", "/api/v1/schools/<int:school_id>/changes", "401 200 200 404 200", {"school_id": 1}),
    Row("PUT", "/api/v1/schools/<int:school_id>/changes", "401 403 200 404 200", {"school_id": 1}, json={"needs_final": False}),
    # Rollouts, jobs, keys, windows
    Row("GET", "/rollouts", "303 200 200 200 200"),
    Row("GET", "/rollouts/<int:rollout_id>", "303 200 200 404 200", ROLLOUT),
    *(
        Row("POST", "/rollouts/<int:rollout_id>/<deed>", "303! 403 303 404 303", ROLLOUT | {"deed": deed}, {"why": "because"})
        for deed in ("halt", "pause", "cancel")
    ),
    *(
        Row("POST", "/rollouts/<int:rollout_id>/<deed>", "303! 403 409 404 409", ROLLOUT | {"deed": deed}, {"why": "because"})
        for deed in ("start", "resume", "back-out")
    ),
    Row("GET", "/rollouts/<int:rollout_id>/signing.sh", "303 403 200 404 200", ROLLOUT),
    Row("POST", "/rollouts/<int:rollout_id>/signatures", "303! 409 409 404 409", ROLLOUT, {"signatures": "x"}),
    Row("GET", "/rollouts/<int:rollout_id>/pcs.csv", "303 200 200 404 200", ROLLOUT),
    Row("GET", "/jobs/<uid>", "303 200 200 404 200", JOB),
    Row("POST", "/jobs/<uid>/cancel", "303! 403 303 404 303", JOB, {"why": "because"}),
    Row("GET", "/settings/windows", "303 200 200 200 200"),
    Row("POST", "/settings/windows", "303! 403 303 403 303", {}, CHANGE_WINDOW),
    Row("POST", "/settings/windows/<int:window_id>/remove", "303! 403 303 404 303", {"window_id": 1}, {}),
    Row("POST", "/settings/freezes", "303! 403 303 403 303", {}, FREEZE),
    Row("POST", "/settings/freezes/<int:freeze_id>/end", "303! 403 303 404 303", {"freeze_id": 1}, {}),
    Row("GET", "/settings/keys", "303 403 403 403 200"),
    Row("POST", "/settings/keys", "303! 403 403 403 303", {}, KEY_FORM),
    Row("POST", "/settings/keys/<key_id>/retire", "303! 403 403 403 303", {"key_id": KEY_ID}, {"why": "lost"}),
    Row("POST", "/settings/keys/rotate", "303! 403 403 403 303", {}, {"add": KEY_ID}),
    Row("GET", "/settings/keys/manifests/<int:manifest_id>/signing.sh", "303 403 200 403 200", {"manifest_id": 2}),
    Row("POST", "/settings/keys/signatures", "303! 403 403 403 409", {}, {"signatures": "x"}),
    # People, tokens, the journal
    Row("GET", "/account", "303 200 200 200 200"),
    Row("GET", "/account/password", "303 200 200 200 200"),
    Row("POST", "/account/password", "303! 400 400 400 400", {}, {"old": "no", "new": "x" * 12, "again": "x" * 12}),
    Row("POST", "/account/sessions/<session_id>/end", "303! 303! 303 303! 303!", {"session_id": "<of tom>"}, {}),
    Row("POST", "/account/sessions/end", "303! 303 303 303 303", {}, {}),
    Row("POST", "/account/tokens", "303! 200 200 200 200", {}, {"name": "a script", "role": "viewer", "days": "30"}),
    Row("POST", "/account/tokens/<int:token_id>/revoke", "303! 404 303 404 404", {"token_id": "<of tom>"}, {}),
    Row("GET", "/people", "303 403 403 403 200"),
    Row("POST", "/people", "303! 403 403 403 200", {}, PERSON_FORM),
    Row("POST", "/people/<int:user_id>", "303! 403 403 403 303", {"user_id": 2}, PERSON_FORM),
    Row("POST", "/people/<int:user_id>/password", "303! 403 403 403 200", {"user_id": 2}, {}),
    Row("POST", "/people/<int:user_id>/sessions/end", "303! 403 403 403 303", {"user_id": 2}, {}),
    Row("GET", "/audit", "303 403 403 403 200"),
    Row("GET", "/enrolment", "303 403 200 200 200"),
    Row("POST", "/enrolment", "303! 403 200 403 200", {}, {"school": "Harbour School", "uses": "1", "hours": "24"}),
    Row("POST", "/enrolment/<int:token_id>/end", "303! 403 303 404 303", {"token_id": "<enrolment>"}, {}),
    # Updates, and the library
    Row("GET", "/patches", "303 200 200 200 200"),
    Row("GET", "/patches/compliance", "303 200 200 200 200"),
    Row("GET", "/patches/<int:update_id>", "303 200 200 404 200", {"update_id": 1}),
    Row("GET", "/pcs/<endpoint_id>/patches", "303 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    Row("POST", "/patches/<int:update_id>/exceptions", "303! 403 403 403 303", {"update_id": 1}, EXCEPTION),
    Row(
        "POST",
        "/patches/<int:update_id>/exceptions/<int:exception_id>/end",
        "303! 403 403 403 303",
        {"update_id": 1, "exception_id": 1},
        {},
    ),
    Row("GET", "/library", "303 200 200 200 200"),
    Row("GET", "/library/items/<int:item_id>", "303 200 200 200 200", {"item_id": 1}),
    Row("POST", "/library/packages", "303! 403 303 303 303", {}, PACKAGE),
    Row("POST", "/library/scripts", "303! 403 303 303 303", {}, SCRIPT),
    Row("POST", "/library/items/<int:item_id>/withdraw", "303! 403 303! 303! 303", {"item_id": 1}, {}),
    Row("GET", "/library/builds", "303 200 200 200 200"),
    Row("POST", "/library/builds", "303! 403 303 303 303", {}, BUILD_FORM),
    Row("GET", "/library/builds/<int:build_id>", "303 200 200 200 200", {"build_id": 1}),
    Row("POST", "/library/builds/<int:build_id>/places", "303! 403 303 403 303", {"build_id": 1}, {"where": "school:1"}),
    Row(
        "POST",
        "/library/builds/<int:build_id>/places/<int:place_id>/remove",
        "303! 403 303 404 303",
        {"build_id": 1, "place_id": 1},
        {},
    ),
    Row("POST", "/library/builds/<int:build_id>/check", "303! 403 303 303 303", {"build_id": 1}, {"done": "0"}),
    Row("POST", "/library/builds/<int:build_id>/retire", "303! 403 303! 303! 303", {"build_id": 1}, {}),
    # The door, and what machines ask
    Row("GET", "/sign-in", "200 303 303 303 303"),
    Row("POST", "/sign-in", "401 401 401 401 401", {}, {"name": "ada", "password": "wrong"}),
    Row("POST", "/sign-out", "303! 303 303 303 303", {}, {}),
    Row("GET", "/healthz", "200 200 200 200 200"),
    Row("GET", "/readyz", "503 503 503 503 503"),
    Row("GET", "/metrics", "200 200 200 200 200"),
    # The API
    Row("GET", "/api/v1/openapi.json", "200 200 200 200 200"),
    Row("GET", "/api/v1/endpoints", "401 200 200 200 200"),
    Row("GET", "/api/v1/endpoints/<endpoint_id>", "401 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    Row("GET", "/api/v1/endpoints/<endpoint_id>/readings", "401 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    Row("GET", "/api/v1/endpoints/<endpoint_id>/history", "401 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    Row("GET", "/api/v1/endpoints/<endpoint_id>/explain", "401 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    Row("GET", "/api/v1/problems", "401 200 200 200 200"),
    Row("GET", "/api/v1/problems/<int:number>", "401 200 200 404 200", {"number": 1}),
    Row("POST", "/api/v1/problems/<int:number>/accept", "401 403 403 404 200", {"number": 1}, json={}),
    Row("POST", "/api/v1/problems/<int:number>/dismiss", "401 403 403 404 200", {"number": 1}, json={"reason": "chance"}),
    Row("GET", "/api/v1/held", "401 200 200 200 200"),
    Row("POST", "/api/v1/silences", "401 403 201 400 201", json={"school": 1, "until": TOMORROW, "reason": "x"}),
    Row("POST", "/api/v1/windows", "401 403 201 400 201", json=WINDOW),
    Row("DELETE", "/api/v1/held/orders/<int:order_id>", "401 409 409 409 409", {"order_id": 1}),
    Row("GET", "/api/v1/incidents", "401 200 200 200 200"),
    Row("GET", "/api/v1/incidents/<int:number>", "401 200 200 404 200", {"number": 1}),
    _api_deed("acknowledge"),
    _api_deed("assign", {"assignee": "tom"}),
    _api_deed("start"),
    _api_deed("wait", {"text": "for a part"}),
    _api_deed("resolve", {"text": "mended"}),
    _api_deed("close"),
    _api_deed("reopen", {"text": "not mended"}),
    _api_deed("comment", {"text": "seen"}),
    Row("GET", "/api/v1/notices/channels", "401 403 403 403 200"),
    Row("POST", "/api/v1/notices/channels", "401 403 403 403 201", json=CHANNEL),
    Row("DELETE", "/api/v1/notices/channels/<int:channel_id>", "401 403 403 403 204", _LOG),
    Row("POST", "/api/v1/notices/channels/<int:channel_id>/test", "401 403 403 403 200", _LOG),
    Row("GET", "/api/v1/notices/routes", "401 403 403 403 200"),
    Row("POST", "/api/v1/notices/routes", "401 403 403 403 201", json=_LOG),
    Row("PUT", "/api/v1/notices/routes/<int:route_id>", "401 403 403 403 200", {"route_id": 1}, json=_LOG),
    Row("DELETE", "/api/v1/notices/routes/<int:route_id>", "401 403 403 403 204", {"route_id": 1}),
    Row("GET", "/api/v1/notices/deliveries", "401 403 403 403 200"),
    Row("GET", "/api/v1/proofs", "401 200 200 200 200"),
    Row("GET", "/api/v1/proofs/<int:proof_id>", "401 200 200 404 200", {"proof_id": 1}),
    Row("POST", "/api/v1/schools/<int:school_id>/proofs", "401 403 201 404 201", {"school_id": 1}),
    Row("GET", "/api/v1/rules", "401 200 200 200 200"),
    Row("GET", "/api/v1/rules/<key>", "401 200 200 200 200", {"key": "disk-full"}),
    Row("PUT", "/api/v1/rules/<key>", "401 403 403 403 200", {"key": "disk-full"}, json=RULE_JSON),
    Row("DELETE", "/api/v1/rules/<key>", "401 403 403 403 400", {"key": "disk-full"}, json={"why": "not needed"}),
    Row("POST", "/api/v1/rules/<key>/backtest", "401 403 403 403 200", {"key": "disk-full"}, json={"rule": {"raise_level": 3}}),
    Row("GET", "/api/v1/rule-versions", "401 200 200 200 200"),
    Row("GET", "/api/v1/rule-versions/holders", "401 200 200 200 200"),
    Row("POST", "/api/v1/rule-versions/<int:version>/roll-back", "401 403 403 403 200", {"version": 1}, json={"why": "to see"}),
    Row("GET", "/api/v1/tasks", "401 200 200 200 200"),
    Row("POST", "/api/v1/tasks/<int:number>/complete", "401 403 200 404 200", {"number": 1}, json={"note": "done"}),
    Row("POST", "/api/v1/tasks/<int:number>/reopen", "401 403 200 404 200", {"number": 2}),
    Row("GET", "/api/v1/forecasts", "401 200 200 200 200"),
    Row("GET", "/api/v1/endpoints/<endpoint_id>/forecasts", "401 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    Row("PUT", "/api/v1/endpoints/<endpoint_id>/warranty", "401 403 200 404 200", {"endpoint_id": HARBOUR_PC}, json=WARRANTY),
    Row("GET", "/api/v1/rollouts", "401 200 200 200 200"),
    Row("GET", "/api/v1/rollouts/<int:number>", "401 200 200 404 200", {"number": 2}),
    Row("GET", "/api/v1/rollouts/<int:number>/pcs", "401 200 200 404 200", {"number": 2}),
    Row("POST", "/api/v1/rollouts/<int:number>/start", "401 403 409 404 409", {"number": 2}),
    Row("POST", "/api/v1/rollouts/<int:number>/resume", "401 403 409 404 409", {"number": 2}, json={"why": "because"}),
    *(
        Row("POST", f"/api/v1/rollouts/<int:number>/{deed}", "401 403 200 404 200", {"number": 2}, json={"why": "because"})
        for deed in ("pause", "halt", "cancel")
    ),
    Row("POST", "/api/v1/rollouts/<int:number>/back-out", "401 403 409 404 409", {"number": 2}, json={"why": "because"}),
    Row("GET", "/api/v1/rollouts/<int:number>/signing.sh", "401 403 200 404 200", {"number": 2}),
    Row("POST", "/api/v1/rollouts/<int:number>/signatures", "401 409 409 404 409", {"number": 2}, json={"signatures": "x"}),
    Row("GET", "/api/v1/jobs/<uid>", "401 200 200 404 200", JOB),
    Row("GET", "/api/v1/endpoints/<endpoint_id>/jobs", "401 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    Row("GET", "/api/v1/keys", "401 403 403 403 200"),
    Row("POST", "/api/v1/keys", "401 403 403 403 201", json={"name": "another", "public_pem": KEY_FORM["public"]}),
    Row("POST", "/api/v1/keys/<key_id>/retire", "401 403 403 403 204", {"key_id": KEY_ID}, json={"why": "lost"}),
    Row("POST", "/api/v1/keys/rotate", "401 403 403 403 201", json={"add": [KEY_ID]}),
    Row("GET", "/api/v1/keys/signing.sh", "401 403 403 403 409"),
    Row("POST", "/api/v1/keys/signatures", "401 403 403 403 409", json={"signatures": "x"}),
    Row("GET", "/api/v1/change-windows", "401 200 200 200 200"),
    Row("POST", "/api/v1/change-windows", "401 403 201 403 201", json=CHANGE_WINDOW_JSON),
    Row("DELETE", "/api/v1/change-windows/<int:number>", "401 403 204 404 204", {"number": 1}),
    Row("GET", "/api/v1/schools/<int:school_id>/change-windows", "401 200 200 404 200", {"school_id": 1}),
    Row("GET", "/api/v1/freezes", "401 200 200 200 200"),
    Row("POST", "/api/v1/freezes", "401 403 201 403 201", json=FREEZE_JSON),
    Row("DELETE", "/api/v1/freezes/<int:number>", "401 403 204 404 204", {"number": 1}),
    Row("GET", "/api/v1/schools", "401 200 200 200 200"),
    Row("GET", "/api/v1/schools/<int:school_id>/calendar", "401 200 200 404 200", {"school_id": 1}),
    Row("PUT", "/api/v1/schools/<int:school_id>/calendar", "401 403 200 404 200", {"school_id": 1}, json={"entries": []}),
    Row("GET", "/api/v1/schools/<int:school_id>/calendar.ics", "401 200 200 404 200", {"school_id": 1}),
    Row("PUT", "/api/v1/schools/<int:school_id>/calendar.ics", "401 403 409 404 409", {"school_id": 1}, json={}),
    Row("GET", "/api/v1/schools/<int:school_id>/rooms", "401 200 200 404 200", {"school_id": 1}),
    Row("POST", "/api/v1/schools/<int:school_id>/rooms", "401 403 201 404 201", {"school_id": 1}, json={"name": "Lab"}),
    Row(
        "PUT",
        "/api/v1/endpoints/<endpoint_id>/place",
        "401 403 200 404 200",
        {"endpoint_id": HARBOUR_PC},
        json={"endpoint_class": "loan"},
    ),
    Row("GET", "/api/v1/patches", "401 200 200 200 200"),
    Row("GET", "/api/v1/patches/<int:number>", "401 200 200 404 200", {"number": 1}),
    Row("GET", "/api/v1/patches/<int:number>/endpoints", "401 200 200 404 200", {"number": 1}),
    Row("GET", "/api/v1/endpoints/<endpoint_id>/patches", "401 200 200 404 200", {"endpoint_id": HARBOUR_PC}),
    Row("GET", "/api/v1/compliance", "401 200 200 200 200"),
    Row("GET", "/api/v1/library", "401 200 200 200 200"),
    Row("GET", "/api/v1/library/<int:number>", "401 200 200 200 200", {"number": 1}),
    Row("POST", "/api/v1/library/packages", "401 403 201 201 201", json=PACKAGE),
    Row("POST", "/api/v1/library/scripts", "401 403 201 201 201", json=SCRIPT),
    Row("POST", "/api/v1/library/<int:number>/withdraw", "401 403 400 400 200", {"number": 1}),
    Row("GET", "/api/v1/builds", "401 200 200 200 200"),
    Row("POST", "/api/v1/builds", "401 403 201 201 201", json=BUILD_JSON),
    Row("GET", "/api/v1/builds/<int:number>", "401 200 200 200 200", {"number": 1}),
    Row("POST", "/api/v1/builds/<int:number>/places", "401 403 200 403 200", {"number": 1}, json={"school": 1}),
    Row("GET", "/api/v1/builds/<int:number>/drift", "401 200 200 200 200", {"number": 1}),
    Row("GET", "/api/v1/tokens", "401 200 200 200 200"),
    Row("DELETE", "/api/v1/tokens/<int:token_id>", "401 404 204 404 404", {"token_id": "<of tom>"}),
)
QUERY = {
    "/api/v1/endpoints/<endpoint_id>/history": "?key=cpu.busy_percent&start=2026-11-22T00:00:00Z&end=2026-11-22T12:00:00Z",
    "/search.json": "?q=pc",
    "/live": "?after=0",
}


@dataclass(slots=True)
class World:
    """A console whose store goes back to where it was after each request, and what each caller sends along."""

    console: Any
    cookies: dict[str, dict[str, str]]
    form_tokens: dict[str, str]
    bearers: dict[str, dict[str, str]]
    known: dict[tuple[str, str], Any]
    before: sqlite3.Connection

    def ask(self, caller: str, row: Row, *, by_token: bool = False) -> tuple[int, str, bool]:
        """Status, body and location, and whether anything changed."""
        self._restore(row)
        was = self._picture()
        client = self.console.app.test_client(use_cookies=not by_token)
        headers = dict(self.bearers[caller]) if by_token else {"X-CSRFToken": self.form_tokens[caller]}
        for name, value in ({} if by_token else self.cookies[caller]).items():
            client.set_cookie(name, value)
        answer = client.open(self._path(row), method=row.method, headers=headers, data=row.form, json=row.json)
        body = "" if answer.is_streamed and answer.mimetype == "text/event-stream" else answer.get_data(as_text=True)
        status, told = answer.status_code, body + answer.headers.get("Location", "")
        answer.close()
        return status, told, self._picture() != was

    def _path(self, row: Row) -> str:
        path = row.rule
        for name, value in row.values.items():
            path = re.sub(rf"<(int:)?{name}>", str(self.known.get((name, value), value)), path)
        return path + QUERY.get(row.rule, "")

    def _restore(self, row: Row) -> None:
        live = sqlite3.connect(self.console.settings.data / "fettle.db")
        self.before.backup(live)
        state = {"close": "resolved", "reopen": "closed"}.get(row.values.get("deed") or row.rule.rpartition("/")[2])
        if state:
            live.execute("UPDATE incidents SET state = ?, resolved_at = 1, open_faults = 0 WHERE number = 1", (state,))
            live.commit()
        live.close()

    def _picture(self) -> list[str]:
        live = sqlite3.connect(self.console.settings.data / "fettle.db")
        lines = [line for line in live.iterdump() if not line.startswith('INSERT INTO "journal"')]
        live.close()
        return lines


@pytest.fixture(scope="module")
def world(console_opener, tmp_path_factory):
    """Made once: nothing that a request does outlives it, and however long it takes, no session is touched for it."""
    touching = pytest.MonkeyPatch()
    touching.setattr(people_queries, "TOUCH_EVERY", dt.timedelta(days=1))
    console = console_opener(tmp_path_factory.mktemp("permissions"), sign_in_limit="1000 per minute")
    console.person("ada", Role.ADMINISTRATOR)
    console.person("tom", Role.TECHNICIAN, "Harbour School")
    console.person("vera", Role.VIEWER, "Harbour School")
    console.person("otto", Role.TECHNICIAN, "Hilltop College")
    with console.begin() as tx:
        _tell_and_prove(tx)
        _have_work(tx)
        calendars.add_entry(tx, SYSTEM, 1, NewEntry(Kind.INSET, "INSET", TODAY, TODAY), clock.utc_now())
        rooms.make_room(tx, SYSTEM, 1, "Room of harbour", now=clock.utc_now())
        enrolment.create_token(tx, SYSTEM, "Harbour School", 1, dt.timedelta(days=1), clock.utc_now(), "0" * 64)
        _add_problem(tx)
        _add_change(tx, console.people["ada"])
        _run_rollout(tx)
        _lack_an_update(tx)
        _fill_library(tx)
    yield _world(console)
    touching.undo()


def _add_change(tx: sa.Connection, approver: Person) -> None:
    """Change 1, of Harbour School's PC, which waits for its peer review; and template 1."""
    now = clock.utc_now()
    limits: dict[str, Any] = {}
    templates.add_template(tx, approver, "Routine", "w", "p", "b", limits, now + dt.timedelta(days=1), now)
    wanted = Proposal(ChangeKind.NORMAL, "Update the PC of harbour", "w", {"endpoints": [HARBOUR_PC]}, (UPGRADE,))
    requests.propose(tx, SYSTEM, wanted, now)


def _run_rollout(tx: sa.Connection) -> None:
    """Rollout 2 runs and has a job for Harbour's PC; its back-out's manifest waits for a signature. Window 1 and freeze 1."""
    now = clock.utc_now()
    manifests.add_key(tx, SYSTEM, "ada", signing.public_pem(signing.public_bytes(KEY)), now)
    wanted = Proposal(ChangeKind.STANDARD, "Update it", "w", {"endpoints": [HARBOUR_PC]}, (UPGRADE,), template_id=1)
    requests.propose(tx, SYSTEM, wanted, now)
    forward = next(row for row in made_manifests.of_rollout(tx, 2) if row.purpose == "forward")
    signature = signing.sign(KEY, made_manifests.body_of(tx, forward.id))
    manifests.bring_signature(tx, SYSTEM, forward.id, signature, now)
    rollouts.start(tx, SYSTEM, 2, now)
    rollouts.tick(tx, 2, now)
    windows.add_window(tx, SYSTEM, windows.Span((5, 6), 0, 1440), now, school_id=1)
    windows.freeze(tx, SYSTEM, "Harbour's mocks", now + dt.timedelta(days=9), now + dt.timedelta(days=10), now, school_id=1)


def _lack_an_update(tx: sa.Connection) -> None:
    """Update 1, which Harbour's PC lacks and which is excepted there."""
    now = clock.utc_now()
    patches.take(tx, [(1, now, zlib.compress(json.dumps(UPDATES).encode()))], now)
    exceptions.except_update(tx, SYSTEM, 1, 1, "Harbour's reason", now.date() + dt.timedelta(days=9), now)


def _fill_library(tx: sa.Connection) -> None:
    """Item 1, and build 1 with its place at Harbour School."""
    now = clock.utc_now()
    library.add_script(tx, SYSTEM, NewScript("clear-queue", "1", "lpstat", "sh"), now)
    builds.create(tx, SYSTEM, NewBuild("Classroom", "1", "linux", absent=["telnetd"], checklist=["Sound"]), now)
    builds.assign(tx, SYSTEM, 1, now, school_id=1)


def _add_problem(tx: sa.Connection) -> None:
    """Problem 1, for which Harbour's incident speaks."""
    now = clock.utc_now()
    words = {"key": "k", "state": "proposed", "title": "Disks of Harbour School", "why": "Alike.", "rule": "disk-full"}
    tx.execute(sa.insert(Problem).values(number=1, incidents=1, schools=1, proposed_at=now, updated_at=now, **words))
    tx.execute(sa.insert(ProblemIncident).values(problem_number=1, incident_number=1))


def _tell_and_prove(tx) -> None:
    """A channel and a route that need no network, and a proof of Harbour School that is over."""
    channel, _ = editing.add_channel(tx, "system", "the log", "log", "", now=clock.utc_now())
    editing.set_route(tx, "system", None, channel, Wanted(), now=clock.utc_now())
    proofs.prove(tx, SYSTEM, 1, clock.utc_now())
    tx.execute(sa.update(Proof).values(state="passed", ended_at=clock.utc_now()))


def _have_work(tx) -> None:
    """Harbour School's task 1 is to do, its task 2 was done."""
    for number in (1, 2):
        key, day = f"battery/{number}", dt.date(2026, 12, 1)
        maintenance.propose(tx, Task("battery", key, "Replace a battery", "Harbour's", 1, None, None, day), clock.utc_now())
    maintenance.complete(tx, SYSTEM, 2, "", clock.utc_now())


def _world(console) -> World:
    cookies, form_tokens, bearers = {}, {}, {"stranger": {}}
    for caller in CALLERS:
        client = console.client(None if caller == "stranger" else caller)
        form_tokens[caller] = client.token()
        names = [name for name in ("fettle", "fettle-form") if client.flask.get_cookie(name)]
        cookies[caller] = {name: client.flask.get_cookie(name).value for name in names}
        if caller != "stranger":
            bearers[caller] = console.token(caller)
    toms = console.people["tom"].id
    known = {
        ("session_id", "<of tom>"): console.value(sa.select(Session.secret_sha256).where(Session.user_id == toms))[:16],
        ("token_id", "<of tom>"): console.value(sa.select(ApiToken.id).where(ApiToken.user_id == toms)),
        ("uid", "<job>"): console.value(sa.select(Job.uid)),
        ("token_id", "<enrolment>"): console.value(sa.select(EnrolmentToken.id)),
    }
    before = sqlite3.connect(":memory:")
    live = sqlite3.connect(console.settings.data / "fettle.db")
    live.backup(before)
    live.close()
    return World(console, cookies, form_tokens, bearers, known, before)


def test_every_route_is_in_the_table(world):
    served = {
        (method, rule.rule)
        for rule in world.console.app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert served == {(row.method, row.rule) for row in TABLE}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_each_caller_gets_what_the_table_says(world, row):
    got = {caller: world.ask(caller, row) for caller in CALLERS}
    expected = row.answers.split()
    assert [str(got[caller][0]) for caller in CALLERS] == [answer.rstrip("!") for answer in expected]
    for caller, answer in zip(CALLERS, expected, strict=True):
        _status, told, changed = got[caller]
        assert not (changed and (answer.endswith("!") or answer >= "400" or row.method == "GET")), caller
        assert not [mark for mark in OTHERS_MARKS[caller] if mark in _without_own_words(told, row)], caller


BY_TOKEN = [row for row in TABLE if row.rule.startswith("/api/")]


@pytest.mark.parametrize("row", BY_TOKEN, ids=lambda row: row.name)
def test_a_token_gets_what_its_person_gets(world, row):
    got = [str(world.ask(caller, row, by_token=True)[0]) for caller in CALLERS]
    assert got == row.answers.split()


@pytest.mark.parametrize("row", [row for row in TABLE if not row.rule.startswith("/api/")], ids=lambda row: row.name)
def test_a_token_is_worth_nothing_on_a_page(world, row):
    by_ada, by_nobody = (world.ask(caller, row, by_token=True)[0] for caller in ("ada", "stranger"))
    assert by_ada == by_nobody


@pytest.mark.parametrize(
    "path", ["/", "/pcs", "/incidents", "/search.json", "/api/v1/endpoints", "/api/v1/incidents", "/api/v1/schools"]
)
def test_the_marks_of_a_school_do_show_to_its_own_people(world, path):
    for caller, mark in (("tom", "harbour"), ("otto", "hilltop"), ("ada", "harbour"), ("ada", "hilltop")):
        assert mark in world.ask(caller, Row("GET", path, ""))[1].lower(), caller


def test_a_refused_deed_leaves_the_incident_as_it_was(world):
    for caller in ("stranger", "vera", "otto"):
        world.ask(caller, _deed("resolve"))
        assert world.console.value(sa.select(Incident.state).where(Incident.number == 1)) == "new"


def _without_own_words(told: str, row: Row) -> str:
    """The answer without what the caller said: an address that is handed back tells nobody anything."""
    for value in [*row.values.values(), *(row.form or {}).values()]:
        told = told.replace(str(value), "")
    return told
