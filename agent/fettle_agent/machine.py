"""Who this machine says that it is, and how it reaches its server."""

from __future__ import annotations

import socket
from pathlib import Path

from fettle_protocol.v1 import link_pb2

from fettle_agent import identity
from fettle_agent.config import Settings
from fettle_agent.link import Target
from fettle_agent.place import fingerprint, here
from fettle_agent.proxy import choose

VERSION = "0.1.0"


def describe() -> link_pb2.Machine:
    """The machine as it goes to the server; raw identifiers stay here."""
    place = here()
    return link_pb2.Machine(
        hostname=socket.gethostname()[:255],
        os=place.system(),
        os_version=place.os_version()[:200],
        fingerprint=fingerprint(place.machine_marks(), place.installation_mark()),
        agent_version=VERSION,
    )


def server_of(known: identity.Identity, settings: Settings) -> str:
    """The server's address: the setting, else enrolment's."""
    return settings.server or known.server


def target(state: Path, known: identity.Identity, settings: Settings) -> Target:
    """The server as this machine reaches it, with the files read anew.

    Raises:
        OSError: a file of the identity is gone.
    """
    address = server_of(known, settings)
    return Target(
        address=address,
        tls_name=settings.tls_name or known.tls_name,
        ca_pem=identity.authority(state, settings.ca),
        identity_pem=identity.key_and_certificate(state),
        proxy=choose(settings.proxy or known.proxy, address),
    )
