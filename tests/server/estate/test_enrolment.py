"""Tokens, enrolment and renewal, on both stores."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from fettle_protocol import identity
from fettle_server.estate.enrolment import actions, pki, rules
from fettle_server.estate.enrolment.rules import EnrolmentError
from fettle_server.estate.people.rules import SYSTEM, Forbidden, Person, Role
from fettle_server.estate.tables import Certificate, Endpoint, EndpointEvent, EnrolmentToken, School
from fettle_server.journal.tables import Entry

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
MACHINE = rules.describe(hostname="pc-14", system="linux", system_version="Debian 12", fingerprint="ab" * 32, agent_version="1")


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> actions.Signing:
    return actions.Signing(pki.make_authority(tmp_path_factory.mktemp("ca"), NOW), dt.timedelta(days=90))


def csr() -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(identity.new_key(), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def token(store: Any, signing: actions.Signing, uses: int = 1, school: str = "Harbour School") -> str:
    with store.begin() as tx:
        return actions.create_token(tx, SYSTEM, school, uses, HOUR, NOW, signing.authority.sha256).token


def enrol(store: Any, signing: actions.Signing, text: str, now: dt.datetime = NOW) -> actions.Enrolled:
    with store.begin() as tx:
        return actions.enrol(tx, signing, text, csr(), MACHINE, now)


def test_token_names_the_server_and_only_its_hash_is_kept(store: Any, signing: actions.Signing) -> None:
    text = token(store, signing)
    prefix, secret, pin = text.split("-")
    assert prefix == "fettle1"
    assert len(secret) == 26
    assert signing.authority.sha256.startswith(pin)
    assert store.value(sa.select(EnrolmentToken.secret_sha256)) == rules.secret_sha256(text)
    assert secret not in str(store.rows(sa.select(EnrolmentToken)) + store.rows(sa.select(Entry.detail)))


def test_enrolled_machine_is_an_endpoint_of_the_tokens_school(store: Any, signing: actions.Signing) -> None:
    enrolled = enrol(store, signing, token(store, signing))
    row = store.rows(sa.select(Endpoint.name, School.name, Certificate.fingerprint).join(School).join(Certificate))
    assert row == [("pc-14", "Harbour School", enrolled.certificate.fingerprint)]
    assert enrolled.school == "Harbour School"
    assert store.value(sa.select(Entry.subject).where(Entry.kind == "endpoint.enrolled")) == f"endpoint:{enrolled.endpoint_id}"


@pytest.mark.parametrize(
    ("text", "later", "words"),
    [
        (None, HOUR, "expired"),
        (f"fettle1-{'a' * 26}-{'0' * 32}", dt.timedelta(0), "does not know"),
        ("rubbish", dt.timedelta(0), "not an enrolment token"),
        ("", dt.timedelta(0), "not an enrolment token"),
    ],
    ids=["expired", "unknown", "no token", "empty"],
)
def test_token_that_will_not_do_is_refused_in_words(
    store: Any, signing: actions.Signing, text: str | None, later: dt.timedelta, words: str
) -> None:
    good = token(store, signing)
    with pytest.raises(EnrolmentError, match=words):
        enrol(store, signing, good if text is None else text, NOW + later)
    assert store.value(sa.select(sa.func.count()).select_from(Endpoint)) == 0


def test_token_is_used_up(store: Any, signing: actions.Signing) -> None:
    text = token(store, signing, uses=2)
    enrol(store, signing, text)
    enrol(store, signing, text)
    with pytest.raises(EnrolmentError, match="used up"):
        enrol(store, signing, text)


def test_two_machines_never_share_the_last_use(store: Any, signing: actions.Signing) -> None:
    text, enrolled, refused = token(store, signing), [], []

    def one() -> None:
        try:
            enrolled.append(enrol(store, signing, text))
        except EnrolmentError as error:
            refused.append(error)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(enrolled), len(refused)) == (1, 7)


def test_bad_signing_request_costs_no_use(store: Any, signing: actions.Signing) -> None:
    text = token(store, signing)
    with pytest.raises(pki.PkiError), store.begin() as tx:
        actions.enrol(tx, signing, text, b"rubbish", MACHINE, NOW)
    assert enrol(store, signing, text).school == "Harbour School"


def test_a_reimaged_machine_is_the_endpoint_that_it_was(store: Any, signing: actions.Signing) -> None:
    text = token(store, signing, uses=2)
    first = enrol(store, signing, text)
    with store.begin() as tx:
        tx.execute(sa.update(Endpoint).values(room_id=None, endpoint_class="loan", class_source="set", last_seen=NOW))
    again = enrol(store, signing, text, NOW + HOUR / 2)
    assert again.endpoint_id == first.endpoint_id
    good = store.rows(sa.select(Certificate.fingerprint).where(Certificate.revoked_at.is_(None)))
    assert [row.fingerprint for row in good] == [again.certificate.fingerprint]
    assert store.value(sa.select(Endpoint.endpoint_class)) == "loan"
    assert store.value(sa.select(EndpointEvent.kind)) == "re-imaged"
    assert store.value(sa.select(sa.func.count()).where(Entry.kind == "endpoint.rejoined")) == 1


@pytest.mark.parametrize("what", ["connected", "revoked", "another school", "another machine", "no fingerprint"])
def test_only_the_same_machine_that_is_away_rejoins(store: Any, signing: actions.Signing, what: str) -> None:
    first = enrol(store, signing, token(store, signing))
    changes = {"connected": {"connected": True}, "revoked": {"revoked_at": NOW}, "no fingerprint": {"fingerprint": ""}}
    changes["another machine"] = {"fingerprint": "cd" * 32}
    with store.begin() as tx:
        tx.execute(sa.update(Endpoint).values(changes.get(what, {"name": "pc-14"})))
    again = enrol(store, signing, token(store, signing, school="Other" if what == "another school" else "Harbour School"))
    assert again.endpoint_id != first.endpoint_id
    details = store.rows(sa.select(Entry.detail).where(Entry.kind == "endpoint.enrolled").order_by(Entry.id))
    assert details[-1].detail.get("same_hardware_as") == (first.endpoint_id if what == "connected" else None)


def test_renewal_leaves_the_old_certificate_good(store: Any, signing: actions.Signing) -> None:
    old = enrol(store, signing, token(store, signing)).certificate
    with store.begin() as tx:
        new = actions.renew(tx, signing, old.fingerprint, csr(), NOW + HOUR)
    good = store.rows(sa.select(Certificate.fingerprint).where(Certificate.revoked_at.is_(None)))
    assert {row.fingerprint for row in good} == {old.fingerprint, new.fingerprint}
    assert new.not_after > old.not_after


def test_renewing_without_end_piles_up_nothing(store: Any, signing: actions.Signing) -> None:
    first = enrol(store, signing, token(store, signing)).certificate
    for count in range(9):
        with store.begin() as tx:
            actions.renew(tx, signing, first.fingerprint, csr(), NOW + count * HOUR)
    good = store.rows(sa.select(Certificate.fingerprint).where(Certificate.revoked_at.is_(None)))
    assert len(good) == 6
    assert first.fingerprint in {row.fingerprint for row in good}


@pytest.mark.parametrize("what", ["unknown", "certificate", "endpoint", "expired"])
def test_certificate_that_does_not_count_is_not_renewed(store: Any, signing: actions.Signing, what: str) -> None:
    shown = enrol(store, signing, token(store, signing)).certificate.fingerprint
    with store.begin() as tx:
        if what == "certificate":
            tx.execute(sa.update(Certificate).values(revoked_at=NOW))
        if what == "endpoint":
            tx.execute(sa.update(Endpoint).values(revoked_at=NOW))
    shown = "0" * 64 if what == "unknown" else shown
    later = dt.timedelta(days=91) if what == "expired" else HOUR
    with pytest.raises(EnrolmentError, match="enrol the machine again"), store.begin() as tx:
        actions.renew(tx, signing, shown, csr(), NOW + later)


def test_technician_makes_tokens_for_own_schools_only(store: Any, signing: actions.Signing) -> None:
    own, other = store.school("Own"), store.school("Other")
    person = Person(7, "tess", Role.TECHNICIAN, frozenset({own}))
    with store.begin() as tx:
        assert actions.create_token(tx, person, "Own", 1, HOUR, NOW, "0" * 64).school == "Own"
    for name in ("Other", "A school that is not there"):
        with pytest.raises(Forbidden), store.begin() as tx:
            actions.create_token(tx, person, name, 1, HOUR, NOW, "0" * 64)
    assert other != own


@pytest.mark.parametrize(
    ("school", "uses", "lifetime"),
    [("", 1, HOUR), ("a\nb", 1, HOUR), ("x" * 201, 1, HOUR), ("A", 0, HOUR), ("A", 10_001, HOUR), ("A", 1, 0 * HOUR)],
)
def test_token_that_cannot_be_is_refused(store: Any, school: str, uses: int, lifetime: dt.timedelta) -> None:
    with pytest.raises(EnrolmentError), store.begin() as tx:
        actions.create_token(tx, SYSTEM, school, uses, lifetime, NOW, "0" * 64)


def test_what_a_machine_says_of_itself_is_cut_and_cleaned() -> None:
    machine = rules.describe(
        hostname="<b>pc\n\x00\u202e" + "x" * 999,
        system="beos",
        system_version="\t",
        fingerprint="../..",
        agent_version="v" * 99,
    )
    assert machine.hostname.startswith("<b>pcxxx")
    assert len(machine.hostname) == 255
    assert (machine.system, machine.system_version, machine.fingerprint, len(machine.agent_version)) == ("", "", "", 40)


def test_machine_without_a_name_is_called_unnamed() -> None:
    assert (
        rules.describe(hostname="\n", system="linux", system_version="", fingerprint="", agent_version="").hostname == "unnamed"
    )


def test_tokens_are_read_whatever_the_case_and_blanks_around(tmp_path: Path) -> None:
    text = rules.write_token(b"0123456789abcdef", "ab" * 32)
    assert rules.secret_sha256(f"  {text.upper()}\n") == rules.secret_sha256(text)
