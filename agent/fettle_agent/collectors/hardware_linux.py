"""Linux's hardware inventory: the kernel's files, lsblk for the disks, dmidecode for the memory modules.

Each part is read by itself: what cannot be read is null and hides nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fettle_agent.collectors import Collected, CollectError, Setup, edid, inventory, tools
from fettle_agent.collectors.documents import Row, parse, rows

_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_SIZES = {"kB": 1024, "KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}


def parse_cpuinfo(text: str) -> Row:
    """The processor of /proc/cpuinfo: model, sockets, cores and threads."""
    blocks = [dict(_pair(line) for line in block.splitlines() if ":" in line) for block in text.split("\n\n")]
    threads = [block for block in blocks if "processor" in block]
    sockets = {block["physical id"] for block in threads if "physical id" in block}
    cores = {(block["physical id"], block["core id"]) for block in threads if "physical id" in block and "core id" in block}
    models = [block[key] for block in blocks for key in ("model name", "Model", "Hardware") if key in block]
    return {"model": models[0] if models else None, "sockets": len(sockets), "cores": len(cores), "threads": len(threads)}


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def parse_meminfo(text: str) -> int | None:
    """The machine's memory in bytes, to the MiB, from /proc/meminfo."""
    found = re.search(r"^MemTotal:\s+(\d{1,15}) kB", text, re.MULTILINE)
    return None if found is None else int(found[1]) // 1024 * 1024 * 1024


def parse_dmidecode(text: str) -> list[Row]:
    """The memory modules in what `dmidecode -t memory` printed; empty slots are left out."""
    modules = []
    for block in text.split("\n\n"):
        if "\nMemory Device\n" not in f"\n{block}\n":
            continue
        facts = dict(_pair(line) for line in block.splitlines() if ":" in line)
        size = _size(facts.get("Size", ""))
        if size is not None:
            speed = (
                facts.get("Configured Memory Speed") or facts.get("Configured Clock Speed") or facts.get("Speed") or ""
            ).split()
            modules.append(
                {
                    "slot": facts.get("Locator"),
                    "bytes": size,
                    "kind": facts.get("Type"),
                    "speed_mts": inventory.number(speed[0]) if speed else None,
                    "maker": facts.get("Manufacturer"),
                    "part": facts.get("Part Number"),
                    "serial": facts.get("Serial Number"),
                }
            )
    return modules


def _size(text: str) -> int | None:
    found = re.fullmatch(r"(\d{1,9}) ([kKMGT]B)", text.strip())
    return None if found is None else int(found[1]) * _SIZES[found[2]]


def parse_lsblk(text: str) -> list[Row]:
    """The machine's own disks in lsblk's JSON; what a person plugs in, empty drives and memory disks are left out.

    Raises:
        CollectError: the text is not lsblk's JSON.
    """
    disks = [row for row in rows(parse(text, "lsblk").get("blockdevices")) if row.get("type") == "disk" and row.get("size")]
    own = [
        row
        for row in disks
        if not row.get("rm")
        and row.get("tran") != "usb"
        and not str(row.get("name")).startswith(("zram", "loop", "ram", "nbd", "fd"))
    ]
    return [_disk(row) for row in own]


def _disk(row: Mapping[str, Any]) -> Row:
    spins = row.get("rota")
    known = row.get("tran") is not None and isinstance(spins, bool)
    return {
        "name": row.get("name"),
        "model": row.get("model"),
        "serial": row.get("serial"),
        "bytes": row.get("size"),
        "kind": ("hdd" if spins else "ssd") if known else None,
        "bus": row.get("tran"),
    }


def parse_os_release(text: str) -> Row:
    """The system's name and version from /etc/os-release."""
    pairs = (line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    facts = {name.strip(): value.strip().strip("\"'") for name, value in pairs}
    return {"name": facts.get("NAME"), "version": facts.get("VERSION") or facts.get("VERSION_ID")}


def collector(setup: Setup, *, root: Path = Path("/")) -> Callable[[], Collected]:
    """The collector of the "hardware" inventory."""

    def collect() -> Collected:
        return Collected(inventory={"hardware": inventory.hardware(_facts(root))})

    return collect


def _facts(root: Path) -> Row:
    dmi = root / "sys/class/dmi/id"
    cpuinfo = _text(root / "proc/cpuinfo")
    return {
        "maker": _text(dmi / "sys_vendor"),
        "model": _text(dmi / "product_name"),
        "serial": _text(dmi / "product_serial"),
        "chassis": _chassis(_text(dmi / "chassis_type"), cpuinfo),
        "os": {
            **parse_os_release(_text(root / "etc/os-release")),
            "build": os.uname().release,
            "architecture": os.uname().machine,
        },
        "firmware": _firmware(root),
        "board": {
            "maker": _text(dmi / "board_vendor"),
            "model": _text(dmi / "board_name"),
            "serial": _text(dmi / "board_serial"),
        },
        "cpu": {**parse_cpuinfo(cpuinfo), "max_mhz": _max_mhz(root)},
        "memory": {"bytes": parse_meminfo(_text(root / "proc/meminfo")), "modules": _modules()},
        "disks": _disks(),
        "network": _network(root / "sys/class/net"),
        "monitors": _monitors(root / "sys/class/drm"),
        "tpm": _tpm(root / "sys/class/tpm"),
    }


def _chassis(code: str, cpuinfo: str) -> str | None:
    if re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE):
        return "virtual machine"
    number = inventory.number(code.strip())
    return None if number is None else inventory.CHASSIS.get(number & 0x7F)


def _firmware(root: Path) -> Row:
    dmi, efi = root / "sys/class/dmi/id", root / "sys/firmware/efi"
    state = _bytes(efi / "efivars" / _SECURE_BOOT)
    uefi = efi.is_dir()
    return {
        "maker": _text(dmi / "bios_vendor"),
        "version": _text(dmi / "bios_version"),
        "date": _text(dmi / "bios_date"),
        "uefi": uefi,
        "secure_boot": (state[4] == 1 if len(state) == 5 else None) if uefi else False,
    }


def _max_mhz(root: Path) -> int | None:
    khz = inventory.number(_text(root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").strip())
    return None if khz is None else khz // 1000


def _modules() -> list[Row]:
    try:
        return parse_dmidecode(tools.run("dmidecode", "-q", "-t", "memory", timeout_s=10))
    except CollectError:
        return []


def _disks() -> list[Row]:
    try:
        return parse_lsblk(tools.run("lsblk", "-J", "-b", "-d", "-o", "NAME,TYPE,MODEL,SERIAL,SIZE,ROTA,TRAN,RM", timeout_s=10))
    except CollectError:
        return []


def _network(folder: Path) -> list[Row]:
    cards = []
    for card in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (card / "device").exists():
            driver = (
                os.path.basename(os.path.realpath(card / "device" / "driver"))
                if (card / "device" / "driver").exists()
                else None
            )
            kind = "wireless" if (card / "phy80211").exists() else "wired"
            cards.append({"name": card.name, "model": driver, "mac": _permanent(card), "kind": kind})
    return cards


def _permanent(card: Path) -> str | None:
    """The card's own address; one made up at random for privacy or by hand changes, so it is not told."""
    return _text(card / "address") if _text(card / "addr_assign_type").strip() == "0" else None


def _monitors(folder: Path) -> list[Row]:
    found = (edid.parse(_bytes(path)) for path in sorted(folder.glob("card*-*/edid"))) if folder.is_dir() else ()
    return [monitor for monitor in found if monitor is not None]


def _tpm(folder: Path) -> Row:
    chips = sorted(folder.glob("tpm*")) if folder.is_dir() else []
    major = _text(chips[0] / "tpm_version_major").strip() if chips else ""
    return {"present": bool(chips), "version": {"1": "1.2", "2": "2.0"}.get(major)}


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1_000_000)
    except OSError:
        return b""
