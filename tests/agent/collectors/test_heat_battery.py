"""Temperatures, fans and the battery."""

from collections import namedtuple

import psutil
from fettle_agent.collectors import battery, battery_macos, battery_windows, temperatures
from fettle_agent.collectors.documents import parse

Sensor = namedtuple("Sensor", "label current high critical")
Fan = namedtuple("Fan", "label current")


def test_sensors_of_one_name_are_numbered(values):
    chips = {
        "acpitz": [Sensor("", 40.0, None, None), Sensor("", 45.0, None, None)],
        "coretemp": [Sensor("Package id 0", 60.0, 80.0, 100.0)],
    }

    assert values(temperatures.heat(chips)) == {
        ("temperature.celsius", "acpitz"): 40.0,
        ("temperature.celsius", "acpitz 2"): 45.0,
        ("temperature.celsius", "coretemp Package id 0"): 60.0,
        ("temperature.headroom", "coretemp Package id 0"): 40.0,
    }


def test_unbelievable_critical_level_gives_no_headroom():
    assert len(temperatures.heat({"nvme": [Sensor("", 40.0, None, 65261.0)]})) == 1


def _stalled(setup, monkeypatch, rounds):
    looks = iter(rounds)
    look = {}

    def heats():
        look["now"] = next(looks)
        return {"cpu": [Sensor("", look["now"][0], None, 100.0)]}

    monkeypatch.setattr(psutil, "sensors_temperatures", heats, raising=False)
    monkeypatch.setattr(psutil, "sensors_fans", lambda: {"case": [Fan("", look["now"][1])]}, raising=False)
    collect = temperatures.collector(setup)
    return [[reading.value for reading in collect().readings if reading.key == "fan.stalled"] for _ in rounds]


def test_fan_that_turned_and_stands_still_in_the_heat_is_stalled(setup, monkeypatch):
    assert _stalled(setup, monkeypatch, [(50.0, 900), (50.0, 0), (90.0, 0), (90.0, 900)]) == [[0], [0], [1], [0]]


def test_fan_that_never_turned_is_never_stalled(setup, monkeypatch):
    assert _stalled(setup, monkeypatch, [(90.0, 0), (90.0, 0)]) == [[], []]


def test_system_without_sensors_has_no_data(setup, monkeypatch):
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    monkeypatch.delattr(psutil, "sensors_fans", raising=False)

    assert temperatures.collector(setup)().readings == ()


def test_machine_without_a_battery_has_no_data(setup, monkeypatch):
    monkeypatch.setattr(psutil, "sensors_battery", lambda: None)

    assert battery.charge(setup)().readings == ()


def test_charge_and_mains_are_told(setup, monkeypatch, values):
    monkeypatch.setattr(psutil, "sensors_battery", lambda: namedtuple("Battery", "percent power_plugged")(71.5, False))

    assert values(battery.charge(setup)()) == {("battery.charge_percent", ""): 71.5, ("battery.on_mains", ""): 0}


def test_wear_is_full_charge_against_design(setup, tmp_path, values):
    supply = tmp_path / "BAT0"
    supply.mkdir()
    for name, text in (("charge_full", "4100000\n"), ("charge_full_design", "5000000\n"), ("cycle_count", "0\n")):
        (supply / name).write_text(text)

    assert values(battery.wear_linux(setup, root=tmp_path)()) == {("battery.health_percent", ""): 82}


def test_wear_of_a_windows_battery(sample, values):
    found = values(battery_windows.readings(sample("battery_windows.json")))

    assert found == {("battery.health_percent", ""): 82.46, ("battery.cycles", ""): 212}
    assert battery_windows.readings('{"full":null,"design":null,"cycles":null}') == ()


def test_wear_of_a_macs_battery(sample, values):
    found = values(battery_macos.readings(parse(sample("system_profiler_power.json"), "system_profiler")))

    assert found == {("battery.health_percent", ""): 91, ("battery.cycles", ""): 212}
