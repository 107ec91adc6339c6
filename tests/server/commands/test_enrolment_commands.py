"""`fettle token create` and `fettle endpoint revoke`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer
from cryptography import x509
from fettle_server import clock, db
from fettle_server.commands.enrolment import lifetime
from fettle_server.config import load
from fettle_server.estate.enrolment import pki
from fettle_server.estate.tables import Certificate, Endpoint, School


def test_token_as_json_names_token_school_and_end(fettle: Callable[..., Any], data: Path) -> None:
    made = json.loads(
        fettle("token", "create", data, "--school", "Hill School", "--uses", "3", "--expires", "2h", "--json").out
    )
    assert set(made) == {"token", "school", "expires_at"}
    assert made["school"] == "Hill School"
    ca = pki.certificate_sha256(x509.load_pem_x509_certificate((data / "ca.pem").read_bytes()))
    assert made["token"].startswith("fettle1-")
    assert made["token"].endswith(ca[:32])
    ends = dt.datetime.fromisoformat(made["expires_at"])
    assert abs(ends - clock.utc_now() - dt.timedelta(hours=2)) < dt.timedelta(minutes=1)


def test_token_alone_is_on_standard_output(fettle: Callable[..., Any], data: Path) -> None:
    made = fettle("token", "create", data, "--school", "Hill School")
    assert made.out.startswith("fettle1-")
    assert made.out.count("\n") == 1


@pytest.mark.parametrize("words", [("--uses", "0"), ("--school", "\n"), ("--expires", "99999d")])
def test_token_that_cannot_be_is_one_line(fettle: Callable[..., Any], data: Path, words: tuple[str, ...]) -> None:
    failed = fettle("token", "create", data, "--school", "Hill School", *words)
    assert failed.status == 1
    assert failed.err.count("\n") == 1


@pytest.mark.parametrize(("text", "hours"), [("90m", 1.5), ("24h", 24), ("7d", 168), (" 1H ", 1)])
def test_lifetimes_are_read(text: str, hours: float) -> None:
    assert lifetime(text) == dt.timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1w", "1.5h", "1h30m"])
def test_other_lifetimes_are_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        lifetime(text)


def test_revoked_endpoint_has_no_good_certificate(fettle: Callable[..., Any], data: Path) -> None:
    engine, now = db.open_engine(load(data).database_url), clock.utc_now()
    with engine.begin() as tx:
        school = tx.scalar(sa.select(School.id))
        row = {"id": "ab" * 16, "school_id": school, "name": "pc", "enrolled_at": now, "state_since": now}
        pk = tx.scalar(sa.insert(Endpoint).values(row).returning(Endpoint.pk))
        kept = {"fingerprint": "cd" * 32, "endpoint_pk": pk, "issued_at": now, "not_after": now + dt.timedelta(days=9)}
        tx.execute(sa.insert(Certificate).values(kept))
    assert fettle("endpoint", "revoke", data, "ab" * 16).status == 0
    with engine.begin() as tx:
        assert tx.scalar(sa.select(Certificate.revoked_at)) is not None
    engine.dispose()


def test_unknown_endpoint_is_said_so(fettle: Callable[..., Any], data: Path) -> None:
    failed = fettle("endpoint", "revoke", data, "ffff")
    assert failed.status == 1
    assert "ffff" in failed.err
