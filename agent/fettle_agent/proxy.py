"""Which HTTP proxy to go through: the setting, else what the environment says, with its exceptions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from fettle_agent.errors import ConfigError

NONE = "none"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy's address and, where it asks for them, "user:password"."""

    host: str
    port: int
    credentials: str = ""


def choose(setting: str, server: str, environment: Mapping[str, str] = os.environ) -> str:
    """The URL of the proxy to the server, "" for the direct way."""
    if setting:
        return "" if setting == NONE else with_scheme(setting)
    host = server.rpartition(":")[0].strip("[]").lower()
    lowered = {name.lower(): value for name, value in environment.items()}
    if _excepted(host, lowered.get("no_proxy", "")):
        return ""
    found = next((lowered[name] for name in ("grpc_proxy", "https_proxy", "http_proxy") if lowered.get(name)), "")
    return with_scheme(found) if found else ""


def with_scheme(url: str) -> str:
    """The URL with http:// before it where the user left that out."""
    return url if "://" in url else f"http://{url}"


def parse(url: str) -> Proxy:
    """The parts of a proxy's URL.

    Raises:
        ConfigError: not an http URL with a host.
    """
    scheme, _, rest = with_scheme(url).partition("://")
    credentials, _, address = rest.rstrip("/").rpartition("@")
    host, colon, port = address.rpartition(":")
    if scheme != "http" or not (host if colon else address) or (colon and not port.isdigit()):
        raise ConfigError(f"the proxy must be http://[USER:PASSWORD@]HOST:PORT, not {scheme}://{address}")
    return Proxy(host if colon else address, int(port) if colon else 80, credentials)


def _excepted(host: str, exceptions: str) -> bool:
    names = [name.strip().lower().lstrip(".") for name in exceptions.split(",") if name.strip()]
    return any(name == "*" or host == name or host.endswith("." + name) for name in names)
