"""Channels against real receivers: an SMTP server and an HTTP server that take, refuse, stall and break."""

from __future__ import annotations

import contextlib
import datetime as dt
import email
import email.policy
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from fettle_server import clock
from fettle_server.estate.enrolment import pki
from fettle_server.notify import wording
from fettle_server.notify.channels import KINDS, Down, MailServer, Refused, webhook
from fettle_server.notify.channels import email as mail
from fettle_server.notify.rules import NoticeError
from fettle_server.notify.wording import Line, Notice

AT = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)
HOSTILE = "Disk\r\nBcc: eve@example.org\r\n\r\n<script>alert(1)</script>\x00"


def notice(title: str = "Disk is full", key: str = "1-7-99", numbers: tuple[int, ...] = (12,)) -> Notice:
    lines = [
        Line("incident.opened", title, "Make room first.", "Harbour", 2, number, AT, f"https://f.example/incidents/{number}")
        for number in numbers
    ]
    return Notice(key, "opened", tuple(lines), False, AT, "https://f.example")


@dataclass
class Post:
    """What the SMTP server does and has seen."""

    taken: list[Any] = field(default_factory=list)
    answer: str = "250 OK"
    recipient: str = ""

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:
        if self.recipient and address == self.recipient:
            return "550 no such desk"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:
        if self.answer.startswith("250"):
            self.taken.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return self.answer


@pytest.fixture
def post() -> Iterator[tuple[Post, MailServer]]:
    handler = Post()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, MailServer("127.0.0.1", controller.port, "none", sender="fettle@example.org")
    controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send_mail(server: MailServer, told: Notice, to: str = "desk@example.org") -> str:
    config, secret = mail.check(to, "")
    return mail.send(config, secret, told, server)


def test_a_mail_says_what_and_where_and_threads_by_incident(post):
    handler, server = post
    send_mail(server, notice(), "desk@example.org, head@example.org")
    ((to, message),) = handler.taken
    assert to == ["desk@example.org", "head@example.org"]
    assert message["Subject"] == "Opened, priority 2: Harbour: Disk is full (incident 12)"
    assert message["Message-ID"] == "<fettle.1-7-99@example.org>"
    assert message["References"] == "<fettle.incident-12@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "https://f.example/incidents/12" in message.get_body(("plain",)).get_content()
    assert '<a href="https://f.example/incidents/12">' in message.get_body(("html",)).get_content()


def test_a_hostile_title_adds_no_header_no_recipient_and_no_markup(post):
    handler, server = post
    send_mail(server, notice(HOSTILE))
    ((to, message),) = handler.taken
    assert to == ["desk@example.org"]
    assert message["Bcc"] is None
    assert "<script>" not in message.get_body(("html",)).get_content()


def test_the_same_notice_sent_twice_is_the_same_message(post):
    handler, server = post
    send_mail(server, notice())
    send_mail(server, notice())
    assert len({message["Message-ID"] for _, message in handler.taken}) == 1


@pytest.mark.parametrize(("answer", "kind"), [("451 come again", Down), ("554 not wanted", Refused)])
def test_what_the_mail_server_says_is_kept(post, answer, kind):
    handler, server = post
    handler.answer = answer
    with pytest.raises(kind) as caught:
        send_mail(server, notice())
    assert caught.value.text == answer


def test_one_address_that_is_refused_is_named_and_the_others_have_it(post):
    handler, server = post
    handler.recipient = "gone@example.org"
    assert "550 no such desk" in send_mail(server, notice(), "desk@example.org gone@example.org")
    assert len(handler.taken) == 1


def test_a_mail_server_that_is_not_there_is_down_and_surely_got_nothing():
    with pytest.raises(Down) as caught:
        send_mail(MailServer("127.0.0.1", 1, "none", sender="a@example.org"), notice())
    assert caught.value.in_vain


def test_without_a_mail_server_it_says_which_settings():
    with pytest.raises(Refused, match="mail_host"):
        send_mail(MailServer(), notice())


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # it knows STARTTLS only, not a port that is encrypted from the start
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_goes_encrypted_and_signed_in(tmp_path, security):
    handler = Post()
    certificates = _certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server-key.pem")
    signed_in = []

    def authenticate(server, session, envelope, mechanism, data):
        signed_in.append(data.login)
        return AuthResult(success=data.password == b"right", handled=False)  # let it answer by itself

    options: dict[str, Any] = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": security == "starttls"}
    options |= {"tls_context": context, "require_starttls": True} if security == "starttls" else {"ssl_context": context}
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        port = controller.port
        server = MailServer("localhost", port, security, "fettle", "right", "fettle@example.org", certificates)
        send_mail(server, notice())
        with pytest.raises((Down, Refused)):
            send_mail(MailServer("localhost", port, security, "fettle", "wrong", "f@example.org", certificates), notice())
    finally:
        controller.stop()
    assert len(handler.taken) == 1
    assert signed_in[0] == b"fettle"


def _certificates(directory) -> str:
    key, chain = pki.issue_server(pki.make_authority(directory, clock.utc_now()), ("localhost",), clock.utc_now())
    (directory / "server.pem").write_bytes(chain)
    (directory / "server-key.pem").write_bytes(key)
    return str(directory / "ca.pem")


@dataclass
class Hook:
    """What the HTTP server does and has seen."""

    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    stall: threading.Event | None = None
    url: str = ""


@pytest.fixture
def hook() -> Iterator[Hook]:
    kept = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.seen.append((dict(self.headers), body))
            if kept.stall:
                kept.stall.wait(5)
            with contextlib.suppress(OSError):  # the caller may have gone
                self._answer()

        def _answer(self) -> None:
            self.send_response(kept.status)
            for name, value in kept.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"said the receiver")

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/secret-path?token=abc"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield kept
    server.shutdown()
    server.server_close()


def call(hook: Hook, told: Notice | None = None) -> str:
    config, secret = webhook.check(hook.url, "the key")
    return webhook.send(config, secret, told or notice(), MailServer())


def test_a_webhook_is_signed_and_can_be_told_apart(hook):
    assert call(hook) == "200 OK"
    ((headers, body),) = hook.seen
    assert headers["Idempotency-Key"] == "1-7-99"
    assert headers["X-Fettle-Signature"] == webhook.signature("the key", headers["X-Fettle-Timestamp"], body)
    assert json.loads(body)["notices"][0]["incident"] == 12


@pytest.mark.parametrize(("status", "kind"), [(500, Down), (503, Down), (429, Down), (400, Refused), (404, Refused)])
def test_a_webhook_that_fails_is_down_and_one_that_refuses_is_not(hook, status, kind):
    hook.status = status
    with pytest.raises(kind, match="said the receiver"):
        call(hook)


def test_a_webhook_is_not_followed_elsewhere(hook):
    hook.status, hook.headers = 307, {"Location": hook.url}
    with pytest.raises(Refused, match="elsewhere"):
        call(hook)
    assert len(hook.seen) == 1


def test_a_webhook_that_stalls_may_have_got_it(hook, monkeypatch):
    monkeypatch.setattr(webhook, "READ_S", 0.2)
    hook.stall = threading.Event()
    with pytest.raises(Down) as caught:
        call(hook)
    hook.stall.set()
    assert not caught.value.in_vain


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 500 No\r\n\r\n"])
def test_a_webhook_that_drips_is_left_in_time(first, monkeypatch):
    monkeypatch.setattr(webhook, "WHOLE_S", 0.4)
    left = threading.Event()

    def drip() -> None:
        taken, _ = server.accept()
        taken.sendall(first)
        with contextlib.suppress(OSError):  # the caller has gone
            while not left.wait(0.05):
                taken.sendall(b"x")
        taken.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip)
        thread.start()
        began = clock.monotonic()
        with contextlib.suppress(Down):  # its first line alone may be an answer
            call(Hook(url=f"http://127.0.0.1:{server.getsockname()[1]}/"))
        assert clock.monotonic() - began < 2
        left.set()
        thread.join()


def test_a_webhook_that_is_not_there_surely_got_nothing_and_its_address_stays_secret():
    with pytest.raises(Down) as caught:
        call(Hook(url="http://127.0.0.1:1/secret-path"))
    assert caught.value.in_vain
    assert "secret-path" not in caught.value.text


def test_a_service_of_apprise_is_reached_and_its_url_stays_secret(hook):
    target = hook.url.replace("http://", "json://")
    config, secret = KINDS["apprise"].check(target, "")
    assert "secret-path" not in KINDS["apprise"].words(config)
    assert KINDS["apprise"].send(config, secret, notice(), MailServer()) == "taken by the service"
    assert b"Disk is full" in hook.seen[0][1]
    hook.status = 500
    with pytest.raises(Down) as caught:
        KINDS["apprise"].send(config, secret, notice(), MailServer())
    assert "secret-path" not in caught.value.text


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("email", ""),
        ("email", "not an address"),
        ("email", "a@example.org\nBcc: b@example.org"),
        ("email", "desk@example.org>"),
        ("webhook", "ftp://example.org"),
        ("webhook", "http://"),
        ("webhook", "http://example.org:port/"),
        ("apprise", "nonsense"),
        ("apprise", "nosuchservice://abc"),
        ("apprise", "syslog://"),
    ],
)
def test_targets_that_cannot_be_are_refused_in_words(kind, target):
    with pytest.raises(NoticeError):
        KINDS[kind].check(target, "")


def test_a_test_says_so_in_every_form():
    tested = Notice("k", "opened", notice().lines, True, AT, "https://f.example")
    assert wording.subject(tested).startswith("TEST: ")
    assert "This is a test" in wording.text(tested)
    assert "This is a test" in wording.as_html(tested)
    assert wording.as_object(tested)["test"] is True
