"""The build hook: nothing is fetched twice, no host is pinned, and an unreachable registry is said in words."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

WEB = Path(__file__).parents[2] / "web"


@pytest.fixture
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_assets", WEB / "build_assets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path, hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution whose npm only writes the files that are asked for."""
    (tmp_path / "package-lock.json").write_text("{}")

    def npm(_command: list[str], *, cwd: Path, **_: Any) -> subprocess.CompletedProcess[str]:
        for source in hook.FILES:
            path = cwd / "node_modules" / source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return subprocess.CompletedProcess([], 0, "", "")

    monkeypatch.setattr(hook, "npm", npm)
    return tmp_path


def test_files_are_taken_once_for_one_lock(hook: ModuleType, root: Path) -> None:
    assert hook.build(root, with_tests=False) is True
    assert hook.build(root, with_tests=False) is False
    assert (root / "fettle_web/static/vendor/uplot.min.js").read_text() == "uplot/dist/uPlot.iife.min.js"


def test_new_lock_is_fetched_anew(hook: ModuleType, root: Path) -> None:
    hook.build(root, with_tests=False)
    (root / "package-lock.json").write_text('{"changed": true}')
    assert hook.build(root, with_tests=False) is True


def test_unreachable_registry_is_said_with_what_to_do(hook: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook, "npm", lambda *_, **__: subprocess.CompletedProcess([], 1, "", "npm error ENOTFOUND"))
    with pytest.raises(hook.AssetsError, match=r"npm config get registry.*ENOTFOUND"):
        hook.build(root, with_tests=False)


def test_lock_pins_by_integrity_and_names_no_host() -> None:
    lock = (WEB / "package-lock.json").read_text()
    packages = {name: entry for name, entry in json.loads(lock)["packages"].items() if name}
    assert "://" not in lock
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
