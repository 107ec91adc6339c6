"""Pending updates on each system."""

import os
import plistlib
from datetime import UTC, datetime

import pytest
from fettle_agent.collectors import CollectError, updates_linux, updates_macos, updates_windows
from fettle_agent.collectors.updates import Updates
from hypothesis import given
from hypothesis import strategies as st


def test_apts_plan_tells_upgrades_and_which_mend_security(sample):
    assert updates_linux.parse_apt(sample("apt_dist_upgrade.txt")) == (8, 4)


def test_new_package_that_an_upgrade_brings_along_is_no_update():
    assert updates_linux.parse_apt("Inst linux-image-6.1.0-41 (6.1.158-1 Debian-Security:12/stable-security [amd64])\n") == (
        0,
        0,
    )


@pytest.mark.parametrize(
    "origin", ["Ubuntu:22.04/jammy-security", "Debian-Security:12/stable-security", "UbuntuESM:22.04/jammy-infra-security"]
)
def test_security_archives_are_known(origin):
    assert updates_linux.parse_apt(f"Inst bash [5.1] (5.2 {origin} [amd64])\n") == (1, 1)


def test_dnfs_list_ends_where_obsoletes_begin(sample):
    assert updates_linux.parse_dnf(sample("dnf_check_update.txt")) == 3
    assert updates_linux.parse_dnf(sample("dnf_captured.txt")) == 1


def test_dnf_is_asked_from_its_cache(setup, install, values):
    script = """case "$*" in *needs-restarting*) echo Reboot is required; exit 1;; *--security*) exit 0;; esac
echo "tzdata.noarch 2025a-1 baseos"; exit 100"""
    install("dnf", script)

    found = values(updates_linux.collector(setup)())
    assert found["updates.pending", ""] == 1
    assert found["updates.security_pending", ""] == 0
    assert found["updates.reboot_pending", ""] == 1


def test_dnf_without_the_plugin_does_not_claim_a_restart(setup, install, values):
    install("dnf", 'case "$*" in *needs-restarting*) echo No such command >&2; exit 1;; esac')

    assert ("updates.reboot_pending", "") not in values(updates_linux.collector(setup)())


def test_system_with_neither_has_no_data(setup, install):
    assert updates_linux.collector(setup)().readings == ()


def test_apt_without_lists_is_not_called_up_to_date(install, monkeypatch, tmp_path):
    monkeypatch.setattr(updates_linux, "_APT_LISTS", str(tmp_path / "*Release"))
    install("apt-get", "echo nothing to do")

    assert updates_linux.ask_apt() is None


def test_plan_is_made_anew_only_when_the_packages_change(setup, install, monkeypatch, tmp_path):
    state = tmp_path / "status"
    state.touch()
    monkeypatch.setattr(updates_linux, "_APT_STATE", (str(state),))
    monkeypatch.setattr(updates_linux, "_APT_LISTS", str(state))
    install("apt-get", f"echo asked >> {tmp_path}/asked")
    collect = updates_linux.collector(setup)
    collect()
    collect()
    assert (tmp_path / "asked").read_text().count("asked") == 1
    state.write_text("changed")
    os.utime(state, ns=(1, 1))
    collect()
    assert (tmp_path / "asked").read_text().count("asked") == 2


def test_restart_that_the_packages_ask_for_is_told(setup, install, monkeypatch, tmp_path, values):
    flag = tmp_path / "reboot-required"
    monkeypatch.setattr(updates_linux, "REBOOT_FLAGS", (str(flag), str(flag)))
    install("apt-get", "true")
    collect = updates_linux.collector(setup)
    assert values(collect())["updates.reboot_pending", ""] == 0
    flag.touch()
    assert values(collect())["updates.reboot_pending", ""] == 1


def test_days_since_the_last_look_are_never_negative(tmp_path):
    (tmp_path / "stamp").touch()
    at = (tmp_path / "stamp").stat().st_mtime

    assert updates_linux._days_since([str(tmp_path / "stamp")], at + 86_400) == pytest.approx(1)
    assert updates_linux._days_since([str(tmp_path / "stamp")], at - 86_400) == 0
    assert updates_linux._days_since([str(tmp_path / "none")], at) is None


def test_windows_script_answer(sample):
    assert updates_windows.updates(sample("updates_windows.json")) == Updates(3, 1, True, 1.25)
    assert updates_windows.updates('{"pending":0,"security":0,"reboot":false,"days":null}') == Updates(0, 0, False, None)


def test_windows_update_that_is_switched_off_is_told():
    with pytest.raises(CollectError, match="Windows Update did not print JSON"):
        updates_windows.updates("")


def test_macs_list_in_its_new_and_old_form(sample):
    assert updates_macos.parse_list(sample("softwareupdate.txt")) == (2, 1)
    assert updates_macos.parse_list(sample("softwareupdate_old.txt")) == (3, 0)


def test_macs_last_search_is_read_from_its_settings():
    plist = plistlib.dumps({"LastSuccessfulDate": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).replace(tzinfo=None)})

    assert updates_macos.last_search(plist) == 1_767_323_045
    assert updates_macos.last_search(b"nonsense") is None


@given(st.text())
def test_any_text_is_read_without_harm(text):
    updates_linux.parse_apt(text)
    updates_linux.parse_dnf(text)
    updates_macos.parse_list(text)
    try:
        updates_windows.updates(text)
    except CollectError:
        return
