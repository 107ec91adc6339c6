"""A monitor's EDID: who made it, what it is called, its serial number and year.

Reads the first block only. Source: VESA Enhanced Extended Display Identification Data Standard, release A2, section 3.
"""

from __future__ import annotations

from typing import Any

_MAGIC = b"\x00\xff\xff\xff\xff\xff\xff\x00"
_BLOCK = 128
_DESCRIPTORS = (54, 72, 90, 108)
_SERIAL, _NAME = 0xFF, 0xFC


def parse(data: bytes) -> dict[str, Any] | None:
    """The monitor that the block describes, in the inventory's shape; None where it is not an EDID or is damaged."""
    block = data[:_BLOCK]
    if len(block) < _BLOCK or not block.startswith(_MAGIC) or sum(block) % 256:
        return None
    words = _words(block)
    number = int.from_bytes(block[12:16], "little")
    week, year = block[16], 1990 + block[17]
    product = f"{int.from_bytes(block[10:12], 'little'):04X}"
    return {
        "maker": _maker(block[8:10]),
        "model": words.get(_NAME) or product,
        "serial": words.get(_SERIAL) or (str(number) if number else None),
        "year": year if week == 0xFF or (block[17] and week <= 54) else None,
    }


def _maker(code: bytes) -> str | None:
    """The three letters of the maker's identity, five bits each."""
    packed = int.from_bytes(code, "big")
    letters = [packed >> shift & 0x1F for shift in (10, 5, 0)]
    return "".join(chr(64 + letter) for letter in letters) if all(1 <= letter <= 26 for letter in letters) else None


def _words(block: bytes) -> dict[int, str]:
    """The texts of the display descriptors, by their tag."""
    found = {}
    for start in _DESCRIPTORS:
        descriptor = block[start : start + 18]
        if descriptor[:3] == b"\x00\x00\x00" and descriptor[3] in (_SERIAL, _NAME):
            found[descriptor[3]] = descriptor[5:].split(b"\n")[0].decode("cp437").strip()
    return found
