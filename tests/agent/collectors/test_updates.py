"""Pending updates on each system."""

import json
import os
import plistlib
from datetime import UTC, datetime

import pytest
from fettle_agent.collectors import CollectError, updates_linux, updates_macos
from fettle_agent.collectors.updates import look, section
from fettle_agent.packages import Offer, apt_offers, dnf_offers, softwareupdate, windows_update
from hypothesis import given
from hypothesis import strategies as st


def counts(offers):
    told = look("apt", offers)
    return told.pending, told.security


def planned(text):
    return [offer for offer, _ in apt_offers.parse_plan(text)]


def test_apts_plan_tells_upgrades_and_which_mend_security(sample):
    offers = planned(sample("apt_dist_upgrade.txt"))
    assert counts(offers) == (8, 4)
    assert (offers[5].name, offers[5].installed, offers[5].version) == ("bash", "5.2.15-2+b8", "5.2.15-2+b13")


def test_new_package_that_an_upgrade_brings_along_is_no_update():
    assert planned("Inst linux-image-6.1.0-41 (6.1.158-1 Debian-Security:12/stable-security [amd64])\n") == []


@pytest.mark.parametrize(
    "origin", ["Ubuntu:22.04/jammy-security", "Debian-Security:12/stable-security", "UbuntuESM:22.04/jammy-infra-security"]
)
def test_security_archives_are_known(origin):
    assert planned(f"Inst bash [5.1] (5.2 {origin} [amd64])\n")[0].security


def test_dnfs_list_ends_where_obsoletes_begin(sample):
    assert len(list(dnf_offers.parse_updates(sample("dnf_check_update.txt")))) == 3
    assert len(list(dnf_offers.parse_updates(sample("dnf_captured.txt")))) == 1


def test_dnf_is_asked_from_its_cache(setup, install, values):
    script = """case "$*" in *needs-restarting*) echo "  * tzdata"; echo Reboot is required; exit 1;; esac
case "$*" in *check-update*) echo "tzdata.noarch 2025a-1 baseos"; exit 100;; esac"""
    install("dnf", script)
    install("rpm", r"printf 'tzdata\tnoarch\t2024b-1\tTime zones\n'")

    given = updates_linux.collector(setup)()
    found = values(given)
    assert found["updates.pending", ""] == 1
    assert found["updates.security_pending", ""] == 0
    assert found["updates.reboot_pending", ""] == 1
    rows = given.inventory["updates"]["offers"]
    assert [(row["version"], row["installed"], row["state"]) for row in rows] == [
        ("2024b-1", "", "reboot pending"),
        ("2025a-1", "2024b-1", "offered"),
    ]


def test_dnf_without_the_plugin_does_not_claim_a_restart(setup, install, values):
    install("dnf", 'case "$*" in *needs-restarting*) echo No such command >&2; exit 1;; esac')

    assert ("updates.reboot_pending", "") not in values(updates_linux.collector(setup)())


def test_system_with_neither_has_no_data(setup, install):
    assert updates_linux.collector(setup)().readings == ()


def test_apt_without_lists_is_not_called_up_to_date(setup, install, monkeypatch, tmp_path, values):
    monkeypatch.setattr(apt_offers, "LISTS", str(tmp_path / "none"))
    install("apt-get", "echo nothing to do")

    given = updates_linux.collector(setup)()
    assert ("updates.pending", "") not in values(given)
    assert given.error == ""
    assert "nobody has run apt-get update" in given.inventory["updates"]["providers"][0]["error"]


@pytest.fixture
def listed(monkeypatch, tmp_path):
    """apt has lists, and dpkg knows nothing."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/debian_Release").touch()
    monkeypatch.setattr(apt_offers, "LISTS", str(tmp_path / "lists"))


def test_plan_is_made_anew_only_when_the_packages_change(setup, install, monkeypatch, tmp_path, listed):
    state = tmp_path / "status"
    state.touch()
    monkeypatch.setattr(updates_linux, "_APT_STATE", (str(state),))
    install("dpkg-query", "true")
    install("apt-get", f"echo asked >> {tmp_path}/asked; echo 'Inst bash [5.1] (5.2 Debian:12/stable [amd64])'")
    collect = updates_linux.collector(setup)
    first = collect()
    assert collect().inventory == first.inventory
    assert first.inventory["updates"]["offers"][0]["version"] == "5.2"
    assert (tmp_path / "asked").read_text().count("asked") == 1
    state.write_text("changed")
    os.utime(state, ns=(1, 1))
    collect()
    assert (tmp_path / "asked").read_text().count("asked") == 2


def test_failure_is_told_in_the_section_and_costs_the_neighbours_nothing(setup, install, listed):
    install("dpkg-query", "true")
    install("apt-get", "exit 100")
    install("snap", "printf 'Name Version Rev Size Publisher Notes\nfirefox 132.0 5187 284MB mozilla -\n'")

    given = updates_linux.collector(setup)()
    assert given.error == "apt-get failed with status 100"
    assert [reading.key for reading in given.readings] == ["updates.reboot_pending"]
    assert given.inventory["updates"]["providers"] == [
        {"provider": "apt", "error": "apt-get failed with status 100"},
        {"provider": "snap", "error": ""},
    ]
    assert [row["name"] for row in given.inventory["updates"]["offers"]] == ["firefox"]


@given(st.lists(st.builds(Offer, st.just("apt"), st.text(max_size=9), st.text(max_size=9), held=st.booleans()), max_size=9))
def test_section_is_the_same_in_whatever_order_offers_came(offers):
    there = section(None, [look("apt", offers)])
    assert there == section(None, [look("apt", offers[::-1])]) == json.loads(json.dumps(there))
    assert len(there["offers"]) == len({(offer.name, offer.version) for offer in offers})


def test_restart_that_the_packages_ask_for_is_told(setup, install, monkeypatch, tmp_path, values, listed):
    flag = tmp_path / "reboot-required"
    monkeypatch.setattr(updates_linux, "REBOOT_FLAGS", (str(flag), str(flag)))
    install("apt-get", "true")
    install("dpkg-query", "true")
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


def test_windows_update_that_is_switched_off_is_told():
    with pytest.raises(CollectError, match="Windows Update did not print JSON"):
        windows_update.parse_look("")


def test_macs_last_search_is_read_from_its_settings():
    plist = plistlib.dumps({"LastSuccessfulDate": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).replace(tzinfo=None)})

    assert updates_macos.last_search(plist) == 1_767_323_045
    assert updates_macos.last_search(b"nonsense") is None


@given(st.text())
def test_any_text_is_read_without_harm(text):
    planned(text)
    list(softwareupdate.parse(text))
    try:
        windows_update.parse_look(text)
    except CollectError:
        return
