"""Hands a signed change of keys to every endpoint that may still trust the signer: a job like any other, without a rollout."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from fettle_protocol.manifests import decode

from fettle_server.change.jobs import actions
from fettle_server.change.jobs.tables import Job
from fettle_server.change.manifests.rules import Purpose
from fettle_server.change.manifests.tables import Manifest, SigningKey
from fettle_server.estate.tables import Endpoint, School


def hand_out_keys(tx: sa.Connection, now: dt.datetime, limit: int = 5000) -> int:
    """Make and let go the jobs that signed changes of keys still need; returns how many. Asked often, it costs a small read.

    An endpoint that enrolled after the signer was retired never trusted it, and was given the newer keys as it enrolled.
    """
    columns = (Manifest.id, Manifest.body, Manifest.expires_at, SigningKey.retired_at)
    live = (Manifest.purpose == Purpose.KEYS.value, Manifest.withdrawn_at.is_(None), Manifest.expires_at > now)
    signed = sa.select(*columns).join(SigningKey, SigningKey.id == Manifest.key_id).where(*live).order_by(Manifest.id)
    made = 0
    for row in tx.execute(signed).all():
        places = _lacking(tx, row.id, decode(row.body).target.schools, row.retired_at or now, limit - made)
        if not places:
            continue
        jobs = actions.create(tx, row.id, places, None, row.expires_at, False, now)
        made += len(actions.release(tx, list(jobs.values()), now, row.expires_at, False, now))
    return made


def _lacking(
    tx: sa.Connection, manifest_id: int, schools: tuple[str, ...], enrolled_by: dt.datetime, limit: int
) -> list[tuple[int, int]]:
    """(pk, school) of endpoints that have no job of that manifest yet."""
    has = sa.select(Job.id).where(Job.manifest_id == manifest_id, Job.endpoint_pk == Endpoint.pk).exists()
    lacking = sa.select(Endpoint.pk, Endpoint.school_id).join(School, School.id == Endpoint.school_id)
    fits = (School.name.in_(schools), Endpoint.revoked_at.is_(None), Endpoint.enrolled_at <= enrolled_by, sa.not_(has))
    return [(row.pk, row.school_id) for row in tx.execute(lacking.where(*fits).order_by(Endpoint.pk).limit(limit))]
