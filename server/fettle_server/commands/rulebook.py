"""`fettle rules ...`: the rule book from the server's own command line."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer
from fettle_protocol.policy import Policy, to_mapping

from fettle_server import clock, db
from fettle_server.commands.listing import AsJson, Data, Database, plain, stamp
from fettle_server.commands.store import check_version
from fettle_server.config import load
from fettle_server.estate.people.rules import SYSTEM
from fettle_server.paging import LIMIT
from fettle_server.proactive.rulebook import actions, queries
from fettle_server.proactive.rulebook.rules import Edit, NoSuchRule, RuleBookError
from fettle_server.proactive.rulebook.views import ChangeRow, RuleRow

app = typer.Typer()


rules_app = typer.Typer(no_args_is_help=True, help="The rule book: when a reading is a fault.")
app.add_typer(rules_app, name="rules")

Why = Annotated[str, typer.Option(help="Why: the next person will ask.")]


@rules_app.command("list")
def list_rules(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List the rules in force, in the order of the book."""
    with _open(data, database, writing=False) as tx:
        version, rows = queries.book(tx, SYSTEM)
    if as_json:
        typer.echo(json.dumps({"version": version, "rules": [_object(row) for row in rows]}))
        return
    typer.echo(f"Version {version}, {len(rows)} rules")
    for row in rows:
        marks = ", ".join(word for word, so in (("off", not row.rule.enabled), ("changed here", row.own)) if so)
        typer.echo(
            plain(f"{row.rule.key:28}  {row.rule.severity:5}  {row.raises}; {row.whom}{f'  [{marks}]' if marks else ''}")
        )


@rules_app.command("show")
def show_rule(
    data: Data,
    key: Annotated[str, typer.Argument(metavar="KEY")],
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Show one rule with its history."""
    with _open(data, database, writing=False) as tx:
        _, rows = queries.book(tx, SYSTEM)
        history = queries.history(tx, key)
    row = next((row for row in rows if row.rule.key == key), None)
    if row is None:
        raise NoSuchRule(f"There is no rule {plain(key)}: `fettle rules list {data}` shows them.")
    if as_json:
        typer.echo(json.dumps(_object(row) | {"history": [_change(change) for change in history]}))
        return
    rule = row.rule
    for line in (
        f"{rule.title}  ({rule.key})",
        f"  Raises {row.raises}; clears {row.clears}.",
        f"  For {row.whom}; {rule.severity}; {'on' if rule.enabled else 'switched off'}; {row.open_faults} open faults.",
        f"  {rule.meaning}",
        f"  Do this first: {rule.first_step}",
        f"  Source: {rule.source}",
        *(
            f"  Version {one.version}, {stamp(one.at)}, {one.actor}: {one.kind}. {' '.join(one.words)} {one.why}"
            for one in history
        ),
    ):
        typer.echo(plain(line.rstrip()))


@rules_app.command("export")
def export_rules(data: Data, database: Database = None) -> None:
    """Print the rule book as JSON, as `import` takes it."""
    with _open(data, database, writing=False) as tx:
        version, rows = queries.book(tx, SYSTEM)
        whole = queries.policy_of(tx, version) or Policy(1)
    document = to_mapping(whole) | {"rules": [to_mapping(Policy(1, (row.rule,)))["rules"][0] for row in rows]}
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False))


@rules_app.command("import")
def import_rules(
    data: Data,
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    why: Why,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Put an exported rule book in force, as a new version."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RuleBookError(f"{file} is not JSON: {error}.") from error
    with _open(data, database) as tx:
        _print_version(actions.take_over(tx, SYSTEM, document, why, clock.utc_now()), as_json=as_json)


@rules_app.command("versions")
def list_versions(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List the versions, the newest first, with what each changed and how many PCs judge by it."""
    with _open(data, database, writing=False) as tx:
        rows = queries.versions(tx, SYSTEM, limit=LIMIT).rows
        spreading = queries.spreading(tx, SYSTEM)
    if as_json:
        holders = {name: getattr(spreading, name) for name in ("version", "endpoints", "confirmed", "under_way", "away")}
        versions = [
            {"version": row.version, "at": stamp(row.at), "actor": row.actor, "rules": row.rules, "endpoints": row.endpoints,
             "changes": [_change(change) for change in row.changes]}
            for row in rows
        ]  # fmt: skip
        typer.echo(json.dumps({"versions": versions, "holders": holders}))
        return
    for row in rows:
        typer.echo(
            plain(f"{row.version:5}  {stamp(row.at)}  {row.actor:16}  {row.rules} rules, {row.endpoints} PCs judge by it")
        )
        for change in row.changes:
            typer.echo(plain(f"         {change.rule}: {change.kind}. {' '.join(change.words)}".rstrip()))


@rules_app.command("roll-back")
def roll_back(
    data: Data,
    version: Annotated[int, typer.Argument(metavar="VERSION")],
    why: Why,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Put an earlier version's rules in force again, as a new version."""
    with _open(data, database) as tx:
        made = actions.roll_back(tx, SYSTEM, version, Edit(why), clock.utc_now())
    _print_version(made, as_json=as_json)


def _print_version(version: int, *, as_json: bool) -> None:
    typer.echo(json.dumps({"version": version}) if as_json else f"Version {version} is in force.")


def _object(row: RuleRow) -> dict[str, Any]:
    words = {"raises": row.raises, "clears": row.clears, "whom": row.whom, "own": row.own, "open_faults": row.open_faults}
    return {"rule": to_mapping(Policy(1, (row.rule,)))["rules"][0], **words}


def _change(change: ChangeRow) -> dict[str, Any]:
    return asdict(change) | {"at": stamp(change.at)}


@contextlib.contextmanager
def _open(data: Path, database: str | None, *, writing: bool = True) -> Iterator[sa.Connection]:
    settings = load(data, database=database)
    check_version(settings)
    engine = db.open_engine(settings.database_url, readonly=not writing)
    try:
        with engine.begin() as tx:
            yield tx
    finally:
        engine.dispose()
