"""`fettle-agent doctor`: what is wrong, in words, and what to do about it.

Looks and changes nothing; the server hears of it no more than a handshake. Each check is a function that gives its findings.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from fettle_agent import config, enrolment, identity, machine, status
from fettle_agent.errors import AgentError, ConfigError, NotEnrolled, PeerError
from fettle_agent.handshake import fetch_chain
from fettle_agent.jobs import signers
from fettle_agent.proxy import choose

CLOCK_TOLERANCE_S = 120
_ROOM_BYTES = 100 * 2**20
_MANY_EVENTS, _MANY_HOURS = 1_000, 24


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: what it is, whether it is well, and the sentence for the person."""

    about: str
    well: bool
    text: str


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at."""

    state: Path
    settings: config.Settings
    known: identity.Identity
    told: dict[str, Any]


def examine(state: Path) -> int:
    """Print what was found; 1 where anything is wrong."""
    found = list(findings(state))
    for finding in found:
        print(f"{'ok     ' if finding.well else 'problem'}  {finding.about:<12} {finding.text}")
    wrong = [finding for finding in found if not finding.well]
    if wrong:
        what = f"{len(wrong)} problem{'s' if len(wrong) > 1 else ''} ({', '.join(finding.about for finding in wrong)})"
        print(f"fettle-agent: {what}: see the lines above for what to do", file=sys.stderr)
    return 1 if wrong else 0


def findings(state: Path) -> Iterator[Finding]:
    """All that was looked at, one after another."""
    yield from _folder(state)
    settings = config.Settings()
    try:
        settings = config.load(state)
        yield Finding("settings", True, "can be used")
    except ConfigError as error:
        yield Finding("settings", False, str(error))
    try:
        known = identity.load(state)
    except NotEnrolled as error:
        yield Finding("enrolment", False, str(error))
        return
    yield Finding("enrolment", True, f"endpoint {known.endpoint_id} of {known.school}")
    patient = Patient(state, settings, known, status.report(state))
    for check in CHECKS:
        yield from check(patient)


def _folder(state: Path) -> Iterator[Finding]:
    if not state.is_dir():
        yield Finding("folder", False, f"{state} is not there: enrol this machine, or use another --state")
        return
    if not os.access(state, os.W_OK):
        yield Finding("folder", False, f"{state} cannot be written: run this as the account that runs the agent")
    probe = state / "doctor.probe"
    try:
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        yield Finding("disk", False, f"{state} does not take a file ({error.strerror}): make room on the disk, or mend it")
        return
    free_bytes = shutil.disk_usage(state).free
    roomy = free_bytes >= _ROOM_BYTES
    advice = "" if roomy else ": make room, or the agent cannot keep what the server has not heard yet"
    yield Finding("disk", roomy, f"{free_bytes // 2**20:,} MiB free for {state}{advice}")


def _certificate(patient: Patient) -> Iterator[Finding]:
    now_ms, known = round(time.time() * 1000), patient.known
    until = status.rfc3339(known.not_after_ms)
    if now_ms > known.not_after_ms:
        yield Finding(
            "certificate",
            False,
            f"expired at {until}: enrol this machine again with a new token and --force (or set its clock right)",
        )
    elif now_ms < known.not_before_ms:
        yield Finding(
            "certificate",
            False,
            f"is valid only from {status.rfc3339(known.not_before_ms)}: this machine's clock is behind; set it",
        )
    elif now_ms > known.not_after_ms - (known.not_after_ms - known.renew_at_ms()) // 2:
        yield Finding("certificate", False, f"expires at {until} and was not renewed: see the server's line below")
    else:
        yield Finding("certificate", True, f"valid until {until}")


def _clock(patient: Patient) -> Iterator[Finding]:
    """The running agent has compared its clock with the server's."""
    lead_s = patient.told.get("clock_lead_s")
    if lead_s is None:
        return
    wrong = abs(lead_s) > CLOCK_TOLERANCE_S
    text = f"{abs(lead_s):,.0f} s {'ahead of' if lead_s > 0 else 'behind'} the server's"
    yield Finding(
        "clock", not wrong, f"{text}: set it, and see that it is kept right (NTP; the board's battery)" if wrong else text
    )


def _server(patient: Patient) -> Iterator[Finding]:
    address = machine.server_of(patient.known, patient.settings)
    proxy = choose(patient.settings.proxy or patient.known.proxy, address)
    try:
        chain = [x509.load_der_x509_certificate(der) for der in fetch_chain(address, proxy)]
        roots = x509.load_pem_x509_certificates(identity.authority(patient.state, patient.settings.ca))
    except AgentError as error:
        yield Finding("server", False, str(error))
        return
    except (OSError, ValueError) as error:
        yield Finding("server", False, f"the authority to trust cannot be read ({error}): enrol this machine again")
        return
    if not chain or not any(enrolment.issued(root, one) for root in roots for one in chain):
        yield Finding("server", False, enrolment.intercepted(address, chain[0]) if chain else f"{address} shows no certificate")
        return
    yield from _server_time(address, chain[0])


def _server_time(address: str, leaf: x509.Certificate) -> Iterator[Finding]:
    try:
        enrolment.check_clock(leaf, dt.datetime.now(dt.UTC))
    except PeerError as error:
        yield Finding("clock", False, str(error))
        return
    yield Finding("server", True, f"{address} answers with the enrolled server's certificate")


def _agent(patient: Patient) -> Iterator[Finding]:
    told = patient.told
    if not told["running"]:
        yield Finding("agent", False, f"no agent runs here: start it with fettle-agent run --state {patient.state}")
        return
    yield Finding("agent", True, f"runs as process {told.get('pid')}")
    if told["connected"]:
        yield Finding("link", True, f"connected since {told.get('connected_since')}")
    else:
        yield Finding("link", False, f"not connected since {told.get('disconnected_since')}: {told.get('last_error')}")
    yield from (Finding("server said", False, f"{one['at']}: {one['text']}") for one in told.get("told", []))
    yield from (
        Finding("collector", False, f"{one['name']}: {one['error']}") for one in told.get("collectors", []) if one["error"]
    )


def _spool(patient: Patient) -> Iterator[Finding]:
    spool = patient.told.get("spool")
    if not spool:
        return
    if spool["trouble"]:
        yield Finding("spool", False, f"{spool['trouble']}: make room on the disk, or mend it")
    elif spool["events"] > _MANY_EVENTS or spool["hours"] > _MANY_HOURS:
        text = f"{spool['events']} events and {spool['hours']} hours wait for the server, and {spool['shed']} were shed"
        yield Finding("spool", False, f"{text}: see why the agent is not connected")
    else:
        yield Finding("spool", True, f"{spool['events']} events and {spool['hours']} hours wait for the server")


def _jobs(patient: Patient) -> Iterator[Finding]:
    """Whether this PC can obey anybody, and what keeps it from it."""
    try:
        trusted = len(signers.load(patient.state).keys)
    except AgentError as error:
        yield Finding("signers", False, str(error))
        return
    if not trusted:
        advice = f"pin an approver's public key with fettle-agent trust --key FILE --state {patient.state}"
        unneeded = not (patient.state / "jobs").exists()  # no problem as long as the server hands over no work
        yield Finding("signers", unneeded, f"this PC trusts no signer, so it refuses all work from the server: {advice}")
        return
    waiting = patient.told.get("jobs", {}).get("open", 0)
    yield Finding("signers", True, f"{trusted} trusted; {waiting} jobs to do" if waiting else f"{trusted} trusted")
    trouble = patient.told.get("jobs", {}).get("trouble", "")
    if trouble:
        yield Finding("jobs", False, trouble)


CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (_certificate, _clock, _server, _agent, _spool, _jobs)
