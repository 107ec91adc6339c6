"""The words of package managers that never ran here, as their makers document them."""

import base64
import json
import re

import pytest
from fettle_agent.collectors import CollectError
from fettle_agent.packages import (
    Offer,
    Unsupported,
    Wanted,
    brew,
    choco,
    delivery_optimization,
    powershell,
    registry,
    snap,
    softwareupdate,
    windows_update,
    winget,
)
from hypothesis import given
from hypothesis import strategies as st


def test_windows_update_tells_severity_cves_day_and_its_own_error(sample):
    seen = windows_update.parse_look(sample("updates_windows.json"))
    big, net, driver, stack = seen.offers

    assert (seen.reboot_pending, seen.days_since_check) == (True, 1.25)
    assert (big.name, big.severity, big.security, big.released_on) == ("KB5099901", "critical", True, "2026-11-10")
    assert big.cves == ("CVE-2026-40001", "CVE-2026-40002")
    assert (big.version, big.state, big.size_bytes) == ("0A1B2C3D-1111-4222-8333-444455556666.200", "downloaded", 734003200)
    assert (net.state, net.words, net.security) == ("failed", "0x80070643 Fatal error during installation", False)
    assert net.reference == "https://go.microsoft.com/fwlink/?LinkId=1"
    assert (driver.name, driver.held) == ("0a1b2c3d-1111-4222-8333-444455558888", True)
    assert stack.state == "reboot pending"


def test_windows_updates_result_is_told_with_its_codes():
    said = {
        "there": [{"name": "KB1"}, {"name": "KB2"}],
        "results": [
            {"name": "KB1", "code": 2, "hresult": "0x00000000", "text": "", "reboot": True},
            {"name": "KB2", "code": 4, "hresult": "0x80070643", "text": "Fatal error", "reboot": False},
        ],
    }
    ran = windows_update.ran(said, ["KB1", "KB2", "KB3"])

    assert (ran.worked, ran.status) == (False, 4)
    assert ran.words.splitlines() == [
        "KB1: succeeded (result code 2, HResult 0x00000000); a restart is needed",
        "KB2: failed (result code 4, HResult 0x80070643) Fatal error",
        "KB3: not among what Windows Update has to do here.",
    ]


@given(st.text())
def test_what_powershell_is_asked_cannot_become_code(text):
    handed = powershell._handing_over({"name": text})
    found = re.fullmatch(r"[^']*'Stop';[^']*\('([A-Za-z0-9+/=]*)'\)[^']*", handed)

    assert found is not None
    assert json.loads(base64.b64decode(found[1])) == {"name": text}


@pytest.mark.parametrize(
    "wanted", [Wanted("foo"), Wanted("KB1234'; reboot"), Wanted("KB12345", "1"), Wanted("KB12345", "", "0" * 64)]
)
def test_windows_update_refuses_what_is_no_update(tmp_path, wanted):
    with pytest.raises(Unsupported):
        windows_update.WindowsUpdate(tmp_path).download([wanted], lambda percent: None)


def test_wingets_table_is_read_by_its_columns(sample):
    offers = list(winget._offers(sample("winget_upgrade_windows.txt"), frozenset({"Notepad++.Notepad++"})))

    assert [(one.name, one.installed, one.version, one.held) for one in offers] == [
        ("Mozilla.Firefox", "131.0", "132.0.2", False),
        ("Microsoft.VCRedist.2013.x64", "12.0.40660", "12.0.40664", False),
        ("Notepad++.Notepad++", "Unknown", "8.7.6", True),
    ]


def test_chocolateys_list_tells_pins_and_leaves_out_what_is_newest(sample):
    assert list(choco.parse_outdated(sample("choco_outdated_windows.txt"))) == [
        Offer("choco", "chocolatey", "2.3.0", "2.2.2"),
        Offer("choco", "vlc", "3.0.21", "3.0.18", held=True),
    ]


def test_snaps_tables_are_read_by_their_heads(sample):
    refresh, there = list(snap.parse(sample("snap_refresh_list.txt"))), list(snap.parse(sample("snap_list.txt")))

    assert (refresh[0].revision, refresh[0].size_bytes) == ("5187", 284_000_000)
    assert [(row.revision, row.held, row.disabled) for row in there] == [
        ("1621", False, False),
        ("4848", False, True),
        ("5014", True, False),
    ]


def test_homebrews_document_tells_pins_and_casks(sample):
    offers = list(brew.parse_outdated(sample("brew_outdated_macos.json")))

    assert [(one.name, one.installed, one.version, one.held) for one in offers] == [
        ("git", "2.46.1", "2.47.0", True),
        ("homebrew/core/wget", "1.24.5", "1.25.0", False),
        ("firefox", "131.0", "132.0", False),
    ]


def test_macs_list_in_its_new_and_old_form(sample):
    new, old = (
        list(softwareupdate.parse(sample("softwareupdate.txt"))),
        list(softwareupdate.parse(sample("softwareupdate_old.txt"))),
    )

    assert [(one.name, one.version, one.security) for one in new] == [
        ("macOS Sonoma 14.7.1-23H222", "14.7.1", True),
        ("Command Line Tools for Xcode-16.1", "16.1", False),
    ]
    assert new[0].size_bytes == 1_400_000 * 1024
    assert [(one.name, one.version, one.security) for one in old] == [
        ("iPhoto-2.0", "2.0", False),
        ("StuffItExpander7-7.0", "7.0", True),
        ("iCal-1.0.2", "1.0.2", False),
    ]


@given(st.text())
def test_any_text_is_read_without_harm(text):
    list(winget._offers(text, frozenset()))
    list(choco.parse_outdated(text))
    list(snap.parse(text))
    list(softwareupdate.parse(text))
    for read in (windows_update.parse_look, lambda said: list(brew.parse_outdated(said))):
        try:
            read(text)
        except CollectError:
            continue


def test_names_that_a_tool_would_read_as_options_reach_none(tmp_path):
    for maker in (winget.Winget, choco.Choco, brew.Brew, snap.Snap, softwareupdate.SoftwareUpdate):
        with pytest.raises(Unsupported):
            maker(tmp_path).install(
                [Wanted("--force")], only_upgrade=False, allow_downgrade=False, progress=lambda percent: None
            )


def test_cache_of_windows_is_a_host_and_nothing_else():
    assert not delivery_optimization.use_cache('http://x" /f & reboot').worked
    assert not delivery_optimization.use_cache("http://cache.example:3142").worked


def test_providers_are_those_that_are_installed(tmp_path, monkeypatch):
    monkeypatch.setattr("fettle_agent.collectors.tools.folders", lambda: (str(tmp_path),))
    assert registry.providers("linux", tmp_path) == {}
    (tmp_path / "snap").write_text("#!/bin/sh\n")
    (tmp_path / "snap").chmod(0o755)
    assert list(registry.providers("linux", tmp_path)) == ["snap"]
