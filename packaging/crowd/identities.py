"""The crowd's identities: real enrolment of many machines with one token, kept in one file for the next run.

Owns keys, requests and certificates of played machines. Does not open streams.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from fettle_protocol import identity
from fettle_protocol.v1 import link_pb2 as pb

_VISITORS = 16
_ENROL = "/fettle.v1.Enrolment/Enrol"


@dataclass(frozen=True, slots=True)
class Pass:
    """What lets one played machine in: its identity, and the spool whose events it numbers."""

    endpoint_id: str
    school: str
    key_pem: str
    certificate_pem: str
    name: str
    spool: str


async def enrol_many(
    address: str, ca_pem: bytes, *, token: str, machines: Sequence[pb.Machine], spools: Sequence[str]
) -> list[Pass]:
    """A pass for every machine, in order, by as many real Enrol calls.

    Raises:
        grpc.aio.AioRpcError: the server refused one; the details say why.
    """
    queue = deque(enumerate(zip(machines, spools, strict=True)))
    passes: dict[int, Pass] = {}

    async def visit() -> None:
        async with _channel(address, ca_pem) as channel:
            call: Any = channel.unary_unary(_ENROL)
            while queue:
                place, (machine, spool) = queue.popleft()
                passes[place] = await _enrol(call, token, machine, spool)

    await asyncio.gather(*(visit() for _ in range(_VISITORS)))
    return [passes[place] for place in range(len(machines))]


def _channel(address: str, ca_pem: bytes) -> Any:
    """A connection of a machine that has no identity yet; one call at a time on each, as from machines."""
    credentials = grpc.ssl_channel_credentials(ca_pem, *identity.visitor_credentials())
    options = (("grpc.ssl_target_name_override", identity.SERVER_NAME), ("grpc.use_local_subchannel_pool", 1))
    return grpc.aio.secure_channel(address, credentials, options)


async def _enrol(call: Any, token: str, machine: pb.Machine, spool: str) -> Pass:
    key = identity.new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "new endpoint")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    request = pb.EnrolRequest(token=token, csr_der=csr.public_bytes(serialization.Encoding.DER), machine=machine)
    answer = pb.EnrolResponse.FromString(await call(request.SerializeToString()))
    return Pass(
        endpoint_id=answer.endpoint_id,
        school=answer.school,
        key_pem=identity.key_pem(key).decode(),
        certificate_pem=answer.certificate_pem.decode(),
        name=machine.hostname,
        spool=spool,
    )


def save(path: Path, passes: Sequence[Pass]) -> None:
    """Every pass as one line of JSON, readable by its owner only: it holds private keys."""
    path.touch(mode=0o600)
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in passes))


def load(path: Path) -> list[Pass]:
    """The passes of an earlier run; none where there is no such file."""
    if not path.exists():
        return []
    return [Pass(**json.loads(line)) for line in path.read_text().splitlines()]
