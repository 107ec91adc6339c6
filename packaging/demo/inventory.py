"""A demo PC's inventory, in the shape that the agent's collectors give it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import zlib
from typing import Any

from demo.pcs import Pc

NAMES = (
    "7-Zip", "Google Chrome", "LibreOffice", "Microsoft Teams", "Mozilla Firefox", "Scratch 3", "Smart Notebook",
    "VLC media player",
)  # fmt: skip


def rows(pc: Pc, now: dt.datetime) -> list[dict[str, Any]]:
    """Both sections as the store keeps them."""
    found = []
    for section, body in (("hardware", _hardware(pc)), ("software", _software(pc))):
        plain = json.dumps(body).encode()
        row = {"endpoint_pk": pc.pk, "section": section, "at": now - dt.timedelta(days=2)}
        found.append(row | {"digest": hashlib.sha256(plain).hexdigest(), "body": zlib.compress(plain)})
    return found


def _hardware(pc: Pc) -> dict[str, Any]:
    maker, _, model = pc.model.partition(" ")
    module = {"slot": "DIMM 1", "bytes": 17_179_869_184, "kind": "DDR4", "speed_mts": 3200, "maker": "Samsung"}
    return {
        "maker": maker, "model": model, "serial": f"5CG{pc.id[:7].upper()}",
        "chassis": "laptop" if pc.name.startswith("LT") else "desktop",
        "os": {"name": pc.version, "build": "26100.2454", "architecture": "x86_64"},
        "firmware": {"maker": maker, "version": "1.18.2", "date": "2026-03-11", "uefi": True, "secure_boot": True},
        "cpu": {"model": "Intel Core i5-13500T", "sockets": 1, "cores": 14, "threads": 20, "max_mhz": 4600},
        "memory": {"bytes": 17_179_869_184, "modules": [module]},
        "disks": [{"name": "nvme0", "model": "KIOXIA KBG50ZNV256G", "bytes": 256_060_514_304, "kind": "ssd", "bus": "nvme"}],
        "network": [{"name": "eth0", "model": "Intel I219-LM", "mac": "a4:bb:6d:1c:90:2f", "kind": "wired"}],
        "monitors": [{"maker": "Dell", "model": "P2422H", "year": 2023}], "tpm": {"present": True, "version": "2.0"},
    }  # fmt: skip


def version_of(name: str) -> str:
    """The version of that program that most PCs have."""
    place = NAMES.index(name)
    return f"{place + 7}.{place}.2"


def _software(pc: Pc) -> dict[str, Any]:
    """What most PCs have; a few lack a program, have an old one, or one that nobody installed for them."""
    versions = {name: version_of(name) for name in NAMES if pc.system == "windows" or name != "Smart Notebook"}
    if pc.pk % 12 == 5:
        del versions["Scratch 3"]
    if pc.pk % 25 == 2:
        versions["Google Chrome"] = "8.0.9"
    if pc.pk % 40 == 7:
        versions["TeamViewer"] = "15.58.4"
    return {"packages": [{"name": name, "version": version, "source": "registry"} for name, version in versions.items()]}
