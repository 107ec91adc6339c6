"""The played estate: schools, their rooms and PCs, each with a name, hardware and software that a borough could own.

Owns who the machines are; the same seed gives the same estate. What they feel is vitals.py, what they say machine.py.
All makers' serial numbers and addresses are made up.
"""

from __future__ import annotations

import hashlib
import json
import random
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fettle_protocol.v1 import link_pb2 as pb

_SCHOOLS = (
    "Arden Road Primary", "Bishop's Green Secondary", "Canal Street Primary", "Dunmore Academy", "Eastfield Infants",
    "Fairlight High School", "Grove Lane Primary", "Hawthorn Park School", "Ivy House Nursery", "Jubilee Community School",
    "Kestrel Way Primary", "Lime Wharf Secondary", "Marsh End Juniors", "Northgate College", "Old Mill Primary",
    "Priory Fields School", "Quayside Academy", "Riverbank Primary", "St Botolph's Primary", "Tanners Hill High School",
)  # fmt: skip
_ROOMS = ("IT1", "IT2", "LIB", "SCI", "ART", "OFF", "HALL", "MUS", "DT", "SIX")
_ROOM_SIZE = 30
_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Model:
    """A model of PC that schools buy: what its inventory says."""

    maker: str
    name: str
    chassis: str
    cpu: str
    cores: int
    memory_gib: int
    disk: str
    disk_gib: int
    system: str
    version: str


_WIN11, _WIN10 = "Windows 11 Education 24H2", "Windows 10 Education 22H2"
_I5_13, _I5_10, _I3_10, _I3_7 = (f"Intel(R) Core(TM) {name}" for name in ("i5-13500", "i5-10500", "i3-10100T", "i3-7100"))
_MODELS = (
    Model("Dell Inc.", "OptiPlex 7010", "desktop", _I5_13, 14, 16, "KIOXIA KBG50ZNS256G", 256, "windows", _WIN11),
    Model("HP", "HP ProDesk 400 G7", "desktop", _I5_10, 6, 8, "SAMSUNG MZVLB256", 256, "windows", _WIN11),
    Model("LENOVO", "ThinkCentre M70q", "mini pc", _I3_10, 4, 8, "WDC SN530 256GB", 256, "windows", _WIN11),
    Model("Dell Inc.", "OptiPlex 3050", "desktop", _I3_7, 2, 8, "TOSHIBA MQ01ACF050", 500, "windows", _WIN10),
    Model("LENOVO", "ThinkPad L14", "laptop", "AMD Ryzen 5 PRO 5675U", 6, 16, "SKHynix HFS256", 256, "windows", _WIN11),
    Model("HP", "HP EliteDesk 705", "mini pc", "AMD Ryzen 3 2200GE", 4, 8, "SanDisk X600", 128, "linux", "Ubuntu 24.04 LTS"),
    Model("Apple Inc.", "Macmini9,1", "mini pc", "Apple M1", 8, 8, "APPLE SSD AP0256Q", 256, "macos", "macOS 15.6"),
)  # fmt: skip
_PROGRAMS = {
    "windows": ("Google Chrome", "Microsoft 365 Apps", "SMART Notebook", "Audacity", "Scratch 3", "VLC media player", "7-Zip"),
    "linux": ("firefox", "libreoffice-core", "scratch", "gimp", "vlc", "python3"),
    "macos": ("Google Chrome", "GarageBand", "Microsoft 365 Apps", "iMovie"),
}


@dataclass(frozen=True, slots=True)
class Pc:
    """One played PC. `place` counts through the estate."""

    place: int
    school: str
    room: str
    name: str
    model: Model
    serial: str

    @property
    def is_laptop(self) -> bool:
        """Whether it has a battery and Wi-Fi."""
        return self.model.chassis == "laptop"

    @property
    def volume(self) -> str:
        """What its system volume is called."""
        return "C:" if self.model.system == "windows" else "/"

    @property
    def interface(self) -> str:
        """What its one network card is called."""
        if self.model.system == "windows":
            return "Wi-Fi" if self.is_laptop else "Ethernet"
        return "en0" if self.model.system == "macos" else "enp1s0"

    def machine(self) -> pb.Machine:
        """What it says of itself in each Hello."""
        mark = hashlib.sha256(self.serial.encode()).hexdigest()
        return pb.Machine(
            hostname=self.name, os=self.model.system, os_version=self.model.version, fingerprint=mark, agent_version="0.1.0"
        )

    @property
    def spool(self) -> str:
        """Its spool's id, the same in every run, so that the server goes on numbering where it was."""
        return uuid.uuid5(uuid.NAMESPACE_OID, self.serial).hex


def plan(schools: int, pcs: int, seed: int) -> list[Pc]:
    """`pcs` PCs in each of `schools` schools, room by room."""
    return [pc for number in range(schools) for pc in _school(number, pcs, first=number * pcs, seed=seed)]


def school_name(number: int) -> str:
    """The name of the school of that number."""
    turn, place = divmod(number, len(_SCHOOLS))
    return _SCHOOLS[place] if not turn else f"{_SCHOOLS[place]} {turn + 1}"


def inventory_events(pc: Pc) -> Iterator[pb.Event]:
    """Its hardware and its software, as the agent sends them."""
    for section, content in (("hardware", _hardware(pc)), ("software", _software(pc))):
        plain = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        body = pb.Inventory(section=section, digest=hashlib.sha256(plain).hexdigest(), json=zlib.compress(plain, 6))
        yield pb.Event(inventory=body)


def _school(number: int, pcs: int, *, first: int, seed: int) -> Iterator[Pc]:
    dice = random.Random(f"{seed}/{number}")
    school = school_name(number)
    short = "".join(word[0] for word in school.split()[:3]).upper()
    for start in range(0, pcs, _ROOM_SIZE):
        turn, place = divmod(start // _ROOM_SIZE, len(_ROOMS))
        room = _ROOMS[place] + (str(turn + 1) if turn else "")
        fitted = dice.choice(_MODELS[:4])  # a room is bought at one go; odd machines come in later
        for seat in range(min(_ROOM_SIZE, pcs - start)):
            model = fitted if dice.random() < 0.8 else dice.choice(_MODELS)
            serial = "".join(dice.choices("BCDFGHJKLMNPQRSTVWXYZ0123456789", k=7)) + f"{first + start + seat:04d}"
            yield Pc(first + start + seat, school, room, f"{short}-{room}-{seat + 1:02d}", model, serial)


def _hardware(pc: Pc) -> dict[str, Any]:
    model, modules = pc.model, 2 if pc.model.memory_gib >= 16 else 1
    mac = "02:" + ":".join(f"{byte:02x}" for byte in hashlib.sha256(pc.serial.encode()).digest()[:5])
    size = model.memory_gib * _GIB
    module = {"bytes": size // modules, "kind": "DDR4", "speed_mts": 3200, "maker": "SK Hynix", "part": None, "serial": None}
    return {
        "maker": model.maker, "model": model.name, "serial": pc.serial, "chassis": model.chassis,
        "os": {"name": model.system, "version": model.version, "build": None, "architecture": "x86_64"},
        "firmware": {
            "maker": model.maker, "version": "1.24.0", "date": "2025-03-11", "uefi": True, "secure_boot": bool(pc.place % 9),
        },
        "board": {"maker": model.maker, "model": None, "serial": None},
        "cpu": {"model": model.cpu, "sockets": 1, "cores": model.cores, "threads": model.cores * 2, "max_mhz": 3600},
        "memory": {"bytes": size, "modules": [{"slot": f"DIMM {slot + 1}", **module} for slot in range(modules)]},
        "disks": [{
            "name": "disk0", "model": model.disk, "serial": f"D{pc.serial}", "bytes": model.disk_gib * 10**9,
            "kind": "hdd" if model.disk.startswith("TOSHIBA") else "ssd", "bus": "nvme",
        }],
        "network": [{"name": pc.interface, "model": None, "mac": mac, "kind": "wireless" if pc.is_laptop else "wired"}],
        "monitors": [] if pc.is_laptop else [{"maker": "IIY", "model": "PL2493H", "serial": f"M{pc.serial}", "year": 2021}],
        "tpm": {"present": True, "version": "2.0"},
    }  # fmt: skip


def _software(pc: Pc) -> dict[str, Any]:
    dice = random.Random(pc.serial)
    names: Sequence[str] = sorted(_PROGRAMS[pc.model.system])
    version = f"{dice.randint(1, 9)}.{dice.randint(0, 20)}"
    source = "dpkg" if pc.model.system == "linux" else "registry" if pc.model.system == "windows" else "applications"
    return {"packages": [{"name": name, "version": version, "maker": None, "source": source} for name in names]}
