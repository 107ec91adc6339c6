"""Where scripts and styles are served: under a path that changes with their contents, so that browsers may keep them for ever.

A module's own imports are relative, so that they stay under the same path.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "static"
YEAR_S = 365 * 86_400


def place() -> dict[str, Any]:
    """What the app is made with to serve them."""
    return {"static_folder": str(FOLDER), "static_url_path": f"/static/{version(FOLDER)}"}


def version(folder: Path) -> str:
    """A short digest of every file in the folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
