"""Notices by the services that Apprise knows: chat, push and text messages. Their URL is their secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fettle_server.notify.channels.mail_server import MailServer
from fettle_server.notify.channels.outcomes import Down
from fettle_server.notify.rules import NoticeError
from fettle_server.notify.wording import Notice, subject, text

_URL_LIMIT = 2000
_LOCAL = frozenset({"dbus", "kde", "qt", "glib", "gnome", "macosx", "windows", "syslog"})
_SCHEME = re.compile(r"([A-Za-z0-9]{1,30}):/{1,2}")


def check(target: str, _key: str) -> tuple[dict[str, Any], str]:
    """What may be shown of it (the service's name), and the URL.

    Raises:
        NoticeError: Apprise knows no such service, or it is one of this machine's own desktop.
    """
    import apprise

    url = target.strip()
    scheme = _SCHEME.match(url)
    if scheme is None or len(url) > _URL_LIMIT or scheme[1].lower() in _LOCAL:
        raise NoticeError("An Apprise URL begins with the name of its service, such as msteams:// or tgram://.")
    service = apprise.Apprise.instantiate(url)
    if service is None:
        raise NoticeError(f"Apprise cannot use that {scheme[1].lower()} URL: see its documentation for what belongs in it.")
    return {"shown": f"{service.service_name}", "scheme": scheme[1].lower()}, url


def words(config: Mapping[str, Any]) -> str:
    """Where it leads, without what is secret in its URL."""
    return f"by {config.get('shown', 'a service')} ({config.get('scheme', '')}://…)"


def send(_config: Mapping[str, Any], secret: str, notice: Notice, _server: MailServer) -> str:
    """Hand it to the service.

    Raises:
        Down: the service did not take it. Apprise does not say whether it was reached.
    """
    import apprise

    service = apprise.Apprise()
    service.add(secret)
    with apprise.LogCapture(level=apprise.logging.WARNING, fmt="%(message)s") as said:  # type: ignore[no-untyped-call]
        taken = service.notify(body=text(notice), title=subject(notice), body_format=apprise.NotifyFormat.TEXT)
        words_said = said.getvalue()
    if not taken:
        raise Down(_without_secrets(words_said, secret) or "the service did not take it", in_vain=False)
    return "taken by the service"


def _without_secrets(said: str, secret: str) -> str:
    """What Apprise logged, but for whatever also stands in the URL."""
    for part in sorted({part for part in re.split(r"[/?&=:@,]+", secret) if len(part) > 3}, key=len, reverse=True):
        said = said.replace(part, "…")
    return said
