"""An agent's environment, made as a PC would get it: from the lock, with the agent's own dependencies only."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SERVER_SIDE = ("sqlalchemy", "flask", "alembic", "psycopg", "pydantic", "granian", "fettle_server", "fettle_web")

pytestmark = pytest.mark.system


def closure(distribution: str) -> set[str]:
    """Every distribution that this one needs on this machine, by canonical name."""
    found: set[str] = set()
    queue = [distribution]
    while queue:
        for line in metadata.requires(queue.pop()) or []:
            requirement = Requirement(line)
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if name not in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
                found.add(name)
                queue.append(name)
    return found


def locked(names: set[str]) -> str:
    """The lock's own blocks, hashes included, of those distributions."""
    blocks = re.split(r"\n(?=\S)", (ROOT / "packaging/requirements.lock").read_text())
    return "\n".join(block for block in blocks if block.split("==")[0] in names)


@pytest.fixture(scope="module")
def agent_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("agent")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    sources = [str(ROOT / "protos"), str(ROOT / "agent")]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(place), *sources], check=True)
    subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
    python = place / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    (place / "lock.txt").write_text(locked(closure("fettle-agent")))
    install = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*install, "--require-hashes", "-r", str(place / "lock.txt")], check=True)
    subprocess.run([*install, "--no-deps", *map(str, place.glob("*.whl"))], check=True)
    return python


@pytest.mark.parametrize("module", SERVER_SIDE)
def test_agent_environment_holds_nothing_of_the_server(agent_python: Path, module: str) -> None:
    probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is not None)"
    assert subprocess.run([str(agent_python), "-c", probe], check=False).returncode == 0


def test_agent_works_in_its_own_environment(agent_python: Path) -> None:
    answer = subprocess.run(
        [str(agent_python), "-m", "fettle_agent", "once", "--json"], check=True, capture_output=True, text=True
    )
    assert "cpu.busy_percent" in answer.stdout
