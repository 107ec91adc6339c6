"""SMART, from smartctl's JSON."""

import json

import pytest
from fettle_agent.collectors import CollectError, smart
from fettle_agent.collectors.legal import legal
from hypothesis import given
from hypothesis import strategies as st


def test_failing_disk_tells_verdict_sectors_wear_and_heat(sample, values):
    assert values(smart.parse_disk(sample("smartctl_ata.json"), "sda")) == {
        ("disk.smart_failing", "sda"): 1,
        ("disk.smart_reallocated", "sda"): 328,
        ("disk.smart_pending", "sda"): 16,
        ("disk.smart_wear_percent", "sda"): 36,
        ("disk.smart_temperature", "sda"): 37,
    }


def test_nvme_tells_its_own_wear(sample, values):
    found = values(smart.parse_disk(sample("smartctl_nvme.json"), "nvme0"))

    assert found["disk.smart_wear_percent", "nvme0"] == 7
    assert found["disk.smart_failing", "nvme0"] == 0
    assert ("disk.smart_pending", "nvme0") not in found


def test_disk_that_cannot_be_asked_gives_no_data(sample):
    assert smart.parse_disk(sample("smartctl_refused.json"), "vda") == ()


def test_scan_names_each_disk_with_its_type(sample):
    assert smart.parse_scan(sample("smartctl_scan.json")) == (("/dev/sda", "sat"), ("/dev/nvme0", "nvme"))
    assert smart.parse_scan(sample("smartctl_scan_none.json")) == ()


def test_absent_tool_is_no_data(setup, install):
    assert smart.collector(setup)().readings == ()


def test_disk_that_fails_hides_no_other(setup, install, sample, values):
    install(
        "smartctl",
        f"""case "$*" in *--scan*) cat <<'X'
{sample("smartctl_scan.json")}
X
;; *nvme0*) cat <<'X'
{sample("smartctl_nvme.json")}
X
;; *) echo garbage; exit 2;; esac""",
    )

    assert ("disk.smart_wear_percent", "nvme0") in values(smart.collector(setup)())


def test_output_that_is_not_json_is_told(setup, install):
    install("smartctl", "echo smartctl 6.6 has no JSON")

    with pytest.raises(CollectError, match="smartctl did not print JSON"):
        smart.collector(setup)()


KEYS = "smart_status passed table id raw value temperature current ata_smart_attributes devices name"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS.split()), inner),
    max_leaves=20,
)


@given(JSON)
def test_any_json_gives_lawful_readings_or_a_clear_error(document):
    text = json.dumps(document)
    try:
        readings = smart.parse_disk(text, "sda")
        smart.parse_scan(text)
    except CollectError:
        return
    legal(readings)
