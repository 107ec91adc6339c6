"""The hardware and software inventories: one shape on all systems, no junk, nothing that moves by itself."""

import json
from pathlib import Path

import pytest
from fettle_agent.collectors import (
    CollectError,
    edid,
    hardware_linux,
    hardware_macos,
    hardware_windows,
    inventory,
    software_linux,
    software_macos,
    software_windows,
)
from fettle_agent.collectors.documents import parse
from hypothesis import given
from hypothesis import strategies as st

SHAPE = {
    "maker",
    "model",
    "serial",
    "chassis",
    "os",
    "firmware",
    "board",
    "cpu",
    "memory",
    "disks",
    "network",
    "monitors",
    "tpm",
}


@pytest.mark.parametrize(
    "junk",
    ["Default string", "To Be Filled By O.E.M.", "to be filled by O.E.M", "System Serial Number", "00000000", "0", "XXXXXXXX",
     "", "  ", "None", "Not Specified", "123456789", "FFFFFFFF", "\x00\x00", "...", "-", "Unknown", 7, None],
)  # fmt: skip
def test_what_makers_leave_in_place_of_a_value_is_nothing(junk):
    assert inventory.word(junk) is None


@pytest.mark.parametrize(
    ("text", "word"), [(" Dell   Inc.\n", "Dell Inc."), ("0GY6Y8", "0GY6Y8"), ("PF1ABCDE", "PF1ABCDE"), ("0001", "0001")]
)
def test_what_people_would_read_is_kept(text, word):
    assert inventory.word(text) == word


def test_section_has_its_whole_shape_when_nothing_is_known():
    section = inventory.hardware({})

    assert set(section) == SHAPE
    assert section["disks"] == []
    assert section["firmware"] == {"maker": None, "version": None, "date": None, "uefi": None, "secure_boot": None}


def test_order_of_what_was_found_does_not_change_the_section():
    disks = [{"name": "sdb", "bytes": 2}, {"name": "sda", "bytes": 1}]

    assert inventory.hardware({"disks": disks}) == inventory.hardware({"disks": disks[::-1]})


def test_this_machines_section_does_not_change_by_itself(setup):
    collect = hardware_linux.collector(setup)
    first = collect().inventory["hardware"]

    assert json.dumps(first) == json.dumps(collect().inventory["hardware"])
    assert set(first) == SHAPE
    assert first["cpu"]["threads"] >= 1
    assert first["memory"]["bytes"] > 0
    assert first["os"]["name"]


# Linux


def test_processor_of_cpuinfo(sample):
    assert hardware_linux.parse_cpuinfo(sample("cpuinfo.txt")) == {"model": "AMD EPYC", "sockets": 1, "cores": 2, "threads": 2}


def test_memory_is_whole_mebibytes(sample):
    assert hardware_linux.parse_meminfo(sample("meminfo.txt")) % 1024**2 == 0


def test_memory_modules_without_the_empty_slots(sample):
    (module,) = inventory.hardware({"memory": {"modules": hardware_linux.parse_dmidecode(sample("dmidecode_memory.txt"))}})[
        "memory"
    ]["modules"]

    assert module == {
        "slot": "DIMM 0",
        "bytes": 8 * 1024**3,
        "kind": "DDR4",
        "speed_mts": 2667,
        "maker": "Samsung",
        "part": "M378A1K43EB2-CWE",
        "serial": None,
    }


def test_disks_of_lsblk_without_memory_disks(sample):
    assert [disk["name"] for disk in hardware_linux.parse_lsblk(sample("lsblk.json"))] == ["vda"]


def test_disk_that_a_person_plugged_in_is_left_out():
    rows = [
        {"name": "sda", "type": "disk", "size": 5, "rota": True, "tran": "sata", "rm": False},
        {"name": "sdb", "type": "disk", "size": 5, "rota": True, "tran": "usb", "rm": False},
        {"name": "sdc", "type": "disk", "size": 5, "rota": False, "tran": "mmc", "rm": True},
    ]

    assert [(disk["name"], disk["kind"]) for disk in hardware_linux.parse_lsblk(json.dumps({"blockdevices": rows}))] == [
        ("sda", "hdd")
    ]


def test_system_of_os_release(sample):
    assert hardware_linux.parse_os_release(sample("os_release.txt")) == {"name": "Debian GNU/Linux", "version": "12 (bookworm)"}


def _put(root: Path, path: str, data: str | bytes) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data.encode() if isinstance(data, str) else data)


def test_laptop_described_by_the_kernels_files(setup, tmp_path, sample):
    root = tmp_path / "root"
    dmi = {
        "sys_vendor": "LENOVO",
        "product_name": "20XW",
        "product_serial": "PF1ABCDE",
        "chassis_type": "10",
        "bios_version": "N32ET91W",
        "board_serial": "Default string",
    }
    for name, text in dmi.items():
        _put(root, f"sys/class/dmi/id/{name}", text + "\n")
    _put(root, "proc/cpuinfo", "processor\t: 0\nmodel name\t: A chip\nphysical id\t: 0\ncore id\t: 0\n")
    _put(root, f"sys/firmware/efi/efivars/{hardware_linux._SECURE_BOOT}", b"\x06\x00\x00\x00\x01")
    _put(root, "sys/class/tpm/tpm0/tpm_version_major", "2\n")
    _put(root, "sys/class/drm/card0-HDMI-A-1/edid", bytes.fromhex(sample("edid.hex")))
    _put(root, "sys/class/drm/card0-DP-1/edid", b"")
    _put(root, "sys/class/net/wlp2s0/device/uevent", "")
    _put(root, "sys/class/net/wlp2s0/phy80211/name", "phy0")
    _put(root, "sys/class/net/wlp2s0/address", "00:53:00:12:34:56\n")
    _put(root, "sys/class/net/wlp2s0/addr_assign_type", "0\n")
    section = hardware_linux.collector(setup, root=root)().inventory["hardware"]

    assert (section["maker"], section["serial"], section["chassis"], section["board"]["serial"]) == (
        "LENOVO",
        "PF1ABCDE",
        "laptop",
        None,
    )
    assert section["firmware"]["uefi"] is True
    assert section["firmware"]["secure_boot"] is True
    assert section["tpm"] == {"present": True, "version": "2.0"}
    assert [monitor["model"] for monitor in section["monitors"]] == ["SyncMaster"]
    assert section["network"] == [{"name": "wlp2s0", "model": None, "mac": "00:53:00:12:34:56", "kind": "wireless"}]


def test_address_that_was_made_up_is_not_told(tmp_path):
    _put(tmp_path, "wl/device/uevent", "")
    _put(tmp_path, "wl/address", "02:53:00:12:34:56\n")
    _put(tmp_path, "wl/addr_assign_type", "3\n")

    assert hardware_linux._network(tmp_path)[0]["mac"] is None


def test_monitor_of_an_edid(sample):
    assert edid.parse(bytes.fromhex(sample("edid.hex"))) == {
        "maker": "SAM",
        "model": "SyncMaster",
        "serial": "H1AK500000",
        "year": 2007,
    }


def test_damaged_edid_is_nothing(sample):
    data = bytearray(bytes.fromhex(sample("edid.hex")))
    data[20] ^= 1

    assert edid.parse(bytes(data)) is None
    assert edid.parse(b"") is None


def test_installed_packages_without_those_that_were_removed(sample):
    packages = list(software_linux.parse_dpkg(sample("dpkg_query.txt") + "config-files\told\t1.0\n"))

    assert {"name": "adduser", "version": "3.134", "source": "dpkg"} in packages
    assert "old" not in [package["name"] for package in packages]


def test_rpm_packages_without_keys(sample):
    section = inventory.software(software_linux.parse_rpm(sample("rpm_qa.txt") + sample("rpm_captured.txt")))

    assert [(row["name"], row["maker"]) for row in section["packages"]] == [
        ("bash", "Rocky Enterprise Software Foundation"),
        ("fettle-demo", None),
        ("local-tool", None),
    ]


def test_unchanged_packages_are_not_listed_again(setup, install, monkeypatch, tmp_path):
    monkeypatch.setattr(software_linux, "_DATABASES", (str(tmp_path / "status"),))
    install("dpkg-query", r"printf 'installed\tbash\t5.2\n'")
    collect = software_linux.collector(setup)

    assert collect().inventory["software"]["packages"][0]["name"] == "bash"
    assert collect().inventory == {}
    (tmp_path / "status").touch()
    assert "software" in collect().inventory


def test_failed_listing_is_tried_again(setup, install):
    tool = install("dpkg-query", "exit 2")
    collect = software_linux.collector(setup)
    with pytest.raises(CollectError, match="dpkg-query failed with status 2"):
        collect()
    tool.write_text("#!/bin/sh\nprintf 'installed\\tbash\\t5.2\\n'\n")

    assert "software" in collect().inventory


def test_software_is_sorted_and_each_once():
    rows = [
        {"name": "b", "version": "2"},
        {"name": "A", "version": "1"},
        {"name": "b", "version": "2"},
        {"name": "", "version": "9"},
    ]

    assert [row["name"] for row in inventory.software(rows)["packages"]] == ["A", "b"]


# Windows


def test_windows_answers_become_the_same_shape(sample):
    section = inventory.hardware(hardware_windows.facts(sample("hardware_windows.json")))

    assert set(section) == SHAPE
    assert (section["maker"], section["model"], section["serial"], section["chassis"]) == (
        "Dell Inc.",
        "OptiPlex 7010",
        "EXAMPLE1",
        "desktop",
    )
    assert section["os"] == {
        "name": "Microsoft Windows 11 Education",
        "version": "23H2",
        "build": "22631.4317",
        "architecture": "64-bit",
    }
    assert section["firmware"] == {
        "maker": "Dell Inc.",
        "version": "A29",
        "date": "2018-06-28",
        "uefi": True,
        "secure_boot": True,
    }
    assert section["board"]["serial"] is None
    assert [module["serial"] for module in section["memory"]["modules"]] == [None, "12AB34CD"]
    assert [(disk["name"], disk["kind"], disk["bus"]) for disk in section["disks"]] == [("PhysicalDrive0", "ssd", "sata")]
    assert section["network"][0]["mac"] == "00:53:00:12:34:56"
    assert section["monitors"] == [{"maker": "DEL", "model": "P2219H", "serial": "EX4", "year": 2019}]
    assert section["tpm"] == {"present": True, "version": "1.2"}


def test_programs_of_the_uninstall_keys_without_parts_of_others():
    keys = [
        {"DisplayName": "Scratch 3", "DisplayVersion": "3.30.5", "Publisher": "MIT"},
        {"DisplayName": "A part of Windows", "SystemComponent": 1},
        {"DisplayName": "A patch", "ParentKeyName": "Office"},
        {"DisplayName": "KB1", "ReleaseType": "Security Update"},
        {"DisplayVersion": "1"},
    ]

    assert inventory.software(software_windows.packages(keys))["packages"] == [
        {"name": "Scratch 3", "version": "3.30.5", "maker": "MIT", "source": "registry"}
    ]


# macOS


def test_a_macs_report_becomes_the_same_shape(sample):
    section = inventory.hardware(hardware_macos.facts(parse(sample("system_profiler_hardware.json"), "system_profiler")))

    assert set(section) == SHAPE
    assert (section["model"], section["serial"], section["chassis"]) == ("MacBookAir10,1", "EXAMPLE1", "laptop")
    assert section["cpu"]["cores"] == 8
    assert section["memory"]["modules"][0]["bytes"] == 8 * 1024**3
    assert section["disks"][0]["name"] == "disk0"
    assert [card["name"] for card in section["network"]] == ["en0"]
    assert section["firmware"]["secure_boot"] is True


def test_a_macs_programs_without_its_own_and_peoples(sample):
    report = parse(sample("system_profiler_applications.json"), "system_profiler")

    assert [row["name"] for row in inventory.software(software_macos.packages(report))["packages"]] == ["Keynote", "Scratch 3"]


# any input

WORDS = """
    system bios cpu memory disks network monitors tpm present version os release enclosure firmware kind secure blockdevices
    ChassisTypes ReleaseDate UserFriendlyName PermanentAddress NumberOfCores Size MediaType BusType type size name path _name
    SPHardwareDataType SPMemoryDataType SPNVMeDataType SPDisplaysDataType SPiBridgeDataType SPApplicationsDataType _items
    machine_name number_processors physical_memory spdisplays_ndrvs ibridge_secure_boot dimm_speed
"""
DOCUMENT = st.dictionaries(
    st.sampled_from(WORDS.split()),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=20)
        | st.sampled_from(["disk", "/Date(1)/", "2.0, 1", "16 GB"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS.split()), inner, max_size=4),
        max_leaves=15,
    ),
)


@given(DOCUMENT)
def test_any_document_becomes_a_whole_section_or_a_clear_error(document):
    text = json.dumps(document)
    for facts in (
        lambda: hardware_windows.facts(text),
        lambda: hardware_macos.facts(document),
        lambda: {"disks": hardware_linux.parse_lsblk(text)},
    ):
        try:
            section = inventory.hardware(facts())
        except CollectError:
            continue
        assert set(section) == SHAPE
        json.dumps(section, allow_nan=False)
    inventory.software(software_macos.packages(document))


@given(st.text(), st.binary())
def test_any_text_is_read_without_harm(text, data):
    hardware_linux.parse_cpuinfo(text)
    hardware_linux.parse_meminfo(text)
    hardware_linux.parse_dmidecode("Memory Device\n" + text)
    hardware_linux.parse_os_release(text)
    inventory.software([*software_linux.parse_dpkg(text), *software_linux.parse_rpm(text)])
    edid.parse(b"\x00\xff\xff\xff\xff\xff\xff\x00" + data.ljust(120, b"\x00"))


@given(st.binary(min_size=119, max_size=119))
def test_any_whole_edid_is_read_without_harm(body):
    block = b"\x00\xff\xff\xff\xff\xff\xff\x00" + body
    section = inventory.hardware({"monitors": [edid.parse(block + bytes([-sum(block) % 256]))]})
    json.dumps(section)
