"""The ways to reach people, one file for each kind, and the one table that names them.

A channel's `config` may be shown; its `secret` is given once and never shown again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fettle_server.notify.channels import email, log, services, webhook
from fettle_server.notify.channels.mail_server import MailServer
from fettle_server.notify.channels.outcomes import Down, Refused
from fettle_server.notify.rules import NoticeError
from fettle_server.notify.wording import Notice

__all__ = ["KINDS", "Down", "Kind", "MailServer", "NoticeError", "Refused", "kind_of"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of channel.

    `check(target, key)` gives config and secret, or raises NoticeError; `send` gives the receiver's answer, or raises Down or
    Refused; `words(config)` says where it leads.
    """

    title: str
    hint: str
    check: Callable[[str, str], tuple[dict[str, Any], str]]
    send: Callable[[Mapping[str, Any], str, Notice, MailServer], str]
    words: Callable[[Mapping[str, Any]], str]


KINDS: dict[str, Kind] = {
    "email": Kind("E-mail", "addresses, with a comma between them", email.check, email.send, email.words),
    "webhook": Kind("Webhook", "a web address, called with JSON", webhook.check, webhook.send, webhook.words),
    "apprise": Kind("Another service", "its Apprise URL", services.check, services.send, services.words),
    "log": Kind("In the console only", "leave it empty", log.check, log.send, log.words),
}


def kind_of(name: str) -> Kind:
    """The kind of that name.

    Raises:
        NoticeError: there is none.
    """
    if name not in KINDS:
        raise NoticeError(f"A channel is of one of the kinds {', '.join(KINDS)}.")
    return KINDS[name]
