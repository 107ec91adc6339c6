"""macOS's hardware inventory, by `system_profiler`: hardware, memory, disks, network, displays and the security chip.

A Mac has no TPM; its security chip is told as secure_boot where system_profiler names a policy.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from typing import Any

from fettle_agent.collectors import Collected, Setup, inventory, profiler_macos
from fettle_agent.collectors.documents import Row, at, rows

KINDS = (
    "SPHardwareDataType",
    "SPMemoryDataType",
    "SPNVMeDataType",
    "SPSerialATADataType",
    "SPNetworkDataType",
    "SPDisplaysDataType",
    "SPiBridgeDataType",
)
_SIZE = re.compile(r"^(\d{1,6}) (MB|GB|TB)$")
_UNITS = {"MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_SPEED = re.compile(r"^(\d{1,6}) MHz")


def facts(report: Row) -> Row:
    """The inventory's facts in system_profiler's report."""
    machine = _first(report, "SPHardwareDataType")
    name = machine.get("machine_name")
    return {
        "maker": "Apple",
        "model": machine.get("machine_model"),
        "serial": machine.get("serial_number"),
        "chassis": ("laptop" if "Book" in name else "desktop") if isinstance(name, str) else None,
        "os": {"name": "macOS", "version": platform.mac_ver()[0], "architecture": platform.machine()},
        "firmware": {"maker": "Apple", "version": machine.get("boot_rom_version"), "secure_boot": _secure_boot(report)},
        "cpu": _cpu(machine),
        "memory": {"bytes": size(machine.get("physical_memory")), "modules": _modules(report)},
        "disks": [*_disks(report, "SPNVMeDataType", "nvme"), *_disks(report, "SPSerialATADataType", "sata")],
        "network": [_card(row) for row in rows(report.get("SPNetworkDataType")) if at(row, "Ethernet", "MAC Address")],
        "monitors": [monitor for card in rows(report.get("SPDisplaysDataType")) for monitor in _monitors(card)],
        "tpm": {"present": False},
    }


def size(text: Any) -> int | None:
    """The bytes in a text such as "16 GB"."""
    found = _SIZE.match(text) if isinstance(text, str) else None
    return None if found is None else int(found[1]) * _UNITS[found[2]]


def _first(report: Row, kind: str) -> Row:
    found = rows(report.get(kind))
    return found[0] if found else {}


def _secure_boot(report: Row) -> bool | None:
    policy = _first(report, "SPiBridgeDataType").get("ibridge_secure_boot")
    return policy in ("Full Security", "Medium Security") if isinstance(policy, str) else None


def _cpu(machine: Row) -> Row:
    """The processor; Apple's own chips give their cores as "proc 8:4:4", of which the first is the sum."""
    words = machine.get("number_processors")
    found = re.match(r"(?:proc )?(\d{1,4})", words) if isinstance(words, str) else None
    cores = int(found[1]) if found is not None else inventory.number(words)
    return {"model": machine.get("chip_type") or machine.get("cpu_type"), "sockets": 1, "cores": cores, "threads": None}


def _modules(report: Row) -> list[Row]:
    modules = []
    for bank in rows(report.get("SPMemoryDataType")):
        for module in rows(bank.get("_items")) or [bank]:
            speed = _SPEED.match(str(module.get("dimm_speed") or ""))
            modules.append(
                {
                    "slot": module.get("_name"),
                    "bytes": size(module.get("dimm_size") or module.get("SPMemoryDataType")),
                    "kind": module.get("dimm_type"),
                    "speed_mts": int(speed[1]) if speed is not None else None,
                    "maker": module.get("dimm_manufacturer"),
                    "part": module.get("dimm_part_number"),
                    "serial": module.get("dimm_serial_number"),
                }
            )
    return [module for module in modules if module["bytes"]]


def _disks(report: Row, kind: str, bus: str) -> list[Row]:
    return [
        {
            "name": disk.get("bsd_name"),
            "model": disk.get("device_model") or disk.get("_name"),
            "serial": disk.get("device_serial"),
            "bytes": disk.get("size_in_bytes"),
            "kind": "ssd" if bus == "nvme" or disk.get("spsata_medium_type") == "Solid State" else None,
            "bus": bus,
        }
        for controller in rows(report.get(kind))
        for disk in rows(controller.get("_items"))
    ]


def _card(row: Row) -> Row:
    wireless = row.get("hardware") == "AirPort"
    mac = at(row, "Ethernet", "MAC Address")
    return {"name": row.get("interface"), "model": row.get("_name"), "mac": mac, "kind": "wireless" if wireless else "wired"}


def _monitors(card: Row) -> list[Row]:
    return [
        {
            "model": display.get("_name"),
            "serial": display.get("_spdisplays_display-serial-number"),
            "year": display.get("_spdisplays_display-year"),
        }
        for display in rows(card.get("spdisplays_ndrvs"))
    ]


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of the "hardware" inventory."""

    def collect() -> Collected:
        report = profiler_macos.report(*KINDS, timeout_s=120)
        return Collected(inventory={"hardware": inventory.hardware(facts(report))})

    return collect
