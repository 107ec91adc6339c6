"""A server with many enrolled machines, made once for a run and copied for each benchmark, so that none sees another's rows.

Owns data directories of a run. Enrolment is real; each use of the machines begins a spool of its own.
"""

from __future__ import annotations

import dataclasses
import shutil
import uuid
from collections.abc import Callable, Iterator
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
    template = run.work / "template"
    with server.serving(_made(template), SETTINGS) as own:
        passes = enrolled(template, own, machines)
    data = run.work / f"site-{uuid.uuid4().hex[:8]}"
    shutil.copytree(template, data)
    try:
        with server.serving(data, SETTINGS) as own:
            yield Site(own, passes)
    finally:
        shutil.rmtree(data)


def enrolled(data: Path, own: server.OwnServer, machines: int) -> list[Pass]:
    """Passes for so many machines; those that are missing are enrolled."""
    pcs = estate.plan(-(-machines // _PCS_A_SCHOOL), _PCS_A_SCHOOL, seed=1)[:machines]
    token_for: Callable[[str, int], str] = lambda school, uses: server.token(data, school, uses)  # noqa: E731
    return play.let_in(data, Server(own.grpc, own.ca_pem), pcs, token_for)


def _made(template: Path) -> Path:
    template.mkdir(parents=True, exist_ok=True)
    server.make(template, estate.school_name(0))
    return template
