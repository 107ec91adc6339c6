"""Network links."""

from collections import namedtuple

import psutil
import pytest
from fettle_agent.collectors import network
from fettle_agent.collectors.changes import Rates

Link = namedtuple("Link", "isup speed flags")
Counters = namedtuple("Counters", "bytes_sent bytes_recv errin errout dropin dropout")


@pytest.mark.parametrize(
    ("platform", "name", "real"),
    [
        ("linux", "eth0", True),
        ("linux", "enp3s0", True),
        ("linux", "wlp2s0", True),
        ("linux", "lo", False),
        ("linux", "docker0", False),
        ("linux", "veth12ab", False),
        ("linux", "br-1234", False),
        ("win32", "Ethernet", True),
        ("win32", "Wi-Fi", True),
        ("win32", "vEthernet (Default Switch)", False),
        ("win32", "Local Area Connection* 2", False),
        ("win32", "Loopback Pseudo-Interface 1", False),
        ("darwin", "en0", True),
        ("darwin", "awdl0", False),
        ("darwin", "utun3", False),
    ],
)
def test_only_real_cards_count(platform, name, real):
    assert network.is_real(name, platform) is real


def _collect(setup, monkeypatch, link, counters=()):
    rounds = iter([{"eth0": Counters(*row)} for row in counters])
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {"eth0": link})
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic, nowrap: next(rounds, {}))
    return network.collector(setup)


def test_link_without_carrier_is_down_and_has_no_speed(setup, monkeypatch, values):
    collect = _collect(setup, monkeypatch, Link(True, 1000, "up,broadcast,multicast"))

    assert values(collect()) == {("network.link_up", "eth0"): 0}


def test_link_that_a_person_switched_off_says_nothing(setup, monkeypatch):
    assert _collect(setup, monkeypatch, Link(False, 0, "broadcast,multicast"))().readings == ()


@pytest.mark.parametrize("speed", [0, 65535, 0xFFFFFFFF])
def test_unknown_speed_is_no_data(setup, monkeypatch, values, speed):
    assert values(_collect(setup, monkeypatch, Link(True, speed, "up,running"))()) == {("network.link_up", "eth0"): 1}


def test_traffic_is_a_rate(setup, monkeypatch, values, clock):
    monkeypatch.setattr(network, "Rates", lambda: Rates(clock))
    collect = _collect(setup, monkeypatch, Link(True, 1000, "up,running"), [(0, 0, 0, 0, 0, 0), (5000, 20000, 0, 0, 0, 0)])
    collect()
    clock.now += 10

    found = values(collect())
    assert found["network.sent_bytes_per_second", "eth0"] == 500
    assert found["network.received_bytes_per_second", "eth0"] == 2000


def test_damage_is_a_rate_over_ten_minutes(clock):
    damage = network.Damage(clock)
    assert damage.per_hour("eth0", 100) is None
    clock.now += 60
    assert damage.per_hour("eth0", 101) == 60
    for _ in range(20):
        clock.now += 60
        rate = damage.per_hour("eth0", 101)
    assert rate == 0


def test_damage_starts_anew_when_the_counter_falls(clock):
    damage = network.Damage(clock)
    damage.per_hour("eth0", 100)
    clock.now += 60
    assert damage.per_hour("eth0", 3) is None
