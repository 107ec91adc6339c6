"""The agent's own errors. Each message is one line that says why and what to do next: it is shown to a person as it is."""

from __future__ import annotations


class AgentError(Exception):
    """The agent cannot do what was asked; the message says why and what to do."""


class ConfigError(AgentError):
    """A setting that cannot be used."""


class NotEnrolled(AgentError):
    """The state folder holds no identity."""


class EnrolError(AgentError):
    """The machine could not be enrolled, or its certificate not renewed."""


class PeerError(AgentError):
    """The server cannot be reached or is not the server: `code` names what is wrong in one word, for status and doctor."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
