"""Windows's hardware inventory, by one PowerShell script over CIM classes, Get-Tpm and Confirm-SecureBootUEFI.

Each question is asked by itself, so that a class that a PC has not got costs only its own part.
Source: Win32_ComputerSystem, Win32_BIOS, Win32_BaseBoard, Win32_Processor, Win32_PhysicalMemory, Win32_SystemEnclosure,
Win32_OperatingSystem, MSFT_PhysicalDisk, MSFT_NetAdapter, WmiMonitorID, Win32_Tpm (Microsoft).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fettle_agent.collectors import Collected, Setup, inventory, tools
from fettle_agent.collectors.documents import Row, at, parse, rows

SCRIPT = """
function ask($class, $columns, $space = 'root/cimv2') {
  @(Get-CimInstance -Namespace $space -ClassName $class -ErrorAction SilentlyContinue | Select-Object $columns)
}
$nt = Get-ItemProperty 'HKLM:\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion'
$secure = try { [bool](Confirm-SecureBootUEFI) } catch [PlatformNotSupportedException] { $false } catch { $null }
$tpm = try { [bool](Get-Tpm).TpmPresent } catch { $null }
@{
  system = ask Win32_ComputerSystem Manufacturer, Model, TotalPhysicalMemory, NumberOfProcessors
  bios = ask Win32_BIOS Manufacturer, SMBIOSBIOSVersion, ReleaseDate, SerialNumber
  board = ask Win32_BaseBoard Manufacturer, Product, SerialNumber
  enclosure = ask Win32_SystemEnclosure ChassisTypes
  cpu = ask Win32_Processor Name, NumberOfCores, NumberOfLogicalProcessors, MaxClockSpeed
  memory = ask Win32_PhysicalMemory (
    'DeviceLocator', 'Capacity', 'SMBIOSMemoryType', 'ConfiguredClockSpeed', 'Manufacturer', 'PartNumber', 'SerialNumber')
  os = ask Win32_OperatingSystem Caption, BuildNumber, OSArchitecture
  release = @{ display = $nt.DisplayVersion; revision = $nt.UBR }
  disks = ask MSFT_PhysicalDisk DeviceId, FriendlyName, SerialNumber, Size, MediaType, BusType root/Microsoft/Windows/Storage
  network = @(Get-CimInstance -Namespace root/StandardCimv2 -ClassName MSFT_NetAdapter -ErrorAction SilentlyContinue |
    Where-Object { $_.HardwareInterface } | Select-Object Name, InterfaceDescription, PermanentAddress, NdisPhysicalMedium)
  monitors = ask WmiMonitorID ManufacturerName, UserFriendlyName, SerialNumberID, YearOfManufacture root/wmi
  tpm = @{ present = $tpm; version = @(ask Win32_Tpm SpecVersion root/cimv2/Security/MicrosoftTpm)[0].SpecVersion }
  firmware = @{ kind = (Get-ItemProperty 'HKLM:\\SYSTEM\\CurrentControlSet\\Control').PEFirmwareType; secure = $secure }
} | ConvertTo-Json -Compress -Depth 5
"""
_MEMORY = {20: "DDR", 21: "DDR2", 24: "DDR3", 26: "DDR4", 30: "LPDDR4", 34: "DDR5", 35: "LPDDR5"}
_MEDIA = {3: "hdd", 4: "ssd"}
_BUSES = {3: "ata", 8: "raid", 10: "sas", 11: "sata", 17: "nvme"}
_BROUGHT_ALONG = frozenset({7, 12, 14, 15})  # USB, SD, virtual, file-backed
_MEDIA_OF_NETWORK = {9: "wireless", 14: "wired"}
_UEFI, _LEGACY = 2, 1
_VIRTUAL = re.compile(r"virtual|vmware|kvm|qemu|hvm domu", re.IGNORECASE)


def facts(text: str) -> Row:
    """The inventory's facts in what the script printed.

    Raises:
        CollectError: the text is not the script's JSON.
    """
    answers = parse(text, "PowerShell")
    system, bios = _first(answers, "system"), _first(answers, "bios")
    return {
        "maker": system.get("Manufacturer"),
        "model": system.get("Model"),
        "serial": bios.get("SerialNumber"),
        "chassis": _chassis(system, _first(answers, "enclosure")),
        "os": _os(answers),
        "firmware": _firmware(bios, answers),
        "board": _renamed(_first(answers, "board"), maker="Manufacturer", model="Product", serial="SerialNumber"),
        "cpu": _cpu(rows(answers.get("cpu")), system),
        "memory": {
            "bytes": system.get("TotalPhysicalMemory"),
            "modules": [_module(row) for row in rows(answers.get("memory"))],
        },
        "disks": [_disk(row) for row in rows(answers.get("disks")) if row.get("BusType") not in _BROUGHT_ALONG],
        "network": [_card(row) for row in rows(answers.get("network"))],
        "monitors": [_monitor(row) for row in rows(answers.get("monitors"))],
        "tpm": {"present": at(answers, "tpm", "present"), "version": _version(at(answers, "tpm", "version"))},
    }


def _first(answers: Row, name: str) -> Row:
    found = rows(answers.get(name))
    return found[0] if found else {}


def _renamed(row: Row, **names: str) -> Row:
    return {ours: row.get(theirs) for ours, theirs in names.items()}


def _word_of(table: dict[int, str], code: Any) -> str | None:
    return table.get(code) if isinstance(code, int) else None


def _chassis(system: Row, enclosure: Row) -> str | None:
    if _VIRTUAL.search(f"{system.get('Manufacturer')} {system.get('Model')}"):
        return "virtual machine"
    codes = enclosure.get("ChassisTypes")
    code = codes[0] if isinstance(codes, list) and codes else codes
    return _word_of(inventory.CHASSIS, code)


def _os(answers: Row) -> Row:
    os, release = _first(answers, "os"), _first(answers, "release")
    build, revision = os.get("BuildNumber"), release.get("revision")
    return {
        "name": os.get("Caption"),
        "version": release.get("display"),
        "build": f"{build}.{revision}" if build and isinstance(revision, int) else build,
        "architecture": os.get("OSArchitecture"),
    }


def _firmware(bios: Row, answers: Row) -> Row:
    kind = at(answers, "firmware", "kind")
    return {
        "maker": bios.get("Manufacturer"),
        "version": bios.get("SMBIOSBIOSVersion"),
        "date": _date(bios.get("ReleaseDate")),
        "uefi": {_UEFI: True, _LEGACY: False}.get(kind) if isinstance(kind, int) else None,
        "secure_boot": at(answers, "firmware", "secure"),
    }


def _date(value: Any) -> str | None:
    """The day of a date as ConvertTo-Json writes it: "/Date(1577836800000)/", or ISO from PowerShell 7."""
    from datetime import UTC, datetime, timedelta

    if isinstance(value, dict):
        value = value.get("value")
    found = re.fullmatch(r"/Date\((-?\d{1,14})\)/", value) if isinstance(value, str) else None
    if found is None:
        return value[:10] if isinstance(value, str) and re.match(r"\d{4}-\d{2}-\d{2}", value) else None
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(found[1]))).date().isoformat()
    except OverflowError:
        return None


def _cpu(chips: list[Row], system: Row) -> Row:
    cores = [inventory.number(chip.get("NumberOfCores")) or 0 for chip in chips]
    threads = [inventory.number(chip.get("NumberOfLogicalProcessors")) or 0 for chip in chips]
    first = chips[0] if chips else {}
    return {
        "model": first.get("Name"),
        "sockets": system.get("NumberOfProcessors"),
        "cores": sum(cores),
        "threads": sum(threads),
        "max_mhz": first.get("MaxClockSpeed"),
    }


def _module(row: Row) -> Row:
    names = _renamed(row, slot="DeviceLocator", bytes="Capacity", speed_mts="ConfiguredClockSpeed", maker="Manufacturer")
    kind = _word_of(_MEMORY, row.get("SMBIOSMemoryType"))
    return {**names, "part": row.get("PartNumber"), "serial": row.get("SerialNumber"), "kind": kind}


def _disk(row: Row) -> Row:
    names = _renamed(row, model="FriendlyName", serial="SerialNumber", bytes="Size")
    number = row.get("DeviceId")
    media, bus = _word_of(_MEDIA, row.get("MediaType")), _word_of(_BUSES, row.get("BusType"))
    return {**names, "name": f"PhysicalDrive{number}" if number is not None else None, "kind": media, "bus": bus}


def _card(row: Row) -> Row:
    mac = row.get("PermanentAddress")
    plain = re.sub(r"[^0-9a-f]", "", mac.lower()) if isinstance(mac, str) else ""
    return {
        "name": row.get("Name"),
        "model": row.get("InterfaceDescription"),
        "mac": ":".join(plain[at : at + 2] for at in range(0, 12, 2)) if len(plain) == 12 else None,
        "kind": _word_of(_MEDIA_OF_NETWORK, row.get("NdisPhysicalMedium")),
    }


def _monitor(row: Row) -> Row:
    words = {ours: _letters(row.get(theirs)) for ours, theirs in _MONITOR_WORDS.items()}
    return {**words, "year": row.get("YearOfManufacture")}


_MONITOR_WORDS = {"maker": "ManufacturerName", "model": "UserFriendlyName", "serial": "SerialNumberID"}


def _letters(codes: Any) -> str | None:
    """The text that WmiMonitorID gives as a list of character codes, filled up with zeros."""
    if not isinstance(codes, list):
        return None
    return "".join(chr(code) for code in codes if isinstance(code, int) and 32 <= code < 127)


def _version(text: Any) -> str | None:
    """The TPM's version, the first part of "2.0, 0, 1.38"."""
    return text.partition(",")[0].strip() if isinstance(text, str) else None


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of the "hardware" inventory."""

    def collect() -> Collected:
        return Collected(inventory={"hardware": inventory.hardware(facts(tools.run_powershell(SCRIPT, timeout_s=120)))})

    return collect
