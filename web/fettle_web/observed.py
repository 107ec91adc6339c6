"""What operators and their monitoring see of the console: alive, ready, counted.

/healthz says that this process answers. /readyz names the parts of the server and says of each whether it is ready;
`?part=store` asks for some of them only, for a host that runs a console and nothing else. /metrics is metrics.py's.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import time
from pathlib import Path

from fettle_server import migrations
from fettle_server.config import Settings
from fettle_server.db import StoreFailure
from fettle_server.observed import log
from flask import Blueprint, Flask, Response, abort, g, jsonify, request
from flask.typing import ResponseReturnValue

from fettle_web import auth, metrics, store

READY = "ready"
_LOOKED_AROUND = ("X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via")


def install(app: Flask, settings: Settings) -> None:
    """Count requests, and answer /healthz, /readyz and /metrics."""
    figures = metrics.Figures(app)
    app.extensions["fettle-figures"] = figures
    app.before_request(_start_watch)
    app.after_request(lambda response: _count(figures, response))
    blueprint = Blueprint("observed", __name__)
    blueprint.get("/healthz")(auth.public(healthz))
    blueprint.get("/readyz")(auth.public(readyz))

    @blueprint.get("/metrics")
    @auth.public
    def prometheus() -> Response:
        """All figures in Prometheus's format, for this machine or for who brings the token."""
        _admit_to_metrics(settings.metrics_token)
        return Response(figures.text(), content_type=metrics.CONTENT_TYPE)

    app.register_blueprint(blueprint)


def healthz() -> ResponseReturnValue:
    """This process answers."""
    return Response("ok\n", content_type="text/plain; charset=utf-8")


def readyz() -> ResponseReturnValue:
    """Each part of the server: "ready", or what it lacks; 503 where one that was asked for lacks something."""
    run = store.settings().data / "run"
    parts = {"store": _store(), "ingest": part_state(run, "ingest"), "worker": part_state(run, "worker")}
    asked = request.args.getlist("part")
    parts = {name: state for name, state in parts.items() if not asked or name in asked}
    ready = bool(parts) and all(state == READY for state in parts.values())
    return jsonify({"ready": ready, "parts": parts}), 200 if ready else 503


def part_state(run: Path, part: str) -> str:
    """What the run directory says of a part: "ready" where that part of the server said so and is alive; else what it lacks."""
    if not (run / f"{part}.ready").exists():
        return "not started from this data directory"
    try:
        pid = int((run / f"{part}.pid").read_text())
    except (OSError, ValueError):
        return READY
    return READY if _is_alive(pid) else "has died"


def _store() -> str:
    """The store's own state. Why it cannot be reached is for the log: the address may name users and hosts."""
    try:
        step, needed = migrations.step_of(store.engine()), migrations.newest_step()
    except StoreFailure as error:
        log().warning("store cannot be reached", error=type(error).__name__)
        return "cannot be reached; the log says why"
    return READY if step == needed else f"at step {step or 'none'}, and this program needs {needed}: run `fettle migrate`"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _admit_to_metrics(token: str) -> None:
    """Nothing for a scraper on this machine that no proxy stands before, or one that brings the token; else 403."""
    given = request.headers.get("Authorization", "")
    if token and hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return
    # The address before ProxyFix looked through it: what a proxy on this machine passes on comes from anywhere.
    origin = request.environ.get("werkzeug.proxy_fix.orig", request.environ).get("REMOTE_ADDR") or ""
    if not any(name in request.headers for name in _LOOKED_AROUND) and _is_loopback(origin):
        return
    abort(403, "Metrics are for this machine, or for who sends `Authorization: Bearer` with the setting metrics_token.")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def _start_watch() -> None:
    g.began = time.perf_counter()


def _count(figures: metrics.Figures, response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "none"
    took = time.perf_counter() - g.began if "began" in g else 0.0
    figures.count(route, request.method, response.status_code, took)
    return response
