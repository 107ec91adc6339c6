"""The server's settings: fettle.toml in the data directory, the environment over it, the command line over both.

Owns names, defaults and meanings (docs/settings.md is printed from here). Does not open anything.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

FILE_NAME = "fettle.toml"


class SettingsError(Exception):
    """Settings that cannot be used; the message names the setting and what would do."""


class Settings(BaseSettings):
    """All settings, flat; each may stand in fettle.toml under its name or in the environment as FETTLE_<NAME>."""

    model_config = SettingsConfigDict(env_prefix="FETTLE_", extra="forbid")

    data: Path = Field(exclude=True, description="the data directory; from the command line only")
    database: str = Field("", description="SQLAlchemy URL of the store; empty: SQLite in the data directory")
    grpc: str = Field("0.0.0.0:7443", description="host:port where agents are accepted")
    http: str = Field("127.0.0.1:8080", description="host:port where the console and the API are served")
    metrics: str = Field(
        "127.0.0.1:0", description="host:port of ingest's own /metrics; port 0: any free one, scraped by the console's /metrics"
    )
    metrics_token: str = Field(
        "", description="bearer token with which the console's /metrics may be read from elsewhere; empty: this machine only"
    )
    server_names: list[str] = Field([], description="further names and addresses in the server's TLS certificate")
    grpc_certificate: str = Field("", description="PEM file of an own server certificate for agents, with its chain")
    grpc_key: str = Field("", description="PEM file of its private key")
    http_certificate: str = Field("", description="PEM file of the console's certificate: the console then speaks HTTPS")
    http_key: str = Field("", description="PEM file of its private key")
    public_url: str = Field("", description="the console's address as people type it, when a reverse proxy stands before it")
    trusted_proxies: int = Field(0, ge=0, le=5, description="reverse proxies whose X-Forwarded-* headers are believed")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error")
    log_format: str = Field(
        "auto", pattern="^(auto|json|text)$", description="json, text, or auto: text on a terminal, else json"
    )
    certificate_days: int = Field(90, ge=1, le=825, description="life of an endpoint's certificate; renewed with a third left")
    vitals_every_s: int = Field(300, ge=10, le=3600, description="slow beat on which an agent sends all readings")
    batch_linger_ms: float = Field(5, ge=0, le=1000, description="how long the writer waits for company before it commits")
    batch_limit: int = Field(2000, ge=1, le=100_000, description="messages that one transaction takes at most")
    max_streams: int = Field(25_000, ge=1, description="agents connected at a time to one ingest process")
    unknown_after_s: int = Field(180, ge=10, description="disconnected for so long, an endpoint's state is unknown")
    presence_grace_minutes: int = Field(
        5, ge=1, le=120, description="minutes that agents have to come back after the server was away, before silence counts"
    )
    reopen_within_minutes: int = Field(
        1440, ge=0, description="a PC's fault that returns so soon reopens its incident; one of many PCs within an hour at most"
    )
    close_after_days: int = Field(7, ge=0, description="a resolved incident closes after so many days")
    history_days: int = Field(400, ge=1, description="days that the packed history is kept")
    event_days: int = Field(400, ge=1, description="days that endpoint events and cleared faults are kept")
    journal_days: int = Field(730, ge=1, description="days that the journal (audit) is kept")
    notice_days: int = Field(90, ge=1, description="days that notices and what became of them are kept")
    mail_host: str = Field("", description="the mail server that takes notices; empty: no mail is sent")
    mail_port: int = Field(587, ge=1, le=65535, description="its port: 587 for starttls, 465 for tls, 25 for none")
    mail_security: str = Field(
        "starttls", pattern="^(starttls|tls|none)$", description="starttls, tls, or none (only within this machine)"
    )
    mail_user: str = Field("", description="the name to sign in with at the mail server; empty: no sign-in")
    mail_password: str = Field("", description="its password; better in the environment than in the file")
    mail_from: str = Field("", description="the address that notices come from; needed for mail")
    mail_certificates: str = Field(
        "", description="PEM file of the authorities that the mail server's certificate may come from"
    )
    proof_every_days: int = Field(
        30, ge=0, le=365, description="days between proofs that a school's alerts work; 0: none by itself"
    )
    session_hours: int = Field(12, ge=1, description="hours after which a sign-in ends in any case")
    session_idle_minutes: int = Field(120, ge=5, description="minutes without a request after which a sign-in ends")
    sign_in_limit: str = Field("10 per minute;60 per hour", description="sign-in attempts an address may make")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line first, then the environment, then the file."""
        directory = init_settings.init_kwargs.get("data", Path())  # type: ignore[attr-defined]
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=Path(directory) / FILE_NAME)

    @property
    def database_url(self) -> str:
        """Where the store is, as SQLAlchemy reads it."""
        return self.database or f"sqlite:///{self.data.resolve() / 'fettle.db'}"

    @property
    def reopen_within(self) -> dt.timedelta:
        """How soon a returning fault reopens its incident."""
        return dt.timedelta(minutes=self.reopen_within_minutes)


def load(data: Path, **overrides: Any) -> Settings:
    """The settings of a data directory; overrides that are None are left out.

    Raises:
        SettingsError: no such directory, a file that is not TOML, an unknown name or an impossible value.
    """
    if not data.is_dir():
        raise SettingsError(f"there is no data directory {data}: make one with `fettle init {data}`")
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(data=data, **given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"setting {name}: {first['msg']}; see {data / FILE_NAME} and the FETTLE_ environment") from error
    except ValueError as error:
        raise SettingsError(f"{data / FILE_NAME} is not TOML: {error}") from error


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[v6]:port".

    Raises:
        SettingsError: not of that form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"{address!r} is not an address: write host:port, such as 0.0.0.0:7443")
    return host.strip("[]"), int(port)
