"""What `fettle doctor` looks at, one function a check: each says in words what is so, and what to do where it is wrong."""

from __future__ import annotations

import datetime as dt
import os
import resource
import shutil
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa
from cryptography import x509

from fettle_server import db
from fettle_server.commands.listening import why_not
from fettle_server.commands.parts import Part, pid_of, ready_file
from fettle_server.commands.store import StoreError, check_version
from fettle_server.config import Settings, SettingsError, split_address
from fettle_server.estate.enrolment import pki
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.journal import queries as journal

_SOON = dt.timedelta(days=30)
_CLOCK_SLACK = dt.timedelta(minutes=5)
_LEAST_FREE_BYTES = 1_000_000_000
_SPARE_FILES = 500
_READ_WHOLE_BYTES = 4_000_000_000
_CONNECT_S = 5.0


class State(StrEnum):
    """How a check went."""

    GOOD = "good"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `advice` is what to do about it, empty where there is nothing to do."""

    check: str
    state: State
    text: str
    advice: str = ""


Check = Callable[[Settings, dt.datetime], Iterator[Finding]]


def directory(settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
    """Who owns the data directory, and who can read its keys."""
    data = settings.data
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield _problem("directory", f"this user cannot write to {data}", "run this as the user that owns it, or chown it")
        return
    loose = [name for name in (pki.CA_KEY_FILE, "server.key", "fettle.toml") if _is_open_to_others(data / name)]
    if loose:
        yield _problem(
            "directory", f"other users can read {', '.join(loose)}", f"chmod 600 {' '.join(str(data / name) for name in loose)}"
        )
    else:
        yield _good("directory", f"{data} is writable, and its keys are private")


def disk(settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
    """Whether the data directory's disk has room."""
    usage = shutil.disk_usage(settings.data)
    text = f"{usage.free / 1e9:.1f} GB free ({usage.free / usage.total:.0%}) where {settings.data} is"
    if usage.free < _LEAST_FREE_BYTES:
        yield _problem("disk", f"the disk is full: {text}", "free some space, or lower history_days in fettle.toml")
    else:
        yield _good("disk", text)


def store(settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
    """Whether the store answers, is of this program's version, and is sound."""
    try:
        check_version(settings)
    except StoreError as error:
        yield _problem("store", str(error), "")
        return
    if not settings.database_url.startswith("sqlite"):
        yield _good("store", "the database answers and is up to date")
        return
    engine = db.open_engine(settings.database_url, readonly=True)
    size_bytes = Path(engine.url.database or "").stat().st_size
    if size_bytes > _READ_WHOLE_BYTES:
        yield _good("store", f"the database answers and is up to date ({size_bytes / 1e9:.0f} GB are not read through here)")
        return
    with engine.connect() as tx:
        verdict = tx.execute(sa.text("PRAGMA quick_check(1)")).scalar()
    engine.dispose()
    if verdict == "ok":
        yield _good("store", "the database answers, is up to date and is sound")
    else:
        yield _problem("store", f"the database is damaged: {verdict}", "stop the server and restore fettle.db from a backup")


def clock(settings: Settings, now: dt.datetime) -> Iterator[Finding]:
    """Whether this machine's clock can be right: time never runs back past what has been written down."""
    try:
        begins = x509.load_pem_x509_certificate((settings.data / pki.CA_FILE).read_bytes()).not_valid_before_utc
    except (OSError, ValueError):
        begins = now  # the certificates' own check says so
    advice = "set the clock, and let it follow a time server"
    if now < begins:
        yield _problem("clock", f"this machine's clock says {_at(now)}, before its certificate authority was made", advice)
        return
    try:
        engine = db.open_engine(settings.database_url, readonly=True)
        with engine.begin() as tx:
            newest = journal.since(tx, SYSTEM, journal.newest_id(tx) - 1, 1)
        engine.dispose()
    except sa.exc.DBAPIError:
        return  # the store's own check says so
    if newest and newest[0].at > now + _CLOCK_SLACK:
        yield _problem(
            "clock", f"this machine's clock says {_at(now)}, but the journal goes on until {_at(newest[0].at)}", advice
        )
    else:
        yield _good("clock", f"this machine's clock says {_at(now)}")


def certificates(settings: Settings, now: dt.datetime) -> Iterator[Finding]:
    """Whether the authority and the server's certificate are good, and for how long."""
    try:
        authority = pki.load_authority(settings.data)
    except pki.PkiError as error:
        yield _problem("certificates", str(error), "")
        return
    yield _expiry("certificate authority", authority.certificate, now, "make a new data directory and enrol the machines again")
    path = Path(settings.grpc_certificate) if settings.grpc_certificate else settings.data / "server.pem"
    own = bool(settings.grpc_certificate)
    try:
        shown = x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        state = _problem if own else _note
        yield state("server certificate", f"there is no {path}", "see the setting grpc_certificate" if own else "")
    except ValueError:
        yield _problem("server certificate", f"{path} is not a certificate in PEM form", "put the right file there")
    else:
        advice = "have it renewed, and restart the server" if own else "restart the server: it makes a new one"
        yield _expiry("server certificate", shown, now, advice)


def ports(settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
    """Whether Fettle listens where it should, or could."""
    for part, address, option in ((Part.INGEST, settings.grpc, "--grpc"), (Part.CONSOLE, settings.http, "--http")):
        pid = pid_of(settings.data, part)
        if pid is not None and ready_file(settings.data, part).exists():
            place = ready_file(settings.data, part).read_text().strip()
            yield _good(f"port of {part}", f"Fettle itself (process {pid}) serves {place}")
            continue
        try:
            reason = why_not(address)
        except SettingsError as error:
            reason = str(error)
        if reason:
            yield _problem(
                f"port of {part}", f"{address} cannot be used: {reason}", f"stop the other program, or choose with {option}"
            )
        else:
            yield _good(f"port of {part}", f"{address} is free")


def tls(settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
    """Whether a caller is shown the very certificate that the server has, or somebody else's in between."""
    place = ready_file(settings.data, Part.INGEST)
    if pid_of(settings.data, Part.INGEST) is None or not place.exists():
        yield _note("TLS", "ingest does not run, so its certificate was not looked at")
        return
    path = Path(settings.grpc_certificate) if settings.grpc_certificate else settings.data / "server.pem"
    ours = x509.load_pem_x509_certificate(path.read_bytes())
    address = place.read_text().strip()
    try:
        shown = shown_certificate(address)
    except OSError as error:
        yield _problem(
            "TLS", f"no TLS connection to {address}: {error}", "look at the server's log, and at firewalls on this machine"
        )
        return
    if pki.certificate_sha256(shown) == pki.certificate_sha256(ours):
        yield _good("TLS", f"{address} shows the server's own certificate")
    else:
        who = shown.issuer.rfc4514_string()
        text = f"{address} shows a certificate of {who}, not the server's own: something in between reads the connection"
        yield _problem("TLS", text, "except Fettle's port from TLS inspection in the proxy or antivirus")


def files(settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
    """Whether the process may open as many files as agents may connect."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_streams + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < wanted:
        text = f"a process here may open {hard} files, fewer than the {settings.max_streams} agents of max_streams need"
        yield _note("open files", text, f"raise the limit to {wanted} (LimitNOFILE in the service), or lower max_streams")
    else:
        yield _good("open files", "enough files may be open")


def processes(settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
    """Which parts run."""
    running = {part: pid_of(settings.data, part) for part in Part}
    if pid_of(settings.data, "serve") is None and not any(running.values()):
        yield _note("processes", "the server does not run", f"fettle serve {settings.data}")
        return
    missing = [part for part, pid in running.items() if pid is None]
    if missing and pid_of(settings.data, "serve") is not None:
        yield _problem("processes", f"{', '.join(missing)} does not run though the server does", "its log says why")
    else:
        there = ", ".join(f"{part} ({pid})" for part, pid in running.items() if pid is not None)
        yield _good("processes", f"running: {there}")


CHECKS: tuple[Check, ...] = (directory, disk, store, clock, certificates, ports, tls, files, processes)


def shown_certificate(address: str) -> x509.Certificate:
    """The certificate that whoever listens there shows, unverified. Raises OSError where there is none."""
    host, port = split_address(address)
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound to
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((reachable, port), timeout=_CONNECT_S) as plain, context.wrap_socket(plain) as secure:
        der = secure.getpeercert(binary_form=True)
    if der is None:
        raise OSError("no certificate was shown")
    return x509.load_der_x509_certificate(der)


def _expiry(name: str, certificate: x509.Certificate, now: dt.datetime, advice: str) -> Finding:
    ends = certificate.not_valid_after_utc
    if ends <= now:
        return _problem(name, f"it expired at {_at(ends)}", advice)
    if ends - now < _SOON:
        return _problem(name, f"it expires at {_at(ends)}", advice)
    return _good(name, f"good until {_at(ends)}")


def _is_open_to_others(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _at(time: dt.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _good(check: str, text: str) -> Finding:
    return Finding(check, State.GOOD, text)


def _note(check: str, text: str, advice: str = "") -> Finding:
    return Finding(check, State.NOTE, text, advice)


def _problem(check: str, text: str, advice: str) -> Finding:
    return Finding(check, State.PROBLEM, text, advice)
