"""What guards every request, whoever sends it: the signing key, form tokens, attempt limits, believed proxies and hosts.

Owns none of the answers' headers (headers.py) and does not know who anybody is (auth.py).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fettle_server.config import Settings
from flask import Flask, Response, has_request_context, request
from flask.sessions import SecureCookieSessionInterface
from flask_limiter import Limiter
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from fettle_web import store

KEY_FILE = "console.key"
MAX_BODY_BYTES = 1024 * 1024
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

csrf = CSRFProtect()


def address() -> str:
    """The address that this request came from, proxies that are trusted looked through."""
    return request.remote_addr or "unknown"


limiter = Limiter(key_func=address, storage_uri="memory://", strategy="moving-window", headers_enabled=True)
"""Counts attempts in this process; its windows begin anew with it."""


def install(app: Flask, settings: Settings) -> None:
    """Set the app's guards up for these settings; `store` must be installed before."""
    app.secret_key = signing_key(settings.data / KEY_FILE)
    app.session_interface = _FormSessions()
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES,
        WTF_CSRF_CHECK_DEFAULT=False,  # auth.py asks, since a bearer token needs none
        WTF_CSRF_TIME_LIMIT=None,  # a form is good for as long as the sign-in
        SESSION_COOKIE_SAMESITE="Lax",
        RATELIMIT_HEADER_RETRY_AFTER_VALUE="delta-seconds",
    )
    csrf.init_app(app)
    limiter.init_app(app)
    known = known_hosts(settings.public_url)
    app.before_request(lambda: _check_host(known))
    app.before_request(_check_text)
    if settings.trusted_proxies:
        n = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]


def is_https() -> bool:
    """True where the browser speaks HTTPS, with this process or with the proxy before it."""
    return request.is_secure or store.settings().public_url.startswith("https://")


def known_hosts(public_url: str) -> frozenset[str]:
    """The names by which this server is asked: public_url's and this machine's own; empty (any) where none is set."""
    host = urlsplit(public_url).hostname
    return frozenset({host, *_LOCAL_HOSTS}) if host else frozenset()


def signing_key(path: Path) -> bytes:
    """The key that signs form tokens, made at the first start, readable by its owner only."""
    fresh = path.with_suffix(f".{os.getpid()}")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
    try:
        os.link(fresh, path)  # unlike a rename it never replaces the key of another process that was quicker
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_bytes()


def _check_host(known: frozenset[str]) -> Response | None:
    """Refuse a name that is not this server's (a page elsewhere may have made it point here); monitors may use any."""
    host = urlsplit(f"//{request.host}").hostname or ""
    if not known or host in known or request.blueprint == "observed":
        return None
    return Response("This server is not known by that name. See its setting public_url.\n", 400, content_type="text/plain")


def _check_text() -> Response | None:
    """Refuse text with a NUL or half a character in it: nobody types them, and no store takes them."""
    lists = chain(request.args.lists(), request.form.lists())
    try:
        body = request.get_json(silent=True) if request.is_json else None
        said = "".join(chain((request.path,), *(values for _, values in lists), _words(body)))
        said.encode()
    except (UnicodeEncodeError, RecursionError):
        return _not_text()
    return _not_text() if "\0" in said else None


def _words(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in chain(value, value.values()) if isinstance(value, dict) else value:
            yield from _words(inner)


def _not_text() -> Response:
    return Response("The request holds characters that are not text.\n", 400, content_type="text/plain")


class _FormSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, which here holds the form token and one-time notices only, never who somebody is."""

    def get_cookie_name(self, app: Flask) -> str:
        return "__Host-fettle-form" if has_request_context() and is_https() else "fettle-form"

    def get_cookie_secure(self, app: Flask) -> bool:
        return is_https()
