"""The table of all settings as docs/settings.md shows it; run as a module, it prints the page."""

from __future__ import annotations

from fettle_server.config import FILE_NAME, Settings

_INTRODUCTION = f"""# The server's settings

Each setting may stand in `{FILE_NAME}` in the data directory, under its name; the environment counts over the file, under
`FETTLE_` and the name in capitals (`FETTLE_LOG_LEVEL`; a list as JSON); options of `fettle serve` count over both. An unknown
name in the file, or an impossible value, is refused at the start, in words.

This page is printed by `python -m fettle_server.commands.settings_table`; a test sees that it is in step with the program.

| Setting | Default | Limits | Meaning |
|---|---|---|---|
"""


def page() -> str:
    """The whole page, in Markdown."""
    return _INTRODUCTION + "".join(_row(name) for name in Settings.model_fields if name != "data")


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    shown = "empty" if field.default in ("", []) else f"`{field.default}`"
    return f"| `{name}` | {shown} | {_limits(name)} | {_cell(field.description or '')} |\n"


def _limits(name: str) -> str:
    """The least and most that the setting's own constraints allow."""
    ends = {"ge": "from", "le": "to"}
    found = [
        f"{word} {getattr(constraint, end)}"
        for end, word in ends.items()
        for constraint in Settings.model_fields[name].metadata
        if getattr(constraint, end, None) is not None
    ]
    return " ".join(found)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
