"""What all pages share: their blueprint, pages that can be asked for in parts, values computed only when shown.

Owns how a page is answered. A page's parts are Jinja blocks whose outermost element has the block's name as its id; the
browser asks for `?part=name` again when something that concerns it happened, and morphs the answer into place.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlencode

from fettle_server.clock import now_ms
from fettle_server.db import Connection
from fettle_server.journal import queries as journal
from fettle_server.proactive import queries as proactive
from fettle_server.proactive.causes.words import advice
from flask import Blueprint, Response, current_app, render_template, request
from jinja2 import Template
from jinja2.runtime import Context

T = TypeVar("T")
pages = Blueprint("pages", __name__)

PAGE_ROWS = 50
CSV_ROWS = 50_000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def once(compute: Callable[[], T]) -> Callable[[], T]:
    """The function with its first result kept: parts share it, and a part that is not asked for costs nothing."""
    return cache(compute)


def respond(template: str, tx: Connection, **context: Any) -> str:
    """The page, or only the parts that the request names; must be called while `tx` is open."""
    rule_of = proactive.current_policy(tx).rule
    context |= {"after": journal.newest_id(tx), "rule_of": rule_of, "now_ms": now_ms}
    context["advice_of"] = lambda row: advice(rule_of(row.rule), row.scope, row.rule)
    wanted = request.args.getlist("part")
    if not wanted:
        return render_template(template, **context)
    current_app.update_template_context(context)
    source = current_app.jinja_env.get_template(template)
    view = _begun(source, context)
    shown = ["".join(source.blocks[name](view)) for name in wanted if name in source.blocks]
    return "\n".join(shown)


def _begun(source: Template, context: dict[str, Any]) -> Context:
    """A context in which what stands above the template's blocks was done: its imports, macros and values."""
    view = source.new_context(context)
    for _ in source.root_render_func(view):
        break  # at the first line of the page that it extends
    return view


def address(**changes: Any) -> str:
    """This page's address with some of its query changed (None: taken out), without marks of a page or a part."""
    query = {key: values for key, values in request.args.lists() if key not in ("after", "part", "done")}
    for key, value in changes.items():
        query.pop(key, None)
        if value is not None and value != "":
            query[key] = [str(value)]
    pairs = [(key, value) for key, values in query.items() for value in values]
    return request.path + ("?" + urlencode(pairs) if pairs else "")


def sheet(name: str, head: Iterable[str], rows: Iterable[Iterable[Any]]) -> Response:
    """A CSV file to keep; text that a spreadsheet would take for a formula is defused."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    for row in rows:
        writer.writerow([_defuse(cell) for cell in row])
    answer = Response("\ufeff" + out.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def whole(name: str, allowed: range | None = None) -> int | None:
    """The query's number of that name, or None where there is none that makes sense."""
    text = request.args.get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    value = int(text)
    return value if allowed is None or value in allowed else None


def _defuse(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
