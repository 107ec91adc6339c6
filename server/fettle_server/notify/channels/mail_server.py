"""Where mail is handed over: the settings mail_*, in one value."""

from __future__ import annotations

from dataclasses import dataclass

from fettle_server.config import Settings


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server. `security` is "starttls", "tls" or "none"; without a host no mail is sent."""

    host: str = ""
    port: int = 587
    security: str = "starttls"
    user: str = ""
    password: str = ""
    sender: str = ""
    certificates: str = ""
    """A PEM file of authorities to trust instead of the system's; empty: the system's."""

    @classmethod
    def of(cls, settings: Settings) -> MailServer:
        """The one that the settings name."""
        return cls(
            host=settings.mail_host,
            port=settings.mail_port,
            security=settings.mail_security,
            user=settings.mail_user,
            password=settings.mail_password,
            sender=settings.mail_from,
            certificates=settings.mail_certificates,
        )
