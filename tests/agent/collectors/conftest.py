"""What the collectors' tests share: the samples of real tools, a setup, and tools that behave as told."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fettle_agent.collectors import Collected, Reading, Setup, tools

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="session")
def sample() -> Callable[[str], str]:
    """Gives a sample's text by its file name."""
    return lambda name: (FIXTURES / name).read_text(encoding="utf-8")


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """A Linux machine on which nothing is named, the server was never heard and no collector fails."""
    return Setup("linux", tmp_path, services=tuple, clock_offset_s=lambda: None, collectors_failing=lambda: 0)


@pytest.fixture
def setup_with(setup: Setup) -> Callable[..., Setup]:
    """The setup with some parts replaced."""
    return lambda **parts: replace(setup, **parts)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a shell script in place of a tool; no other tool is installed."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setattr(tools, "folders", lambda: (str(folder),))

    def put(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return put


@pytest.fixture
def values() -> Callable[[Collected | tuple[Reading, ...]], dict[tuple[str, str], float]]:
    """The values of readings by key and instance."""

    def by_name(collected: Collected | tuple[Reading, ...]) -> dict[tuple[str, str], float]:
        readings = collected.readings if isinstance(collected, Collected) else collected
        return {(reading.key, reading.instance): reading.value for reading in readings}

    return by_name


class Ticking:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Ticking:
    """A clock that stands still until it is told to go on."""
    return Ticking()
