"""Every sample says where it comes from, and none that was written is called captured."""

from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures"
SAMPLES = sorted(path for path in FIXTURES.iterdir() if path.suffix != ".origin")


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_sample_tells_its_origin(path):
    first = path.with_name(path.name + ".origin").read_text(encoding="utf-8").splitlines()[0]

    assert first.startswith(("Captured on ", "Written from "))
    assert len(first) > 40


@pytest.mark.parametrize(
    "path", [path for path in SAMPLES if "windows" in path.name or "macos" in path.name], ids=lambda path: path.name
)
def test_sample_of_a_system_that_never_ran_is_not_called_captured(path):
    assert path.with_name(path.name + ".origin").read_text(encoding="utf-8").startswith("Written from ")


def test_no_origin_without_its_sample():
    assert all(path.with_suffix("").exists() for path in FIXTURES.glob("*.origin"))
