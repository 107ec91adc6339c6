"""The agent's settings: agent.toml in the state folder, the environment over it, one table of them all.

Owns names, defaults and checks. Does not own what enrolment decided (identity) nor what the server says (policy).
docs/agent-settings.md is this module's table, printed; a test compares them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fettle_agent import log
from fettle_agent.errors import ConfigError

FILE_NAME = "agent.toml"
PREFIX = "FETTLE_AGENT_"


@dataclass(frozen=True, slots=True)
class Timing:
    """What a person may say of one collector; None leaves the collector's own."""

    enabled: bool = True
    every_s: float | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, checked; the defaults are those of an agent that nobody configured."""

    server: str = ""
    proxy: str = ""
    ca: str = ""
    tls_name: str = ""
    services: tuple[str, ...] = ()
    interval_factor: float = 1.0
    cpu_budget_percent: float = 2.0
    memory_budget_mib: float = 80.0
    spool_max_mib: float = 64.0
    log_level: str = "info"
    collectors: Mapping[str, Timing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: how the value is read, and what it means to the person who sets it."""

    name: str
    read: Callable[[Any], Any]
    meaning: str


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value.strip()


def _address(value: Any) -> str:
    text = _text(value)
    host, colon, port = text.rpartition(":")
    if text and not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("must be HOST:PORT")
    return text


def _names(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("must be a list of names (in the environment: separated by commas)")
    return tuple(name.strip() for name in names if name.strip())


def _positive(value: Any) -> float:
    number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    if not 0 < number < 1e9:
        raise ValueError("must be a number above 0")
    return number


def _level(value: Any) -> str:
    if value not in log.LEVELS:
        raise ValueError(f"must be one of {', '.join(log.LEVELS)}")
    return str(value)


TABLE: tuple[Setting, ...] = (
    Setting("server", _address, "HOST:PORT of the server; empty: the one that the machine was enrolled with"),
    Setting("proxy", _text, "http://[USER:PASSWORD@]HOST:PORT to go through; empty: what the environment says; none: no proxy"),
    Setting("ca", _text, "file of the certificate authorities to trust; empty: those that enrolment gave"),
    Setting("tls_name", _text, "name that the server's certificate must carry; empty: the one found at enrolment"),
    Setting("services", _names, "services that should be running here, beside those of the server's policy"),
    Setting("interval_factor", _positive, "stretches (over 1) or shortens (under 1) the interval of every collector"),
    Setting(
        "cpu_budget_percent", _positive, "percent of one core above which, over a minute, slow collectors are run less often"
    ),
    Setting("memory_budget_mib", _positive, "resident MiB above which slow collectors are run less often"),
    Setting("spool_max_mib", _positive, "MiB of unsent events and history that are kept on disk"),
    Setting("log_level", _level, "debug, info, warning or error"),
)
_TIMING: tuple[Setting, ...] = (
    Setting("enabled", bool, "false: this collector never runs"),
    Setting("every_s", _positive, "seconds from one run to the next, instead of the collector's own"),
    Setting("timeout_s", _positive, "seconds that a run may take, instead of the collector's own"),
)


def load(state: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of that state folder; a missing agent.toml means defaults.

    Raises:
        ConfigError: a file that is not TOML, an unknown name, a value that cannot be used.
    """
    path = state / FILE_NAME
    values = _file(path)
    collectors = values.pop("collectors", {})
    if not isinstance(collectors, dict):
        raise ConfigError(f"{path}: collectors must be tables such as [collectors.services]")
    read = _read(values, TABLE, str(path))
    given = {
        setting.name: environment[PREFIX + setting.name.upper()]
        for setting in TABLE
        if PREFIX + setting.name.upper() in environment
    }
    read |= _read(given, TABLE, "the environment (FETTLE_AGENT_...)")
    timings = {name: Timing(**_read(table, _TIMING, f"{path} [collectors.{name}]")) for name, table in collectors.items()}
    return Settings(**read, collectors=timings)


def _file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    import tomllib  # here, because most agents have no file, and it costs memory

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; correct or remove it") from error


def _read(values: Any, table: tuple[Setting, ...], where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ConfigError(f"{where} must be a table")
    known = {setting.name: setting for setting in table}
    read = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"{where}: there is no setting {name}; see docs/agent-settings.md")
        try:
            read[name] = known[name].read(value)
        except ValueError as error:
            raise ConfigError(f"{where}: {name} {error}") from error
    return read


def table_markdown() -> str:
    """The table of every setting, as docs/agent-settings.md has it."""
    defaults = {row.name: row.default for row in fields(Settings)}
    lines = ["| agent.toml | Environment | Default | Meaning |", "|---|---|---|---|"]
    for setting in TABLE:
        default = defaults[setting.name]
        shown = (
            " ".join(default) if isinstance(default, tuple) else f"{default:g}" if isinstance(default, float) else str(default)
        )
        lines.append(
            f"| `{setting.name}` | `{PREFIX}{setting.name.upper()}` | {f'`{shown}`' if shown else ''} | {setting.meaning} |"
        )
    lines += [f"| `[collectors.NAME]` `{setting.name}` | | | {setting.meaning} |" for setting in _TIMING]
    return "\n".join(lines) + "\n"
