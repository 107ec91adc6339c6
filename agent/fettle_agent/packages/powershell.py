"""Asks a script of ours in Windows's own PowerShell, with what it is asked handed over as data that cannot become code."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from fettle_agent.collectors import tools
from fettle_agent.collectors.documents import parse


def asked(script: str, question: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """The JSON object that the script printed; it finds the question in $asked.

    Raises:
        CollectError: PowerShell or the script failed, or it printed no JSON.
    """
    return parse(tools.run_powershell(_handing_over(question) + script, timeout_s=timeout_s), "Windows Update")


def _handing_over(question: dict[str, Any]) -> str:
    """Base64 holds neither quotes nor anything else that PowerShell would read."""
    packed = b64encode(json.dumps(question).encode()).decode()
    return (
        "$ErrorActionPreference='Stop';"
        f"$asked=[Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('{packed}'))|ConvertFrom-Json;"
    )
