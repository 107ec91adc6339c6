"""The Wi-Fi signal on each system."""

import pytest
from fettle_agent.collectors import wifi_linux, wifi_macos, wifi_windows
from fettle_agent.collectors.documents import parse
from hypothesis import given
from hypothesis import strategies as st


def test_signal_of_each_interface_and_of_old_drivers(sample, values):
    assert values(wifi_linux.signals(sample("proc_net_wireless.txt"))) == {
        ("wifi.signal_dbm", "wlp2s0"): -56,
        ("wifi.signal_dbm", "eth1"): -53,
    }


def test_signal_that_iw_tells(sample):
    assert wifi_linux.signal_of(sample("iw_link.txt")) == -52
    assert wifi_linux.signal_of("Not connected.\n") is None


def test_machine_without_a_radio_has_no_data(setup, monkeypatch):
    monkeypatch.setattr(wifi_linux, "_wireless", list)

    assert wifi_linux.collector(setup)().readings == ()


def test_windows_quality_becomes_dbm(sample, values):
    assert values(wifi_windows.parse(sample("netsh_wlan.txt"))) == {("wifi.signal_dbm", "Wi-Fi"): -58}


def test_windows_in_another_language_is_understood(sample, values):
    assert values(wifi_windows.parse(sample("netsh_wlan_german.txt"))) == {("wifi.signal_dbm", "WLAN"): -80}


def test_macs_signal_is_told_without_the_networks_name(sample):
    (reading,) = wifi_macos.signals(parse(sample("system_profiler_airport.json"), "system_profiler"))

    assert (reading.instance, reading.value, reading.detail) == ("en0", -52, "")


@pytest.mark.parametrize("read", [wifi_linux.signals, wifi_linux.signal_of, wifi_windows.parse])
@given(text=st.text())
def test_any_text_is_read_without_harm(read, text):
    read(text)
