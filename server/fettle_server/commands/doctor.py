"""`fettle doctor`: says in words what is wrong with a server, and what to do."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from fettle_server import clock
from fettle_server.commands.checks import CHECKS, Check, Finding, State
from fettle_server.commands.store import demand_data_directory
from fettle_server.config import Settings, load

app = typer.Typer()
_MARKS = {State.GOOD: "good   ", State.NOTE: "note   ", State.PROBLEM: "PROBLEM"}


@app.command()
def doctor(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The data directory.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    database: Annotated[str | None, typer.Option(metavar="URL", help="The store, instead of the setting.")] = None,
) -> None:
    """Look for what is wrong: ports, clock, certificates, TLS, store, disk; exit status 1 where something is."""
    settings = load(data, database=database)
    demand_data_directory(settings)
    findings = [finding for check in CHECKS for finding in _run(check, settings)]
    problems = [finding.check for finding in findings if finding.state is State.PROBLEM]
    if as_json:
        typer.echo(json.dumps({"well": not problems, "checks": [dataclasses.asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            typer.echo(_line(finding))
    if problems:
        number = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        typer.echo(f"fettle: {number} ({', '.join(problems)}): see above for what to do", err=True)
        raise typer.Exit(1)


def _run(check: Check, settings: Settings) -> list[Finding]:
    try:
        return list(check(settings, clock.utc_now()))
    except Exception as error:  # a check that breaks is itself a finding, and the others still run
        return [Finding(check.__name__, State.PROBLEM, f"could not be looked at: {error}", "mend that first")]


def _line(finding: Finding) -> str:
    advice = f"\n         -> {finding.advice}" if finding.advice else ""
    return f"{_MARKS[finding.state]}  {finding.check}: {finding.text}{advice}"
