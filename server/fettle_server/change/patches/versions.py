"""Which of two versions is the newer one, as the package managers themselves say. Pure.

Source: deb-version(7), "Sorting algorithm"; rpm's rpmvercmp (rpm.org, "Dependencies basics", version comparison).
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Any

_DPKG_PARTS = re.compile(r"(\D*)(\d*)")
_RPM_PARTS = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
_LONGEST_NUMBER = 40


def at_least(provider: str, version: str, wanted: str) -> bool:
    """True where `version` is `wanted` or newer, by that provider's rules; nothing is not."""
    if not version:
        return False
    if version == wanted:
        return True
    if provider == "dnf":
        return _rpm(version, wanted) >= 0
    return _dpkg(version, wanted) >= 0


def _dpkg(one: str, other: str) -> int:
    first, second = _split(one), _split(other)
    return _order(first[0], second[0]) or _verrevcmp(first[1], second[1]) or _verrevcmp(first[2], second[2])


def _split(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdecimal():
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return _number(epoch), upstream if dash else rest, revision if dash else ""


def _verrevcmp(one: str, other: str) -> int:
    """Parts without digits by their letters (~ before the end, the end before letters, letters before others), then numbers."""
    pairs = zip_longest(_DPKG_PARTS.findall(one), _DPKG_PARTS.findall(other), fillvalue=("", ""))
    for (text, digits), (other_text, other_digits) in pairs:
        found = _order(_weights(text), _weights(other_text)) or _order(_number(digits), _number(other_digits))
        if found:
            return found
    return 0


def _weights(text: str) -> list[int]:
    weights = [-1 if letter == "~" else ord(letter) if letter.isalpha() else ord(letter) + 1000 for letter in text]
    return [*weights, 0]


def _rpm(one: str, other: str) -> int:
    """Epochs where both have one (an inventory leaves it out), then version, then release."""
    first, second = _split_rpm(one), _split_rpm(other)
    if first[0] and second[0] and first[0] != second[0]:
        return _order(_number(first[0]), _number(second[0]))
    return _rpmvercmp(first[1], second[1]) or (_rpmvercmp(first[2], second[2]) if first[2] and second[2] else 0)


def _split_rpm(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    upstream, _, release = (rest if colon else version).partition("-")
    return epoch if colon else "", upstream, release


def _rpmvercmp(one: str, other: str) -> int:
    for part, against in zip_longest(_RPM_PARTS.findall(one), _RPM_PARTS.findall(other), fillvalue=""):
        if part != against and (found := _rpm_part(part, against)):
            return found
    return 0


def _rpm_part(one: str, other: str) -> int:
    for mark, beaten_by_end in (("~", True), ("^", False)):
        if mark in (one, other):
            if beaten_by_end or "" not in (one, other):
                return -1 if one == mark else 1
            return 1 if one == mark else -1
    if not one or not other:
        return 1 if one else -1
    if one.isdigit() != other.isdigit():
        return 1 if one.isdigit() else -1
    return _order(_number(one), _number(other)) if one.isdigit() else _order(one, other)


def _number(digits: str) -> int:
    """The number; digits beyond any version's are cut, so that hostile ones cost nothing."""
    return int(digits[:_LONGEST_NUMBER] or "0")


def _order(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)
