"""Kept package files: what goes when they are too many, what never does, and what is said then."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from fettle_agent.packages import Wanted, keeping
from fettle_agent.packages.dnf import Dnf

LONG_AGO_S = time.time() - 40 * 86_400


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that may hold 300 bytes, with two old files of 100 each, the first one older."""
    monkeypatch.setattr(keeping, "MAX_BYTES", 300)
    kept = tmp_path / "kept"
    kept.mkdir()
    for number, name in enumerate(["tool_1.0_amd64.deb", "other_2%3a5_amd64.deb"]):
        (kept / name).write_bytes(b"x" * 100)
        os.utime(kept / name, (LONG_AGO_S + number, LONG_AGO_S + number))
    (tmp_path / "new.deb").write_bytes(b"x" * 200)
    return kept


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_oldest_kept_file_goes_where_another_needs_its_room(folder: Path) -> None:
    assert keeping.Kept(folder).take(folder.parent / "new.deb", "new_1_amd64.deb") == ""
    assert names(folder) == ["new_1_amd64.deb", "other_2%3a5_amd64.deb"]


def test_kept_file_that_may_be_wanted_back_stays(folder: Path) -> None:
    keeping.need(folder, [("tool:amd64", "1.0"), ("unknown", "1")])
    assert keeping.Kept(folder).take(folder.parent / "new.deb", "new_1_amd64.deb") == ""
    assert names(folder) == ["new_1_amd64.deb", "tool_1.0_amd64.deb"]


def test_nothing_goes_for_a_file_that_may_not_be_kept_even_so(folder: Path) -> None:
    keeping.need(folder, [("tool", "1.0"), ("other", "2:5")])
    why = keeping.Kept(folder).take(folder.parent / "new.deb", "new_1_amd64.deb")
    assert why == "new_1_amd64.deb could not be kept: the package files kept so far take all the room that they may."
    assert names(folder) == ["other_2%3a5_amd64.deb", "tool_1.0_amd64.deb"]


def test_kept_files_leave_most_of_the_free_room_to_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = keeping.shutil.disk_usage(folder)._replace(free=300)
    monkeypatch.setattr(keeping.shutil, "disk_usage", lambda _: free)
    assert "could not be kept" in keeping.Kept(folder).take(folder.parent / "new.deb", "new_1_amd64.deb")


@pytest.mark.parametrize("name", ["python3.11", "python3.11.x86_64"])
def test_kept_file_of_a_package_with_a_point_in_its_name_is_found(name: str, tmp_path: Path) -> None:
    file = tmp_path / "python3.11_3.11.2-1_x86_64.rpm"
    file.touch()
    assert Dnf(tmp_path, tmp_path)._file(Wanted(name, "3.11.2-1")) == file
