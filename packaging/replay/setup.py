"""What is in the store before the first day: the product's own commands and actions, done as a careful technician would.

Owns endpoints' identities in the replay. The technician knows terms, INSET days, exams, rooms and classes; of snow, trolleys in
cupboards and people who are ill nobody has told him.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from fettle_protocol import identity
from fettle_protocol.policy import EndpointClass
from fettle_server import clock, db
from fettle_server.commands.store import migrate
from fettle_server.config import FILE_NAME, Settings, load
from fettle_server.estate.calendars.actions import set_bells, take_in
from fettle_server.estate.calendars.rules import Kind as EntryKind
from fettle_server.estate.calendars.views import BellRow, NewEntry
from fettle_server.estate.endpoints.facts import Stocktake
from fettle_server.estate.endpoints.reports import take_stock
from fettle_server.estate.enrolment import pki
from fettle_server.estate.enrolment.actions import Signing, create_token, enrol
from fettle_server.estate.enrolment.rules import MAX_USES, describe
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.estate.rooms.actions import make_room, set_classes, set_rooms
from fettle_server.estate.tables import Endpoint, School
from fettle_server.notify.editing import add_channel, set_route
from fettle_server.notify.rules import Wanted

from replay.world import terms
from replay.world.estate import Estate, Kind, Pc

CLASSES = {
    Kind.SUITE: EndpointClass.FIXED, Kind.TEACHER: EndpointClass.FIXED, Kind.TROLLEY: EndpointClass.TROLLEY,
    Kind.STAFF: EndpointClass.STAFF_LAPTOP, Kind.LOAN: EndpointClass.LOAN, Kind.SERVER: EndpointClass.SERVER,
}  # fmt: skip
_CERTIFICATE_DAYS = 825
_TOKEN_LIFE = dt.timedelta(days=90)


@dataclass(slots=True)
class Placed:
    """Where the played machines stand in the store: certificate and key of each, by its place."""

    engine: sa.Engine
    signing: Signing
    csr_der: bytes
    estate: Estate
    rooms: dict[int, int]
    schools: list[int]
    certificates: dict[int, str] = field(default_factory=dict)
    pks: dict[int, int] = field(default_factory=dict)
    owners: dict[int, int] = field(default_factory=dict)
    """Which machine an endpoint's key belongs to; a machine with a new image may have two."""

    @property
    def school_of(self) -> dict[int | None, int]:
        """The played school of each key."""
        return {key: number for number, key in enumerate(self.schools)}

    @property
    def room_of(self) -> dict[int | None, int]:
        """The played room of each key."""
        return {key: number for number, key in self.rooms.items()}

    def enrol_all(self, now: dt.datetime) -> None:
        """Every machine for the first time, a school a transaction."""
        for school in self.estate.schools:
            with self.engine.begin() as tx:
                pcs = self.estate.pcs_of_school(school.number)
                token = self._token(tx, school.name, len(pcs), now)
                self._place(tx, school.number, [(pc, self._enrol(tx, token, pc, now)) for pc in pcs], now)

    def image_anew(self, place: int, now: dt.datetime) -> None:
        """A machine enrols again after its new image; the technician puts it back where it was."""
        pc = self.estate.pcs[place]
        with self.engine.begin() as tx:
            token = self._token(tx, self.estate.schools[pc.school].name, 1, now)
            self._place(tx, pc.school, [(pc, self._enrol(tx, token, pc, now))], now)

    def _token(self, tx: sa.Connection, school: str, uses: int, now: dt.datetime) -> str:
        made = create_token(tx, SYSTEM, school, min(uses, MAX_USES), _TOKEN_LIFE, now, self.signing.authority.sha256)
        return made.token

    def _enrol(self, tx: sa.Connection, token: str, pc: Pc, now: dt.datetime) -> str:
        machine = describe(
            hostname=pc.name, system=pc.system, system_version=pc.build, fingerprint=pc.fingerprint, agent_version="0.1.0"
        )
        enrolled = enrol(tx, self.signing, token, self.csr_der, machine, now)
        pk = tx.execute(sa.select(Endpoint.pk).where(Endpoint.id == enrolled.endpoint_id)).scalar_one()
        self.certificates[pc.place], self.pks[pc.place], self.owners[pk] = enrolled.certificate.fingerprint, pk, pc.place
        take_stock(tx, [(pk, _hardware(pc, now))], now)
        return enrolled.endpoint_id

    def _place(self, tx: sa.Connection, school: int, made: list[tuple[Pc, str]], now: dt.datetime) -> None:
        for kind, klass in CLASSES.items():
            ids = [endpoint_id for pc, endpoint_id in made if pc.kind is kind]
            for start in range(0, len(ids), 500):
                set_classes(tx, SYSTEM, ids[start : start + 500], klass.value, now)
        rooms: dict[int, list[str]] = {}
        for pc, endpoint_id in made:
            if pc.room is not None:
                rooms.setdefault(pc.room, []).append(endpoint_id)
        for room, ids in rooms.items():
            set_rooms(tx, SYSTEM, ids, self.rooms[room], now)


def prepare(data: Path, estate: Estate) -> tuple[Settings, Placed]:
    """A fresh store in that directory with everything entered, and all machines enrolled."""
    (data / FILE_NAME).write_text(f"certificate_days = {_CERTIFICATE_DAYS}\nlog_level = 'error'\nproof_every_days = 0\n")
    settings, now = load(data), clock.utc_now()
    authority = pki.make_authority(data, now)
    migrate(settings)
    engine = db.open_engine(settings.database_url)
    with engine.begin() as tx:
        schools = [_school(tx, name, now) for name in (school.name for school in estate.schools)]
        rooms = {
            room.number: make_room(
                tx, SYSTEM, schools[room.school], room.name, now=now, kind="trolley" if room.is_trolley else "room"
            )
            for room in estate.rooms
        }
        for school, key in zip(estate.schools, schools, strict=True):
            take_in(tx, SYSTEM, key, _entries(school.year), now=now)
            set_bells(
                tx, SYSTEM, key, [BellRow(day, round(terms.OPENS * 60), round(terms.CLOSES * 60)) for day in range(5)], now
            )
        channel, _ = add_channel(tx, "system", "Replay", "log", "", now=now)
        set_route(tx, "system", None, channel, Wanted(), now=now)
    signing = Signing(authority, dt.timedelta(days=_CERTIFICATE_DAYS))
    placed = Placed(engine, signing, _csr(), estate, rooms, schools)
    placed.enrol_all(now)
    return settings, placed


def _school(tx: sa.Connection, name: str, now: dt.datetime) -> int:
    return int(tx.execute(sa.insert(School).values(name=name, created_at=now).returning(School.id)).scalar_one())


def _entries(year: terms.Year) -> list[NewEntry]:
    """The school's dates as its office has them; bank holidays the product knows by itself."""
    entries = [NewEntry(EntryKind.TERM, "Term", first, last) for first, last in terms.TERMS]
    entries += [NewEntry(EntryKind.HALF_TERM, "Half-term", first, last) for first, last in terms.HALF_TERMS]
    entries += [NewEntry(EntryKind.INSET, "INSET day", date, date) for date in sorted(year.insets)]
    return entries + [NewEntry(EntryKind.EXAM, "Examinations", first, last, 9 * 60, 12 * 60) for first, last in terms.EXAMS]


def _csr() -> bytes:
    """One request for all: what the server makes of it is what counts here, and keys take time."""
    key = identity.new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "new endpoint")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.DER)


def _hardware(pc: Pc, now: dt.datetime) -> Stocktake:
    maker, _, model = pc.model.partition(" ")
    content = {
        "maker": maker, "model": model, "serial": f"SN{pc.place:06}", "chassis": "laptop" if pc.is_laptop else "desktop",
        "os": {"name": pc.system, "version": pc.build, "build": None, "architecture": "x86_64"},
    }  # fmt: skip
    plain = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(plain).hexdigest()
    return Stocktake(db.to_ms(now), "hardware", digest, zlib.compress(plain), pc.model, f"SN{pc.place:06}")
