"""Enrolment in the store: tokens, new endpoints and their certificates. Each takes an open transaction and never commits."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fettle_server.db import to_ms
from fettle_server.estate.endpoints.reports import Event, record_events
from fettle_server.estate.endpoints.rules import search_text
from fettle_server.estate.enrolment import pki, rules
from fettle_server.estate.enrolment.rules import EnrolmentError, Machine
from fettle_server.estate.people.rules import Act, Person, demand, sees
from fettle_server.estate.tables import Certificate, Endpoint, EnrolmentToken, Health, School
from fettle_server.journal import actions as journal

MAX_LIFETIME = dt.timedelta(days=90)
_CERTIFICATES_KEPT = 5
_OF_NOTHING = hashlib.sha256(b"").hexdigest()
"""What an agent that finds nothing to tell its machine by may send: all such machines look alike."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A fresh enrolment token; its text is never to be had again."""

    token: str
    school: str
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Signing:
    """What signs endpoints' certificates, and how long they live."""

    authority: pki.Authority
    life: dt.timedelta


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What an enrolled machine is told."""

    endpoint_id: str
    school: str
    certificate: pki.Issued


def create_token(
    tx: sa.Connection,
    person: Person,
    school_name: str,
    uses: int,
    lifetime: dt.timedelta,
    now: dt.datetime,
    ca_sha256: str,
) -> NewToken:
    """Leave to enrol `uses` machines into a school, which is made if there is none of that name.

    Raises:
        EnrolmentError: a name, number or lifetime that cannot be.
        Forbidden: the person may not do this there.
    """
    if not 1 <= uses <= rules.MAX_USES:
        raise EnrolmentError(f"a token may be used 1 to {rules.MAX_USES} times")
    if not dt.timedelta(0) < lifetime <= MAX_LIFETIME:
        raise EnrolmentError(f"a token lives at most {MAX_LIFETIME.days} days, and longer than none")
    name = rules.check_school_name(school_name)
    school_id = _school_for(tx, person, name, now)
    token = rules.write_token(secrets.token_bytes(rules.SECRET_BYTES), ca_sha256)
    row = {
        "secret_sha256": rules.secret_sha256(token),
        "school_id": school_id,
        "uses_left": uses,
        "expires_at": now + lifetime,
        "created_at": now,
        "created_by": person.actor,
    }
    made = tx.execute(sa.insert(EnrolmentToken).values(row).returning(EnrolmentToken.id)).scalar_one()
    detail = {"school": name, "uses": uses, "expires_at": (now + lifetime).isoformat()}
    journal.record(tx, "token.created", person.actor, f"token:{made}", school_id, detail, now)
    return NewToken(token, name, now + lifetime)


def end_token(tx: sa.Connection, person: Person, token_id: int, now: dt.datetime) -> None:
    """Let a token enrol no further machine.

    Raises:
        EnrolmentError: there is no such token where the person may look.
        Forbidden: the person may not do this there.
    """
    school_id = tx.execute(sa.select(EnrolmentToken.school_id).where(EnrolmentToken.id == token_id)).scalar()
    if school_id is None or not sees(person, school_id):
        raise EnrolmentError("there is no such token")
    demand(person, Act.MANAGE_ENDPOINTS, school_id)
    tx.execute(sa.update(EnrolmentToken).where(EnrolmentToken.id == token_id).values(uses_left=0))
    journal.record(tx, "token.revoked", person.actor, f"token:{token_id}", school_id, {}, now)


def make_school(tx: sa.Connection, name: str, now: dt.datetime) -> int:
    """The key of the school of that name, made if there is none."""
    name = rules.check_school_name(name)
    found = tx.execute(sa.select(School.id).where(School.name == name)).scalar()
    if found is not None:
        return found
    return tx.execute(sa.insert(School).values(name=name, created_at=now).returning(School.id)).scalar_one()


def enrol(tx: sa.Connection, signing: Signing, token: str, csr_der: bytes, machine: Machine, now: dt.datetime) -> Enrolled:
    """Take one use of the token, and make the endpoint with its first certificate.

    A machine whose hardware is that of an endpoint of the school which is not connected is that endpoint again, re-imaged.
    Where that one is connected, this is another machine from the same image or with the same numbers: a new endpoint.

    Raises:
        EnrolmentError: the token is unknown, used up or expired.
        PkiError: the signing request will not do (the token keeps its use).
    """
    secret, key = rules.secret_sha256(token), pki.key_of_csr(csr_der)
    token_id, school_id = _take_use(tx, secret, now)
    before = _same_hardware(tx, school_id, machine)
    if before is not None and not before.connected:
        endpoint_id, issued = _rejoin(tx, signing, key, before, machine, now)
    else:
        endpoint_id, issued = _join(tx, signing, key, school_id, machine, now)
        detail = {"name": machine.hostname, "token": token_id} | ({"same_hardware_as": before.id} if before else {})
        subject = f"endpoint:{endpoint_id}"
        journal.record(tx, "endpoint.enrolled", subject, subject, school_id, detail, now)
    school = tx.execute(sa.select(School.name).where(School.id == school_id)).scalar_one()
    return Enrolled(endpoint_id, school, issued)


def renew(tx: sa.Connection, signing: Signing, fingerprint: str, csr_der: bytes, now: dt.datetime) -> pki.Issued:
    """A further certificate for the endpoint whose certificate was shown.

    The old ones stay good until their end, so that an answer that was lost strands nobody; only the newest few are kept.

    Raises:
        EnrolmentError: the certificate is not known here, revoked or expired.
        PkiError: the signing request will not do.
    """
    key = pki.key_of_csr(csr_der)
    found = tx.execute(
        sa.select(Endpoint.pk, Endpoint.id, Endpoint.school_id)
        .join(Certificate, Certificate.endpoint_pk == Endpoint.pk)
        .where(Certificate.fingerprint == fingerprint, Certificate.revoked_at.is_(None), Endpoint.revoked_at.is_(None))
        .where(Certificate.not_after > now)
    ).one_or_none()
    if found is None:
        raise EnrolmentError("this certificate is not known here or was revoked: enrol the machine again with a new token")
    issued = pki.issue_endpoint(signing.authority, found.id, key, life=signing.life, now=now)
    _keep(tx, found.pk, issued, now)
    _revoke_surplus(tx, found.pk, fingerprint, now)
    subject = f"endpoint:{found.id}"
    journal.record(tx, "endpoint.renewed", subject, subject, found.school_id, {"not_after": issued.not_after.isoformat()}, now)
    return issued


def _school_for(tx: sa.Connection, person: Person, name: str, now: dt.datetime) -> int:
    found = tx.execute(sa.select(School.id).where(School.name == name)).scalar()
    if found is not None:
        demand(person, Act.MANAGE_ENDPOINTS, found)
        return found
    demand(person, Act.MANAGE_PEOPLE)  # a school is made by those who also say who may act in it
    return make_school(tx, name, now)


def _same_hardware(tx: sa.Connection, school_id: int, machine: Machine) -> Any:
    """The endpoint of the school that was this very machine: of several, one that is connected, else the last one seen."""
    if machine.fingerprint in ("", _OF_NOTHING):
        return None
    columns = (Endpoint.pk, Endpoint.id, Endpoint.school_id, Endpoint.name, Endpoint.model, Endpoint.serial, Endpoint.connected)
    statement = sa.select(*columns).where(
        Endpoint.school_id == school_id, Endpoint.fingerprint == machine.fingerprint, Endpoint.revoked_at.is_(None)
    )
    heard = sa.func.coalesce(sa.type_coerce(Endpoint.last_seen, sa.BigInteger), 0)
    return tx.execute(statement.order_by(Endpoint.connected.desc(), heard.desc()).limit(1).with_for_update()).one_or_none()


def _join(
    tx: sa.Connection, signing: Signing, key: Any, school_id: int, machine: Machine, now: dt.datetime
) -> tuple[str, pki.Issued]:
    """A new endpoint with its first certificate."""
    endpoint_id = secrets.token_hex(16)
    issued = pki.issue_endpoint(signing.authority, endpoint_id, key, life=signing.life, now=now)
    row = {
        "id": endpoint_id,
        "school_id": school_id,
        **_told(machine),
        "fingerprint": machine.fingerprint,
        "search": machine.hostname.lower(),
        "state": Health.UNKNOWN,
        "state_since": now,
        "enrolled_at": now,
    }
    endpoint_pk = tx.execute(sa.insert(Endpoint).values(row).returning(Endpoint.pk)).scalar_one()
    _keep(tx, endpoint_pk, issued, now)
    return endpoint_id, issued


def _rejoin(
    tx: sa.Connection, signing: Signing, key: Any, before: Any, machine: Machine, now: dt.datetime
) -> tuple[str, pki.Issued]:
    """A re-imaged machine is the endpoint that it was, so that its room, class and past stay its own.

    What it was known by before ends: an image that was taken of the old installation opens nothing. Its spool is a new one,
    so that its sequences start anew when it attaches.
    """
    issued = pki.issue_endpoint(signing.authority, before.id, key, life=signing.life, now=now)
    good = (Certificate.endpoint_pk == before.pk, Certificate.revoked_at.is_(None))
    tx.execute(sa.update(Certificate).where(*good).values(revoked_at=now))
    _keep(tx, before.pk, issued, now)
    search = search_text(machine.hostname, before.id, before.model, before.serial)
    tx.execute(sa.update(Endpoint).where(Endpoint.pk == before.pk).values(**_told(machine), search=search))
    detail = {"name": machine.hostname, "was": before.name}
    record_events(tx, [Event(before.pk, to_ms(now), "re-imaged", detail)])
    subject = f"endpoint:{before.id}"
    journal.record(tx, "endpoint.rejoined", subject, subject, before.school_id, detail, now)
    return before.id, issued


def _told(machine: Machine) -> dict[str, str]:
    return {
        "name": machine.hostname,
        "system": machine.system,
        "system_version": machine.system_version,
        "agent_version": machine.agent_version,
    }


def _take_use(tx: sa.Connection, secret: str, now: dt.datetime) -> tuple[int, int]:
    """Token and school keys, after taking one use in a single statement: two machines can never share the last one."""
    taken = tx.execute(
        sa.update(EnrolmentToken)
        .where(EnrolmentToken.secret_sha256 == secret, EnrolmentToken.uses_left > 0, EnrolmentToken.expires_at > now)
        .values(uses_left=EnrolmentToken.uses_left - 1)
        .returning(EnrolmentToken.id, EnrolmentToken.school_id)
    ).one_or_none()
    if taken is not None:
        return taken.id, taken.school_id
    expires_at = tx.execute(sa.select(EnrolmentToken.expires_at).where(EnrolmentToken.secret_sha256 == secret)).scalar()
    if expires_at is None:
        raise EnrolmentError("this server does not know that token: ask for a new one")
    if expires_at <= now:
        raise EnrolmentError(f"this token expired at {expires_at:%Y-%m-%d %H:%M} UTC: ask for a new one")
    raise EnrolmentError("this token has been used up: ask for a new one")


def _keep(tx: sa.Connection, endpoint_pk: int, issued: pki.Issued, now: dt.datetime) -> None:
    row = {"fingerprint": issued.fingerprint, "endpoint_pk": endpoint_pk, "issued_at": now, "not_after": issued.not_after}
    tx.execute(sa.insert(Certificate), row)


def _revoke_surplus(tx: sa.Connection, endpoint_pk: int, in_use: str, now: dt.datetime) -> None:
    """Bound what an agent that renews without end can pile up."""
    newest = (
        sa.select(Certificate.fingerprint)
        .where(Certificate.endpoint_pk == endpoint_pk, Certificate.revoked_at.is_(None))
        .order_by(Certificate.issued_at.desc())
        .limit(_CERTIFICATES_KEPT)
    )
    kept = {in_use, *tx.execute(newest).scalars()}
    tx.execute(
        sa.update(Certificate)
        .where(Certificate.endpoint_pk == endpoint_pk, Certificate.revoked_at.is_(None))
        .where(Certificate.fingerprint.not_in(kept))
        .values(revoked_at=now)
    )
