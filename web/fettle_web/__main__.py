"""The console's process: `python -m fettle_web DIR`.

Owns its arguments, its port, the files that tell others where it is, and its end. This process only watches; a child, which
dies with it, serves. Does not know any page.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fettle_server.config import Settings, SettingsError, load, split_address
from granian.constants import Interfaces
from granian.server import MPServer

BLOCKING_THREADS = 320
"""Each live page holds one: room for 200 of them, and for the quick ones beside."""
KILL_AFTER_S = 2
RUN = "run"
_FILES = ("console.ready", "console.port", "console.pid")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the console listens: a numeric address, the port that it really has, and the certificate's files, if any."""

    host: str
    port: int
    certificate: Path | None
    key: Path | None

    @property
    def url(self) -> str:
        """The address as a browser takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"


def main() -> int:
    """Exit status 0 when it was told to leave, 1 with one line where it could not serve."""
    arguments = _arguments()
    try:
        settings = load(arguments.data, http=arguments.http, database=arguments.database)
        place, held = _reserve(settings)
    except (SettingsError, OSError) as error:
        print(f"fettle console: {error}", file=sys.stderr)
        return 1
    with held:
        return _serve(settings, place)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fettle_web", description="Serve Fettle's console and REST API.")
    parser.add_argument("data", type=Path, metavar="DIR", help="the data directory")
    parser.add_argument(
        "--http", metavar="HOST:PORT", help="where to listen; port 0: any free one, named in DIR/run/console.port"
    )
    parser.add_argument("--database", metavar="URL", help="the store, where it is not SQLite in the data directory")
    return parser.parse_args()


def _reserve(settings: Settings) -> tuple[Place, socket.socket]:
    """The place to listen at, and a socket that keeps its port ours until somebody listens there.

    Raises:
        SettingsError: the port is taken, the address is not this machine's, or a certificate's file is missing.
    """
    host, port = split_address(settings.http)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        if port:
            _bound(family, address, shared=False).close()  # a shared socket would not notice another program's
        held = _bound(family, address, shared=True)
    except OSError as error:
        reason = (
            "is taken by another program" if isinstance(error, OSError) and error.errno == 98 else f"cannot be used ({error})"
        )
        raise SettingsError(f"{settings.http} {reason}: choose another address with --http HOST:PORT") from error
    numeric, real_port = held.getsockname()[:2]
    return Place(numeric, real_port, *_certificate(settings)), held


def _bound(family: int, address: Any, *, shared: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared and hasattr(socket, "SO_REUSEPORT"):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _certificate(settings: Settings) -> tuple[Path | None, Path | None]:
    if not settings.http_certificate and not settings.http_key:
        return None, None
    certificate, key = Path(settings.http_certificate), Path(settings.http_key)
    for name, path in (("http_certificate", certificate), ("http_key", key)):
        if not path.is_file():
            raise SettingsError(
                f"setting {name}: there is no file {str(path)!r}; HTTPS needs both http_certificate and http_key"
            )
    return certificate, key


def _serve(settings: Settings, place: Place) -> int:
    run = settings.data / RUN
    run.mkdir(exist_ok=True)
    _forget(run)
    (run / "console.pid").write_text(f"{os.getpid()}\n")
    child_end, own_end = multiprocessing.Pipe(duplex=False)
    os.register_at_fork(after_in_child=own_end.close)
    server = _Console(_Worker(settings, place, child_end), place, own_end)
    try:
        server.serve(target_loader=server.worker, wrap_loader=False)
    except SystemExit as end:
        return 0 if server.interrupt_signal else int(end.code or 0)
    finally:
        _forget(run)
    return 0


def _forget(run: Path) -> None:
    for name in _FILES:
        (run / name).unlink(missing_ok=True)


class _Console(MPServer):
    """granian with one worker, which it tells to leave by letting go of the leash before it signals."""

    def __init__(self, worker: _Worker, place: Place, leash: Connection) -> None:
        super().__init__(
            "fettle_web",
            address=place.host,
            port=place.port,
            interface=Interfaces.WSGI,
            blocking_threads=BLOCKING_THREADS,
            workers_kill_timeout=KILL_AFTER_S,
            log_enabled=False,
            ssl_cert=place.certificate,
            ssl_key=place.key,
        )
        self.worker = worker
        self._leash = leash

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        self._leash.close()
        super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Worker:
    """What the child does first: make the app, and tell where it serves once it does."""

    settings: Settings
    place: Place
    leash: Connection

    def __call__(self) -> Any:
        from fettle_server import observed

        from fettle_web import leaving
        from fettle_web.app import create_app

        observed.set_up("console", level=self.settings.log_level, form=self.settings.log_format)
        app = create_app(self.settings)
        leaving.follow(self.leash)
        threading.Thread(target=self._announce, name="announce", daemon=True).start()
        return app

    def _announce(self) -> None:
        """Write the port and the sign of readiness as soon as a connection is taken."""
        from fettle_server import observed

        from fettle_web import leaving

        while not leaving.STOPPING.wait(0.02):
            try:
                socket.create_connection((self._reachable(), self.place.port), timeout=1).close()
            except OSError:
                continue
            run = self.settings.data / RUN
            (run / "console.port").write_text(f"{self.place.port}\n")
            (run / "console.ready").write_text(f"{self.place.url}\n")
            observed.log().info("console is serving", address=self.place.url)
            return

    def _reachable(self) -> str:
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.place.host, self.place.host)  # noqa: S104 -- compared with, not bound to


if __name__ == "__main__":
    sys.exit(main())
