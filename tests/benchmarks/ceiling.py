"""The ceiling: how many messages bare grpc.aio mTLS streams echo here, with the generator that all loads use.

No store, no second process, no look into a message: what no server on this library and these processors can pass.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import psutil
import table
from crowd import load, shapes
from crowd.identities import Pass
from crowd.wire import ATTACH
from fettle_protocol import identity
from fettle_server.estate.enrolment import pki


def measure(run: table.Run) -> list[table.Row]:
    """Echoes a second over 1,000 streams."""
    streams = int(run.pick(300, 1_000))
    rate = echoes_per_s(run, streams, run.pick(5, 15))
    return [table.Row(f"bare grpc.aio echo, {streams:,} mTLS streams", rate, "messages/s")]


def echoes_per_s(run: table.Run, streams: int, seconds: float) -> float:
    """One message under way on each stream at a time."""
    with _echo_server(run.work / "echo") as (port, ca_pem, one):
        tasks = [load.Task(("127.0.0.1", port), ca_pem, (one,) * streams, shapes.single_events, echo=True)]
        with load.crowd(tasks) as crowd:
            return crowd.run(seconds).messages / seconds


def bytes_each(run: table.Run, streams: int) -> float:
    """What a bare stream that stands open takes of the server's memory."""
    with _echo_server(run.work / "echo") as (port, ca_pem, one):
        server = next(child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline()))
        alone = server.memory_info().rss
        with load.crowd([load.Task(("127.0.0.1", port), ca_pem, (one,) * streams, None, echo=True)]):
            return (server.memory_info().rss - alone) / streams


@contextmanager
def _echo_server(directory: Path) -> Iterator[tuple[int, bytes, Pass]]:
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    now = dt.datetime.now(dt.UTC)
    authority = pki.make_authority(directory, now)
    key, chain = pki.issue_server(authority, (identity.SERVER_NAME,), now)
    own = identity.new_key()
    issued = pki.issue_endpoint(authority, "0" * 32, own.public_key(), life=dt.timedelta(days=1), now=now)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, authority.pem, key, chain), daemon=True)
    process.start()
    try:
        one = Pass("0" * 32, "", identity.key_pem(own).decode(), issued.pem.decode(), "echo", "")
        yield ours.recv(), authority.pem, one
    finally:
        process.kill()
        process.join()


def _serve(pipe: Connection, ca_pem: bytes, key: bytes, chain: bytes) -> None:
    load.allow_many_files()
    asyncio.run(_echo(pipe, ca_pem, key, chain))


async def _echo(pipe: Connection, ca_pem: bytes, key: bytes, chain: bytes) -> None:
    async def attach(_messages: Any, context: Any) -> None:
        while (message := await context.read()) is not grpc.aio.EOF:
            await context.write(message)

    limits = (("grpc.server.max_pending_requests", 20_000), ("grpc.server.max_pending_requests_hard_limit", 20_000))
    server = grpc.aio.server(options=limits)
    _, service, method = ATTACH.split("/")
    handler = grpc.method_handlers_generic_handler(service, {method: grpc.stream_stream_rpc_method_handler(attach)})
    server.add_generic_rpc_handlers((handler,))
    credentials = grpc.ssl_server_credentials([(key, chain)], root_certificates=ca_pem, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    pipe.send(port)
    await server.wait_for_termination()


if __name__ == "__main__":
    sys.exit(table.run_alone(measure))
