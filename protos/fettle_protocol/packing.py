"""The packing of one hour's series into a few kilobytes, and back.

Owns the byte format of History.pack. Version 1: one version byte, then a zlib stream of a directory (one entry a series:
number, instance, decimals, count, lowest, mean, highest, length of its data) followed by the data of the series in that
order: a bitmap of the slots that hold a value, then zigzag varints of the differences of scaled integers. The directory
alone answers a chart of hours; the data is only walked for a chart of minutes.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fettle_protocol import catalogue

SLOTS = 60
SLOT_SECONDS = 60
MAX_PACK_BYTES = 256 * 1024
MAX_PLAIN_BYTES = 2 * 1024 * 1024
MAX_SERIES = 512
MAX_INSTANCE_BYTES = 120
_VERSION = 1
_BITMAP_BYTES = (SLOTS + 7) // 8

SeriesKey = tuple[int, str]
"""A series is a reading's number in the catalogue and its instance."""


class PackError(ValueError):
    """Bytes that are not a pack of this format."""


@dataclass(frozen=True, slots=True)
class Series:
    """One reading over one hour; `values` has a value or None for each of the 60 minutes, and is empty if not asked for."""

    key: SeriesKey
    count: int
    lowest: float
    mean: float
    highest: float
    values: tuple[float | None, ...] = ()


def pack(series: Mapping[SeriesKey, Sequence[float | None]]) -> bytes:
    """The packed hour; each sequence has 60 slots, None where there was no reading. Series without any value are left out.

    Raises:
        PackError: a sequence of another length, or a number that is not in the catalogue.
    """
    directory, data, kept = bytearray(), bytearray(), 0
    for (number, instance), slots in sorted(series.items()):
        spec = catalogue.BY_NUMBER.get(number)
        if spec is None or len(slots) != SLOTS:
            raise PackError(f"series {number} {instance!r} is not in the catalogue or has not {SLOTS} slots")
        scaled = [None if value is None else round(value * 10.0**spec.decimals) for value in slots]
        present = [value for value in scaled if value is not None]
        if not present:
            continue
        body = _slots(scaled)
        name = instance.encode()[:MAX_INSTANCE_BYTES]
        _put(directory, number)
        _put(directory, len(name))
        directory += name
        _put(directory, _zigzag(spec.decimals))
        _put(directory, len(present))
        for summary in (min(present), round(sum(present) / len(present)), max(present)):
            _put(directory, _zigzag(summary))
        _put(directory, len(body))
        data += body
        kept += 1
    head = bytearray()
    _put(head, kept)
    return bytes([_VERSION]) + zlib.compress(bytes(head + directory + data), 9)


def unpack(packed: bytes, wanted: Iterable[SeriesKey] | None = ()) -> list[Series]:
    """Every series of the pack with its summary; minutes only for the wanted ones (None: for all).

    Raises:
        PackError: another version, damaged, or larger than any honest pack.
    """
    try:
        return _unpack(packed, None if wanted is None else set(wanted))
    except (IndexError, zlib.error, UnicodeDecodeError, OverflowError) as error:
        raise PackError(f"the pack is damaged: {error}") from error


def check(packed: bytes) -> None:
    """Nothing, where every series of the pack could be found and drawn, at a third of unpack's cost.

    Raises:
        PackError: another version, damaged, or larger than any honest pack.
    """
    try:
        _check(packed)
    except (IndexError, zlib.error, UnicodeDecodeError) as error:
        raise PackError(f"the pack is damaged: {error}") from error


def _check(packed: bytes) -> None:
    plain = _inflated(packed)
    kept, at = _take(plain, 0)
    if kept > MAX_SERIES:
        raise PackError(f"the pack has over {MAX_SERIES} series")
    total = 0
    for _ in range(kept):
        _, at = _take(plain, at)  # a number that only newer agents know is no fault of theirs
        size, at = _take(plain, at)
        numbers = _NUMBERS.match(plain, at + size)
        if numbers is None or size > MAX_INSTANCE_BYTES:
            raise PackError("the directory is damaged")
        plain[at : at + size].decode()
        decimals, _ = _take_signed(plain, at + size)
        length, at = _take(plain, numbers.start(1))
        if not -12 <= decimals <= 12 or length < _BITMAP_BYTES:
            raise PackError("a series has numbers that cannot be")
        total += length
    if at + total != len(plain):
        raise PackError("the pack's lengths do not add up")


_NUMBERS = re.compile(rb"(?:[\x80-\xff]{0,10}[\x00-\x7f]){5}([\x80-\xff]{0,10}[\x00-\x7f])")


def _inflated(packed: bytes) -> bytes:
    if not packed or packed[0] != _VERSION:
        raise PackError("the pack is not of version 1")
    inflater = zlib.decompressobj()
    plain = inflater.decompress(packed[1:], MAX_PLAIN_BYTES)
    if not inflater.eof or inflater.unused_data:
        raise PackError("the pack is cut short or over its size limit")
    return plain


def summaries(packed: bytes, wanted: Iterable[int]) -> list[Series]:
    """The series of the wanted catalogue numbers with their summaries only, at a tenth of unpack's cost.

    For charts over hundreds of hours: inflates no more than the directory and skips what is not wanted.

    Raises:
        PackError: another version, or a damaged directory.
    """
    try:
        return _summaries(packed, frozenset(wanted))
    except (IndexError, zlib.error, UnicodeDecodeError, OverflowError) as error:
        raise PackError(f"the pack is damaged: {error}") from error


_SKIPPED = re.compile(rb"(?:[\x80-\xff]{0,10}[\x00-\x7f]){6}")
_ENTRY_BYTES = 64  # of a directory's entry, about; only how much is inflated at first depends on it


def _summaries(packed: bytes, wanted: frozenset[int]) -> list[Series]:
    if not packed or packed[0] != _VERSION:
        raise PackError("the pack is not of version 1")
    inflater, last = zlib.decompressobj(), max(wanted, default=0)
    plain = inflater.decompress(packed[1:], _ENTRY_BYTES * 64)
    kept, at = _take(plain, 0)
    if kept > MAX_SERIES:
        raise PackError(f"the pack has over {MAX_SERIES} series")
    found: list[Series] = []
    for _ in range(kept):
        if len(plain) - at < MAX_INSTANCE_BYTES + 100 and not inflater.eof:
            plain += inflater.decompress(inflater.unconsumed_tail, _ENTRY_BYTES * 64)
        number, after = _take(plain, at)
        if number > last:  # series lie in order of their numbers
            break
        if number in wanted:
            entry, at = _entry(plain, at)
            found.append(Series(entry.key, entry.count, *entry.summaries))
            continue
        size, after = _take(plain, after)
        skipped = _SKIPPED.match(plain, after + size)
        if skipped is None or size > MAX_INSTANCE_BYTES:
            raise PackError("the directory is damaged")
        at = skipped.end()
    return found


@dataclass(slots=True)
class _Entry:
    key: SeriesKey
    scale: float
    count: int
    summaries: tuple[float, float, float]
    length: int


def _unpack(packed: bytes, wanted: set[SeriesKey] | None) -> list[Series]:
    plain = _inflated(packed)
    kept, at = _take(plain, 0)
    if kept > MAX_SERIES:
        raise PackError(f"the pack has over {MAX_SERIES} series")
    entries = []
    for _ in range(kept):
        entry, at = _entry(plain, at)
        entries.append(entry)
    result = []
    for entry in entries:
        lowest, mean, highest = entry.summaries
        values = _values(plain, at, entry) if wanted is None or entry.key in wanted else ()
        at += entry.length
        result.append(Series(entry.key, entry.count, lowest, mean, highest, values))
    if at != len(plain):
        raise PackError("the pack's lengths do not add up")
    return result


def _entry(plain: bytes, at: int) -> tuple[_Entry, int]:
    number, at = _take(plain, at)
    size, at = _take(plain, at)
    if size > MAX_INSTANCE_BYTES or at + size > len(plain):
        raise PackError("an instance's name is too long")
    instance, at = plain[at : at + size].decode(), at + size
    decimals, at = _take_signed(plain, at)
    if not -12 <= decimals <= 12:
        raise PackError("a series has an impossible precision")
    scale = 10.0**-decimals
    count, at = _take(plain, at)
    lowest, at = _take_signed(plain, at)
    mean, at = _take_signed(plain, at)
    highest, at = _take_signed(plain, at)
    length, at = _take(plain, at)
    return _Entry((number, instance), scale, count, (lowest * scale, mean * scale, highest * scale), length), at


def _values(plain: bytes, at: int, entry: _Entry) -> tuple[float | None, ...]:
    end = at + entry.length
    present = int.from_bytes(plain[at : at + _BITMAP_BYTES], "little")
    at += _BITMAP_BYTES
    values: list[float | None] = [None] * SLOTS
    scaled = 0
    for slot in range(SLOTS):
        if present >> slot & 1:
            difference, at = _take_signed(plain, at)
            scaled += difference
            values[slot] = scaled * entry.scale
    if at != end:
        raise PackError("a series does not end where it says")
    return tuple(values)


def _slots(scaled: Sequence[int | None]) -> bytes:
    present, before, body = 0, 0, bytearray()
    for slot, value in enumerate(scaled):
        if value is not None:
            present |= 1 << slot
            _put(body, _zigzag(value - before))
            before = value
    return present.to_bytes(_BITMAP_BYTES, "little") + bytes(body)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _put(buffer: bytearray, value: int) -> None:
    while value > 0x7F:
        buffer.append(value & 0x7F | 0x80)
        value >>= 7
    buffer.append(value)


def _take(plain: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = plain[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 70:
            raise PackError("a number is too long")


def _take_signed(plain: bytes, at: int) -> tuple[int, int]:
    value, at = _take(plain, at)
    return (value >> 1 if not value & 1 else -((value + 1) >> 1)), at
