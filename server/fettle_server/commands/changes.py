"""`fettle change ...`: requests for change, from the server's own command line.

Decisions are a person's also here: `--as` names who decides, so that duties stay apart.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer

from fettle_server import clock
from fettle_server.change.requests import actions, queries, templates
from fettle_server.change.requests.queries import ChangeFilter
from fettle_server.change.requests.schedule import as_ics, schedule
from fettle_server.change.requests.statistics import statistics
from fettle_server.change.requests.views import ChangeDetail, Proposal
from fettle_server.change.rules import ChangeError, ChangeKind, Outcome, Step
from fettle_server.commands import changing
from fettle_server.commands.listing import AsJson, Data, Database, every, plain, print_document, print_table, reading, stamp
from fettle_server.commands.people import writing
from fettle_server.config import load
from fettle_server.estate.people import queries as people
from fettle_server.estate.people.rules import SYSTEM, PeopleError, Person
from fettle_server.estate.tables import Endpoint
from fettle_server.notify.sending import console_address
from fettle_server.paging import LIMIT

app = typer.Typer()
change_app = typer.Typer(no_args_is_help=True, help="Requests for change.")
template_app = typer.Typer(no_args_is_help=True, help="Standard changes, approved beforehand.")
app.add_typer(change_app, name="change")
change_app.add_typer(template_app, name="template")

Number = Annotated[int, typer.Argument(metavar="N", help="The change's number.")]
As = Annotated[str, typer.Option("--as", metavar="NAME", help="Who does it: a person's name, as at the sign-in.")]
MaybeAs = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who does it; left out: the server itself.")]
Why = Annotated[str, typer.Option(metavar="TEXT", help="Why; the next person will ask.")]
Steps = Annotated[Path | None, typer.Option("--steps", metavar="FILE", help="The steps as JSON instead (docs/changes.md).")]
Plan = Annotated[Path | None, typer.Option("--plan", metavar="FILE", help="The rollout's rings as JSON (docs/rollouts.md).")]
Schools = Annotated[list[str] | None, typer.Option("--school", metavar="NAME", help="Its PCs; may be repeated.")]
Endpoints = Annotated[
    list[str] | None, typer.Option("--endpoint", metavar="NAME", help="A PC, by name or id; may be repeated.")
]
Packages = Annotated[list[str] | None, typer.Option("--package", metavar="NAME[=VERSION]", help="May be repeated.")]


class States(StrEnum):
    """The changes that a list shows."""

    OPEN = "open"
    ALL = "all"


@change_app.command("propose")
def propose(
    data: Data,
    title: Annotated[str, typer.Option(metavar="TEXT", help="What it is, in a line.")],
    why: Why,
    school: Schools = None,
    endpoint: Endpoints = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="All schools.")] = False,
    provider: Annotated[str, typer.Option(metavar="NAME", help="apt, dnf, windows, winget, choco, ...")] = "",
    package: Packages = None,
    install: Annotated[bool, typer.Option("--install", help="Also where the package is not there yet.")] = False,
    reboot: Annotated[bool, typer.Option("--reboot", help="Restart the PCs at the end.")] = False,
    steps: Steps = None,
    plan: Plan = None,
    kind: Annotated[ChangeKind, typer.Option(help="How it is decided.")] = ChangeKind.NORMAL,
    template: Annotated[int | None, typer.Option(metavar="N", help="The template of a standard change.")] = None,
    any_time: Annotated[bool, typer.Option("--any-time", help="Also outside the change windows, in lessons.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    who: MaybeAs = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Propose a change: shows its risk and who must decide, and asks before it is made."""
    done, rings = _steps(steps, provider, package or [], install=install, reboot=reboot), _rings(plan)
    with reading(data, database) as tx:  # whoever is asked may think as long as they like: no lock is held meanwhile
        person = _person(tx, who) if who else SYSTEM
        reach = _reach(tx, school or [], endpoint or [], everywhere=everywhere)
        wanted = Proposal(kind, title, why, reach, done, template_id=template, any_time=any_time, rollout=rings)
        seen = actions.preview(tx, person, wanted, clock.utc_now())
    if seen.refusals:
        raise ChangeError(" ".join(seen.refusals))
    if not as_json:
        changing.print_preview(seen)
    if not yes and not as_json:
        typer.confirm("Propose it?", abort=True)
    with writing(data, database) as tx:
        change_id = actions.propose(tx, person, wanted, clock.utc_now())
        found = _change(tx, change_id)
    if as_json:
        typer.echo(json.dumps(changing.detail_object(found)))
    else:
        typer.echo(f"Change {change_id} is {found.row.state}: `fettle change show {data} {change_id}` tells of it.")


@change_app.command("list")
def list_changes(
    data: Data,
    state: Annotated[States, typer.Option(help="Which changes.")] = States.OPEN,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List changes, newest first."""
    wanted = ChangeFilter(state="open" if state is States.OPEN else "")
    with reading(data, database) as tx:
        rows = every(lambda after: queries.changes(tx, SYSTEM, wanted, after, LIMIT))
        if as_json:
            print_document("changes", map(changing.change_object, rows))
        else:
            print_table(changing.HEAD, map(changing.cells, rows))


@change_app.command("show")
def show(data: Data, number: Number, as_json: AsJson = False, database: Database = None) -> None:
    """Show one change with its decisions, its rollouts, its incidents and its record."""
    with reading(data, database) as tx:
        found = _change(tx, number)
    if as_json:
        typer.echo(json.dumps(changing.detail_object(found)))
    else:
        changing.print_change(found)


StepOption = Annotated[Step, typer.Option("--step", help="Which decision.")]
OfSchool = Annotated[str | None, typer.Option("--school", metavar="NAME", help="Of the final step: for which school.")]


@change_app.command("approve")
def approve(
    data: Data, number: Number, step: StepOption, who: As,
    why: Annotated[str, typer.Option(metavar="TEXT", help="What speaks for it.")] = "",
    school: OfSchool = None, database: Database = None,
) -> None:  # fmt: skip
    """Say yes to one step of a change."""
    _decide(data, number, step, who, why, school, database, approved=True)


@change_app.command("reject")
def reject(
    data: Data, number: Number, step: StepOption, who: As, why: Why, school: OfSchool = None, database: Database = None
) -> None:
    """Say no to one step of a change, with a reason; it is over then."""
    _decide(data, number, step, who, why, school, database, approved=False)


@change_app.command("withdraw")
def withdraw(data: Data, number: Number, who: As, why: Why, database: Database = None) -> None:
    """Take a change back before anything was done."""
    with writing(data, database) as tx:
        actions.withdraw(tx, _person(tx, who), number, why, clock.utc_now())
    typer.echo(f"Change {number} is withdrawn.")


@change_app.command("review")
def review(
    data: Data, number: Number, who: As,
    outcome: Annotated[Outcome, typer.Option(help="What came of it.")],
    text: Annotated[str, typer.Option(metavar="TEXT", help="What came of it, in words.")],
    lessons: Annotated[str, typer.Option(metavar="TEXT", help="What was learned.")] = "",
    database: Database = None,
) -> None:  # fmt: skip
    """Write down what came of a change, and close it."""
    with writing(data, database) as tx:
        actions.review(tx, _person(tx, who), number, outcome, text, lessons, clock.utc_now())
    typer.echo(f"Change {number} is closed: {outcome}.")


@change_app.command("stats")
def stats(
    data: Data,
    since: Annotated[str, typer.Option(metavar="DATE", help="The first day; left out: 90 days ago.")] = "",
    until: Annotated[str, typer.Option(metavar="DATE", help="The last day; left out: today.")] = "",
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """FITS's change statistics: of all schools, then of each."""
    now = clock.utc_now()
    last = _day(until) + dt.timedelta(days=1) if until else now
    first = _day(since) if since else last - dt.timedelta(days=90)
    with reading(data, database) as tx:
        rows = statistics(tx, SYSTEM, first, last)
    if as_json:
        document = {"since": stamp(first), "until": stamp(last), "statistics": [*map(changing.statistics_object, rows)]}
        typer.echo(json.dumps(document))
    else:
        changing.print_statistics(rows)


@change_app.command("calendar")
def calendar(
    data: Data,
    days: Annotated[int, typer.Option(min=1, max=400, help="How far ahead.")] = 56,
    ics: Annotated[bool, typer.Option("--ics", help="As an iCalendar file.")] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """The forward schedule: changes, freezes and exams."""
    now, settings = clock.utc_now(), load(data, database=database)
    with reading(data, database) as tx:
        items = schedule(tx, SYSTEM, now - dt.timedelta(days=1), now + dt.timedelta(days=days))
    if ics:
        typer.echo(as_ics(items, "Forward schedule of changes", console_address(settings), now).decode(), nl=False)
        return
    objects = [
        {"kind": one.kind, "title": one.title, "school": one.school, "starts_at": stamp(one.starts_at),
         "ends_at": stamp(one.ends_at), "change_id": one.change_id, "state": one.state}
        for one in items
    ]  # fmt: skip
    if as_json:
        print_document("schedule", objects)
        return
    for one in items:
        where = one.school or "all schools"
        typer.echo(plain(f"{stamp(one.starts_at)}  {one.kind:7} {where:28} {one.title} {one.state}".rstrip()))


@template_app.command("list")
def list_templates(data: Data, as_json: AsJson = False, database: Database = None) -> None:
    """List the templates of standard changes, those that can be used first."""
    with reading(data, database) as tx:
        rows = templates.templates(tx, clock.utc_now())
    if as_json:
        print_document("templates", map(changing.template_object, rows))
    else:
        print_table(changing.TEMPLATE_HEAD, map(changing.template_cells, rows))


@template_app.command("add")
def add_template(
    data: Data,
    name: Annotated[str, typer.Option(metavar="TEXT")],
    who: As,
    why: Why,
    plan: Annotated[str, typer.Option(metavar="TEXT", help="How it is done.")],
    back_out: Annotated[str, typer.Option(metavar="TEXT", help="How it is undone.")],
    days: Annotated[int, typer.Option(min=1, max=400, help="How long the approval holds.")] = 365,
    limits: Annotated[str, typer.Option(metavar="JSON", help='Such as {"pcs": 200, "providers": ["apt"]}.')] = "{}",
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Approve changes of one kind beforehand."""
    try:
        said = json.loads(limits)
    except ValueError as error:
        raise ChangeError("The limits are a JSON object.") from error
    if not isinstance(said, dict):
        raise ChangeError("The limits are a JSON object.")
    now = clock.utc_now()
    with writing(data, database) as tx:
        person, expires_at = _person(tx, who), now + dt.timedelta(days=days)
        number = templates.add_template(tx, person, name, why, plan, back_out, said, expires_at, now)
        row = templates.template(tx, number, now)
    if as_json and row is not None:
        typer.echo(json.dumps(changing.template_object(row)))
    else:
        typer.echo(f"Template {number} may be used until {expires_at.date()}.")


@template_app.command("withdraw")
def withdraw_template(data: Data, number: Number, who: As, why: Why, database: Database = None) -> None:
    """No further change may follow that template."""
    with writing(data, database) as tx:
        templates.withdraw_template(tx, _person(tx, who), number, why, clock.utc_now())
    typer.echo(f"Template {number} is withdrawn.")


def _decide(
    data: Path, number: int, step: Step, who: str, why: str, school: str | None, database: str | None, *, approved: bool
) -> None:
    with writing(data, database) as tx:
        school_id = _schools(tx, [school])[0] if school else None
        state = actions.decide(tx, _person(tx, who), number, step, approved, why, clock.utc_now(), school_id)
    typer.echo(f"Change {number} is {state}.")


def _change(tx: sa.Connection, number: int) -> ChangeDetail:
    found = queries.change(tx, SYSTEM, number)
    if found is None:
        raise ChangeError(f"There is no change {number}: `fettle change list DIR --state all` lists them.")
    return found


def _person(tx: sa.Connection, name: str) -> Person:
    found = people.person_named(tx, name.strip())
    if found is None:
        raise PeopleError(f"There is nobody active named {plain(name)}: `fettle user list DIR` shows who there is.")
    return found


def _reach(tx: sa.Connection, schools: list[str], endpoints: list[str], *, everywhere: bool) -> dict[str, Any]:
    if everywhere == bool(schools or endpoints):
        raise ChangeError("Say whom it reaches: --school, --endpoint, or --everywhere.")
    return {"schools": _schools(tx, schools), "endpoints": [_endpoint(tx, one) for one in endpoints]}


def _schools(tx: sa.Connection, names: list[str]) -> list[int]:
    known = people.schools_named(tx, SYSTEM, tuple(names))
    missing = [name for name in names if name not in known]
    if missing:
        raise ChangeError(f"There is no school named {plain(missing[0])}.")
    return [known[name] for name in names]


def _endpoint(tx: sa.Connection, name: str) -> str:
    is_it = sa.or_(Endpoint.id == name, Endpoint.name == name)
    found = list(tx.scalars(sa.select(Endpoint.id).where(is_it, Endpoint.revoked_at.is_(None)).limit(2)))
    if len(found) != 1:
        word = "several PCs are" if found else "no PC is"
        raise ChangeError(f"{word} named {plain(name)}: `fettle endpoints DIR` lists them with their ids.".capitalize())
    return str(found[0])


def _steps(
    file: Path | None, provider: str, packages: Iterable[str], *, install: bool, reboot: bool
) -> tuple[dict[str, Any], ...]:
    """The steps of a file, or those that bring the named packages."""
    named = [dict(zip(("name", "version"), one.split("=", 1), strict=False)) for one in packages]
    if (file is None) == (not named):
        raise ChangeError("Say what is done: --provider and --package, or --steps with a file.")
    if file is not None:
        said = _read_json(file)
        if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
            raise ChangeError(f"{file} holds no list of steps.")
        return tuple(said)
    if not provider:
        raise ChangeError("Say --provider: apt, dnf, windows, winget, choco, softwareupdate, brew, flatpak or snap.")
    brought = {"kind": "install" if install else "upgrade", "provider": provider, "packages": named}
    return (brought, {"kind": "reboot"}) if reboot else (brought,)


def _rings(file: Path | None) -> dict[str, Any]:
    """A rollout's plan in a file; what it does not say is as usual."""
    said = {} if file is None else _read_json(file)
    if not isinstance(said, dict):
        raise ChangeError(f"{file} holds no plan: a JSON object.")
    return said


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        raise ChangeError(f"{file} is no JSON file.") from error


def _day(text: str) -> dt.datetime:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ChangeError("A day is written 2026-11-23.")
    try:
        return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), dt.UTC)
    except ValueError as error:
        raise ChangeError(f"There is no day {text}.") from error
