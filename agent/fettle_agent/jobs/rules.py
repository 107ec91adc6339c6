"""What an agent obeys: pure decisions over what it was handed, whose keys it trusts, what it did before and how the PC is.

Owns the order of the checks and every refusal's sentence. Reads no file, clock or network; work.py brings the facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from fettle_protocol import signing
from fettle_protocol.manifests import HEADER, MAX_BYTES, Hours, Manifest, ManifestError, ManifestKind, decode

MAX_CLOCK_GAP_MS = 86_400_000
"""This PC's own clock and the server's may differ by a day: a server that lies about the time gains no more than that."""
LOOK_AGAIN_MS = 60_000
"""For what may change at any moment: power, room on the disk, a person who leaves."""
_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Keys:
    """Whose signatures count: public halves by key id, ids that never count again, and per key what it said of its serials.

    `serials` are the largest seen, `floors` the largest floor seen: work below it is withdrawn.
    """

    public: Mapping[str, bytes] = field(default_factory=dict)
    retired: frozenset[str] = frozenset()
    serials: Mapping[str, int] = field(default_factory=dict)
    floors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Offered:
    """A job as it was handed over. Times are milliseconds since the epoch by the server's clock; until_ms 0: no end."""

    id: str
    manifest: bytes
    signature: bytes
    key: str
    start_ms: int = 0
    until_ms: int = 0
    exam: bool = False


@dataclass(frozen=True, slots=True)
class Before:
    """What this agent did with the same manifest in other jobs.

    `begun_once` are the numbers of steps that may be begun once only, were, and did not end well.
    """

    done: bool = False
    attempts: int = 0
    begun_once: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Me:
    """Who this PC is."""

    endpoint_id: str
    school: str
    system: str


@dataclass(frozen=True, slots=True)
class Facts:
    """How the PC is now. `weekday` (0: Monday) and `minute` of the day are of its own wall clock; None: it does not know."""

    now_ms: int
    clock_gap_ms: int = 0
    weekday: int = 0
    minute: int = 0
    free_bytes: int | None = None
    charge_percent: float | None = None
    """Of the battery while the PC runs on it, None on the mains or without one."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Never to be run here."""

    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: look again at `until_ms`, by the server's clock."""

    until_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """To be run now."""

    manifest: Manifest


def read(offered: Offered, keys: Keys) -> Manifest | Refuse:
    """The manifest, known to be signed by a key that counts here and within bounds."""
    if len(offered.manifest) > MAX_BYTES:
        return Refuse(f"The order is larger than the {MAX_BYTES // 1024} KiB that an order may have.")
    if not offered.manifest.startswith(HEADER):
        return Refuse("The order is not in a form that this agent knows.")
    if not keys.public:
        return Refuse("This PC trusts no signer yet: somebody must pin an approver's key here with fettle-agent trust --key.")
    if offered.key in keys.retired:
        return Refuse("The order is signed with a key that was retired.")
    if offered.key not in keys.public:
        return Refuse("The order is signed with a key that this PC does not trust.")
    try:
        signing.check(keys.public[offered.key], offered.manifest, offered.signature)
    except signing.SignatureError:
        return Refuse("The signature does not belong to this order: it was changed after it was signed, or never signed.")
    try:
        return decode(offered.manifest)
    except ManifestError as error:
        return Refuse(f"The order is signed but cannot be followed: {error}")


def decide(manifest: Manifest, offered: Offered, keys: Keys, before: Before, me: Me, facts: Facts) -> Refuse | Wait | Run:
    """Whether work that was read and never begun may begin now."""
    why = forbidden(manifest, keys.floors.get(offered.key, 0), before, me, facts.now_ms)
    if why:
        return Refuse(why)
    return not_yet(manifest, offered, facts) or Run(manifest)


def forbidden(manifest: Manifest, floor: int, before: Before, me: Me, now_ms: int) -> str:
    """Why that work may never begin here; empty where it may."""
    if not manifest.names(me.endpoint_id, me.school, me.system):
        return "The order is for other PCs than this one."
    if now_ms >= manifest.expires_ms:
        return "The order's time is over: it expired before it could begin."
    if manifest.serial < floor:
        return "The order was withdrawn by whoever signed it."
    if before.done:
        return "This PC has done this order already; an order is not done twice."
    if before.attempts >= manifest.attempts:
        return "This PC has tried this order as often as it may."
    if before.begun_once:
        return f"Step {before.begun_once[0]} may be begun once only, and an earlier try began it."
    return ""


def not_yet(manifest: Manifest, offered: Offered, facts: Facts) -> Wait | None:
    """What the work waits for before it begins, None where nothing keeps it."""
    now_ms = facts.now_ms
    if abs(facts.clock_gap_ms) > MAX_CLOCK_GAP_MS:
        return Wait(now_ms + LOOK_AGAIN_MS, "This PC's clock and the server's differ by more than a day: set the PC's clock.")
    opens_ms = max(manifest.not_before_ms, offered.start_ms)
    if now_ms < opens_ms:
        return Wait(opens_ms, "Its time has not come yet.")
    if offered.until_ms and now_ms >= offered.until_ms:
        return Wait(manifest.expires_ms, "Its window is over; it waits for the next one.")
    opens_in_ms = until_hours(manifest.hours, facts.weekday, facts.minute) * 60_000
    if opens_in_ms:
        return Wait(now_ms + opens_in_ms, "It may run in other hours of the day or week only.")
    if manifest.kind == ManifestKind.KEYS:
        return None
    return lacks(manifest, facts)


def lacks(manifest: Manifest, facts: Facts) -> Wait | None:
    """What must be there before a step begins and is not: room on the disk, power."""
    needs, later_ms = manifest.needs, facts.now_ms + LOOK_AGAIN_MS
    if facts.free_bytes is not None and facts.free_bytes < needs.free_bytes:
        return Wait(later_ms, f"The disk has too little room: {needs.free_bytes / 1e9:.1f} GB must be free.")
    if facts.charge_percent is not None and facts.charge_percent < needs.charge_percent:
        return Wait(later_ms, f"It runs on its battery, which has less than {needs.charge_percent} %: plug it in.")
    return None


def until_hours(hours: Sequence[Hours], weekday: int, minute: int) -> int:
    """Minutes until one of the spans is open: 0 where one is, or where there are none."""
    if not hours:
        return 0
    now = weekday * _MINUTES + minute
    return min((_until(span, day, now) for span in hours for day in span.days), default=7 * _MINUTES)


def _until(span: Hours, day: int, now: int) -> int:
    """Minutes from that minute of the week until the span that begins on that day is open."""
    length = (span.to_minute - span.from_minute) % _MINUTES or _MINUTES
    since = (now - day * _MINUTES - span.from_minute) % (7 * _MINUTES)
    return 0 if since < length else 7 * _MINUTES - since


def heard(keys: Keys, key: str, manifest: Manifest) -> Keys:
    """The keys, with what a signed manifest says of its key's serials; its target and time do not matter for that."""
    serial = max(manifest.serial, keys.serials.get(key, 0))
    floor = max(manifest.floor, keys.floors.get(key, 0))
    return replace(keys, serials={**keys.serials, key: serial}, floors={**keys.floors, key: floor})


def turned(keys: Keys, manifest: Manifest) -> Keys | Refuse:
    """The keys that count after a signed manifest of keys."""
    added = {signing.key_id(public): public for public in map(bytes.fromhex, manifest.add)}
    back = sorted(set(added) & (keys.retired | set(manifest.retire)))
    if back:
        return Refuse(f"Key {back[0]} was retired, and a retired key does not come back by an order.")
    retired = keys.retired | set(manifest.retire)
    public = {name: value for name, value in {**keys.public, **added}.items() if name not in retired}
    if not public:
        return Refuse("The order would leave this PC with no key that it trusts.")
    return replace(keys, public=public, retired=retired)


def forgot(keys: Keys) -> Keys:
    """The keys of an agent that lost its record of what it did: all that it may have done before counts as withdrawn."""
    floors = {key: max(serial + 1, keys.floors.get(key, 0)) for key, serial in keys.serials.items()}
    return replace(keys, floors={**keys.floors, **floors})
