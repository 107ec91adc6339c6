"""A channel that reaches nobody: its notices stand in the console's log of deliveries only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fettle_server.notify.channels.mail_server import MailServer
from fettle_server.notify.wording import Notice


def check(_target: str, _key: str) -> tuple[dict[str, Any], str]:
    """There is nothing to say of it."""
    return {}, ""


def send(_config: Mapping[str, Any], _secret: str, _notice: Notice, _server: MailServer) -> str:
    """It is in the log by being sent."""
    return "in the log"


def words(_config: Mapping[str, Any]) -> str:
    """Where it leads."""
    return "in the console only"
