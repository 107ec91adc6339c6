"""A server with many enrolled machines, made once for a run and copied for each benchmark, so that none sees another's rows.

Owns data directories of a run. Enrolment is real; each use of the machines begins a spool of its own.
"""

from __future__ import annotations

import dataclasses
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import table
from crowd import estate, load, play, server
from crowd.identities import Pass
from crowd.machine import Server

SETTINGS = {"FETTLE_LOG_LEVEL": "error", "FETTLE_LOG_FORMAT": "json"}
_PCS_A_SCHOOL = 1_000


@dataclass(frozen=True, slots=True)
class Site:
    """A running server and passes for as many machines as were asked for."""

    server: server.OwnServer
    passes: list[Pass]

    def tasks(
        self, shape: load.Shape, streams: int, processes: int = 1, every_s: float = 0.0, at_once: int = 50
    ) -> list[load.Task]:
        """The load of that shape over the first so many machines, with a new spool each."""
        chosen = [dataclasses.replace(one, spool=uuid.uuid4().hex) for one in self.passes[:streams]]
        address, ca_pem = self.server.address, self.server.ca_pem
        return [
            load.Task(address, ca_pem, part, shape, every_s=every_s, at_once=at_once) for part in load.split(chosen, processes)
        ]


@contextmanager
def site(run: table.Run, machines: int) -> Iterator[Site]:
    """A server of its own with so many machines enrolled; its data are removed at the end."""
    with prepared(run, machines) as (data, passes), server.serving(data, SETTINGS) as own:
        yield Site(own, passes)


@contextmanager
def prepared(run: table.Run, machines: int) -> Iterator[tuple[Path, list[Pass]]]:
    """The data directory of such a site, for those who start its server themselves."""
    template = run.work / "template"
    passes = _enrolled(template, machines)
    data = run.work / f"site-{uuid.uuid4().hex[:8]}"
    shutil.copytree(template, data)
    try:
        yield data, passes
    finally:
        shutil.rmtree(data)


def _enrolled(template: Path, machines: int) -> list[Pass]:
    """Passes for so many machines; those that the template lacks are enrolled by its own server."""
    template.mkdir(parents=True, exist_ok=True)
    server.make(template, estate.school_name(0))
    pcs = estate.plan(-(-machines // _PCS_A_SCHOOL), _PCS_A_SCHOOL, seed=1)[:machines]
    ca_pem = (template / "ca.pem").read_bytes()
    if len(play.held(template, ca_pem)) >= machines:
        return play.let_in(template, Server("", ca_pem), pcs, _no_token)
    with server.serving(template, SETTINGS, only="ingest") as own:
        return play.let_in(template, Server(own.grpc, ca_pem), pcs, lambda school, uses: server.token(template, school, uses))


def _no_token(school: str, uses: int) -> str:
    raise server.ServerError(f"{uses} machines of {school} are not enrolled")
