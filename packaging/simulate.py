"""`make simulate`: an estate of played PCs through the real protocol, against a server of its own or yours.

Without --server it makes a data directory, starts a server with its console there and prints where to look; with --server
host:port/TOKEN it enrols its PCs there. PCs boot room by room, tell their inventory and the hours of the past day, have a fault
now and then, and restart at the bell. Ctrl-C ends it; nothing is removed.
"""

from __future__ import annotations

import argparse
import ipaddress
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import grpc
from crowd import estate, play, server
from crowd.machine import Script, Server, Tally
from fettle_agent.errors import PeerError

MAX_SCHOOLS, MAX_PCS, MAX_MACHINES = 500, 2_000, 20_000
MACHINES_A_PROCESS = 1_000
REPORT_S = 5


def main() -> int:
    """Exit status 0 after Ctrl-C or --minutes, 1 where it could not go on, 2 for wrong usage."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    data = Path(arguments.data or tempfile.mkdtemp(prefix="fettle-simulated-"))
    data.mkdir(parents=True, exist_ok=True)
    status = 0
    try:
        _with_server(arguments, data)
    except KeyboardInterrupt:
        pass
    except grpc.aio.AioRpcError as error:
        print(f"simulate: the server refused an enrolment: {error.details()}", file=sys.stderr)
        status = 1
    except (server.ServerError, PeerError, OSError) as error:
        print(f"simulate: {error}", file=sys.stderr)
        status = 1
    print(f"Stopped. Nothing was removed: the data is in {data}.", flush=True)
    return status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--schools", type=int, default=5, help=f"at most {MAX_SCHOOLS}")
    add("--pcs", type=int, default=40, help=f"PCs in each school; at most {MAX_PCS}, and {MAX_MACHINES} in all")
    add("--server", default="", help="host:port/TOKEN of a server that runs already; the token needs a use for each PC")
    add("--data", default="", help="data directory, kept and taken up again; default: a new temporary one")
    add("--http", default="127.0.0.1:8081", help="where its own server serves the console")
    add("--minutes", type=float, default=0, help="end after so long; 0: at Ctrl-C")
    add("--fault-every", type=float, default=20, help="mean seconds between two faults in the estate; 0: none")
    add("--bell-every", type=float, default=300, help="seconds between bells, at each of which one room restarts; 0: none")
    add(
        "--history",
        type=int,
        default=24,
        choices=range(721),
        metavar="HOURS",
        help="past hours each PC tells, at most 720",
    )
    add("--anywhere", action="store_true", help="let --server be another machine than this one")
    arguments = parser.parse_args()
    if not 1 <= arguments.schools <= MAX_SCHOOLS or not 1 <= arguments.pcs <= MAX_PCS:
        parser.error(f"1 to {MAX_SCHOOLS} schools with 1 to {MAX_PCS} PCs each")
    if arguments.schools * arguments.pcs > MAX_MACHINES:
        parser.error(f"at most {MAX_MACHINES} PCs in all")
    address, _, token = arguments.server.partition("/")
    if arguments.server and not token:
        parser.error("--server is host:port/TOKEN")
    if arguments.server and not arguments.anywhere and not _is_here(address):
        parser.error("that server is not on this machine: say --anywhere if you mean it")
    return arguments


def _is_here(address: str) -> bool:
    with suppress(OSError, ValueError):
        return ipaddress.ip_address(socket.gethostbyname(address.rpartition(":")[0].strip("[]"))).is_loopback
    return False


def _with_server(arguments: argparse.Namespace, data: Path) -> None:
    if arguments.server:
        address, _, token = arguments.server.partition("/")
        where = Server(address, play.trusted(address, token))
        print(f"PCs enrol with {address}, all into the token's school.", flush=True)
        _play(arguments, data, where, token)
        return
    print(server.make(data, estate.school_name(0)), end="", flush=True)
    with server.serving(data, {"FETTLE_LOG_LEVEL": "warning"}, http=arguments.http) as own:
        print(f"Console: http://{own.http}   agents: {own.grpc}   data: {data}", flush=True)
        _play(arguments, data, Server(own.grpc, own.ca_pem), "")


def _play(arguments: argparse.Namespace, data: Path, where: Server, token: str) -> None:
    pcs = estate.plan(arguments.schools, arguments.pcs, seed=1)
    passes = play.let_in(data, where, pcs, lambda school, uses: token or server.token(data, school, uses))
    print(f"{len(passes)} PCs have their identities.", flush=True)
    cast = list(zip(pcs, passes, strict=True))
    script = Script(fault_every_s=arguments.fault_every * len(cast), history_hours=arguments.history)
    context = multiprocessing.get_context("spawn")
    parts = []
    for start in range(0, len(cast), MACHINES_A_PROCESS):
        ours, theirs = context.Pipe()
        rest = (cast[start : start + MACHINES_A_PROCESS], where, script, play.Bells(arguments.bell_every), theirs)
        process = context.Process(target=play.process, args=rest, daemon=True)
        process.start()
        theirs.close()
        parts.append((process, ours))
    try:
        _report([pipe for _, pipe in parts], len(cast), arguments.minutes * 60)
    finally:
        for _, pipe in parts:
            pipe.close()
        for process, _ in parts:
            process.join(timeout=8)


def _report(pipes: list[Connection], machines: int, seconds: float) -> None:
    """One line every few seconds, until the time is over or a process is gone."""
    began = time.monotonic()
    while not seconds or time.monotonic() - began < seconds:
        time.sleep(REPORT_S)
        print(play.line(play.total([_newest(pipe) for pipe in pipes]), machines, began), flush=True)


def _newest(pipe: Connection) -> Tally:
    newest: Tally = pipe.recv()
    while pipe.poll():
        newest = pipe.recv()
    return newest


os.environ.setdefault("GRPC_VERBOSITY", "NONE")

if __name__ == "__main__":
    sys.exit(main())
