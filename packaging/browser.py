"""Finds or installs the browser that the tests walk the console with.

The system's Chromium where there is one; else Debian's by apt where root; else what Playwright brings.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> int:
    """Exit status 0 when a browser is there afterwards."""
    if found := _system_browser():
        print(f"browser: {found}")
        return 0
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        print("browser: installing Debian's chromium")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=environment)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], check=True, env=environment)
        return 0 if _system_browser() else 1
    print("browser: asking Playwright for its own")
    return subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False).returncode


def _system_browser() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


if __name__ == "__main__":
    sys.exit(main())
