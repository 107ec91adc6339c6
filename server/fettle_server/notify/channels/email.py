"""Notices by e-mail: one message for all addresses of a channel, handed to the mail server of the settings.

The Message-ID is made of the notice's key, so that a message which is handed over twice (the server died in between) is the
same message; SMTP itself promises no more than at least once. References thread all mails about one incident.
"""

from __future__ import annotations

import contextlib
import email.utils
import re
import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from fettle_server.notify.channels.mail_server import MailServer
from fettle_server.notify.channels.outcomes import Down, Refused
from fettle_server.notify.rules import NoticeError
from fettle_server.notify.wording import Notice, as_html, flat, subject, text

TIMEOUT_S = 10.0
_MOST = 20
_THREADS = 20
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def check(target: str, _key: str) -> tuple[dict[str, Any], str]:
    """The addresses.

    Raises:
        NoticeError: none, too many, or not addresses.
    """
    addresses = [part.strip() for part in re.split(r"[,;\s]+", target) if part.strip()]
    if not 1 <= len(addresses) <= _MOST:
        raise NoticeError(f"Write 1 to {_MOST} e-mail addresses.")
    if wrong := next((address for address in addresses if not _ADDRESS.fullmatch(address)), None):
        raise NoticeError(f"{flat(wrong)[:80]!r} is not an e-mail address.")
    return {"to": addresses}, ""


def words(config: Mapping[str, Any]) -> str:
    """Where it leads."""
    return f"by e-mail to {', '.join(config.get('to', ()))}"


def compose(to: list[str], notice: Notice, sender: str) -> EmailMessage:
    """The message; nothing in a title can add a header or a recipient."""
    message = EmailMessage(policy=SMTP)
    host = _UNSAFE.sub("", sender.rpartition("@")[2].strip("<> ")) or "fettle.invalid"
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = subject(notice)
    message["Date"] = email.utils.format_datetime(notice.at)
    message["Message-ID"] = f"<fettle.{_UNSAFE.sub('-', notice.key)}@{host}>"
    if notice.threads:
        threads = [f"<fettle.incident-{number}@{host}>" for number in notice.threads[:_THREADS]]
        message["In-Reply-To"] = threads[0]
        message["References"] = " ".join(threads)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(text(notice))
    message.add_alternative(as_html(notice), subtype="html")
    return message


def send(config: Mapping[str, Any], _secret: str, notice: Notice, server: MailServer) -> str:
    """Hand the message over; returns what the server said.

    Raises:
        Down: the server could not be reached, or asked to come again. Refused: it does not want the message.
    """
    if not server.host or not server.sender:
        raise Refused("no mail server is set: see the settings mail_host and mail_from")
    message = compose(list(config["to"]), notice, server.sender)
    is_under_way = False
    try:
        connection = _connected(server)
        is_under_way = True
        try:
            refused = connection.send_message(message)
        finally:
            _leave(connection)
    except smtplib.SMTPRecipientsRefused as error:
        raise _as_outcome(*next(iter(error.recipients.values()))) from error
    except smtplib.SMTPResponseException as error:
        raise _as_outcome(error.smtp_code, error.smtp_error) from error
    except (OSError, smtplib.SMTPException) as error:
        raise Down(f"{server.host}: {_said(error)}", in_vain=not is_under_way) from error
    if refused:
        return "taken, but not for " + ", ".join(
            f"{address} ({code} {_decoded(said)})" for address, (code, said) in refused.items()
        )
    return f"taken by {server.host}"


def _connected(server: MailServer) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=server.certificates or None)
    if server.security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
    try:
        if server.security == "starttls":
            connection.starttls(context=context)
        if server.user:
            connection.login(server.user, server.password)
    except BaseException:
        connection.close()
        raise
    return connection


def _leave(connection: smtplib.SMTP) -> None:
    """Say goodbye. What goes wrong with that says nothing about the message."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        connection.quit()
    connection.close()


def _as_outcome(code: int, said: bytes | str) -> Exception:
    words_said = f"{code} {_decoded(said)}"
    return Refused(words_said) if 500 <= code < 600 else Down(words_said, in_vain=True)


def _decoded(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
