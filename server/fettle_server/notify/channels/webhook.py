"""Notices by webhook: a POST of JSON, signed, with a key by which the receiver can drop what it has had.

Private addresses are allowed: schools' receivers are often their own. Redirects are not followed, since a signed notice is
for the receiver that was named. docs/notices.md describes the request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError

from fettle_server import clock
from fettle_server.notify.channels.deadline import session
from fettle_server.notify.channels.mail_server import MailServer
from fettle_server.notify.channels.outcomes import Down, Refused
from fettle_server.notify.rules import NoticeError
from fettle_server.notify.wording import Notice, as_object

CONNECT_S = 5.0
READ_S = 10.0
WHOLE_S = 20.0
"""A receiver that sends a byte now and then would hold one of the few senders for as long as it likes."""
_URL_LIMIT = 2000
_ANSWER_BYTES = 200
_COME_AGAIN = frozenset({408, 425, 429})


def check(target: str, key: str) -> tuple[dict[str, Any], str]:
    """What may be shown of it, and the secret: the address and the signing key (a fresh one where none is given).

    Raises:
        NoticeError: not an address that can be called.
    """
    url = target.strip()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NoticeError("That is not a web address.") from error
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or len(url) > _URL_LIMIT
        or not url.isprintable()
        or " " in url
    ):
        raise NoticeError("A webhook is a web address that begins with https:// or http://.")
    key = key.strip() or secrets.token_urlsafe(32)
    shown = f"{parts.scheme}://{parts.hostname}{f':{port}' if port else ''}"
    return {"shown": shown}, json.dumps({"url": url, "key": key})


def signing_key(secret: str) -> str:
    """The key of a secret that `check` made: shown once, when the channel is made."""
    return str(json.loads(secret)["key"])


def words(config: Mapping[str, Any]) -> str:
    """Where it leads, without what may be secret in its address."""
    return f"by webhook to {config.get('shown', '')}"


def signature(key: str, timestamp: str, body: bytes) -> str:
    """What stands in X-Fettle-Signature: HMAC-SHA256 of the timestamp, a full stop and the body."""
    return "sha256=" + hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def send(_config: Mapping[str, Any], secret: str, notice: Notice, _server: MailServer) -> str:
    """Call the receiver; returns what it answered.

    Raises:
        Down: not reached, not in time, or it said to come again. Refused: it answered that it does not want this.
    """
    kept = json.loads(secret)
    body = json.dumps(as_object(notice), ensure_ascii=False, separators=(",", ":")).encode()
    timestamp = str(clock.now_ms() // 1000)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Fettle",
        "Idempotency-Key": notice.key,
        "X-Fettle-Timestamp": timestamp,
        "X-Fettle-Signature": signature(kept["key"], timestamp, body),
    }
    with session(WHOLE_S) as (calling, deadline):
        try:
            with calling.post(
                kept["url"], data=body, headers=headers, timeout=(CONNECT_S, READ_S), allow_redirects=False, stream=True
            ) as answer:
                return _taken(answer)
        except (requests.RequestException, HTTPError) as error:
            if deadline.is_over:
                raise Down(f"did not end its answer within {WHOLE_S:.0f} s", in_vain=False) from error
            raise Down(_why(error), in_vain=_is_in_vain(error)) from error


def _taken(answer: requests.Response) -> str:
    code = answer.status_code
    said = f"{code} {answer.reason or ''}".strip()
    if 200 <= code < 300:
        return said
    if 300 <= code < 400:
        raise Refused(f"{said}: it sends us elsewhere, which is not followed; give the channel its new address")
    content = answer.raw.read(_ANSWER_BYTES, decode_content=True) or b""
    text = f"{said} {content.decode('utf-8', 'replace')}"
    if code >= 500 or code in _COME_AGAIN:
        raise Down(text, in_vain=True)
    raise Refused(text)


def _why(error: Exception) -> str:
    """In words of our own: those of the library hold the address, which may be secret."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate could not be checked"
    if isinstance(error, requests.ConnectTimeout):
        return f"could not be reached within {CONNECT_S:.0f} s"
    if isinstance(error, requests.ReadTimeout):
        return f"did not answer within {READ_S:.0f} s"
    if _is_in_vain(error):
        return "could not be reached"
    return f"the connection broke ({type(error).__name__})"


def _is_in_vain(error: Exception) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    unreached = (NewConnectionError, NameResolutionError, ConnectTimeoutError)
    return isinstance(error, requests.exceptions.SSLError | requests.ConnectTimeout) or isinstance(reason, unreached)
