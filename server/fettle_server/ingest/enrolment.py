"""The Enrolment service: machines get and renew their identity. Its work is done in a few threads, beside the event loop."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import sqlalchemy as sa
from fettle_protocol.v1 import link_pb2
from google.protobuf.message import DecodeError

from fettle_server import clock, observed
from fettle_server.change.manifests.queries import active_keys
from fettle_server.estate.enrolment import actions, rules
from fettle_server.estate.enrolment.pki import PkiError
from fettle_server.estate.enrolment.rules import EnrolmentError
from fettle_server.ingest.figures import Figures
from fettle_server.ingest.link import address_of, read_peer

ENROL = "/fettle.v1.Enrolment/Enrol"
RENEW = "/fettle.v1.Enrolment/Renew"
_THREADS = 4
_WAITING = 500
_MAX_BODY = 16 * 1024

Work = Callable[[], bytes]


class Enrolment:
    """Both calls, over an engine of their own."""

    def __init__(self, engine: sa.Engine, signing: actions.Signing, figures: Figures) -> None:
        self._engine = engine
        self._signing = signing
        self._figures = figures
        self._threads = ThreadPoolExecutor(_THREADS, "enrolment")
        self._waiting = 0

    async def enrol(self, body: bytes, context: Any) -> bytes:
        """Answer Enrol: anybody may ask, the token decides."""
        answer = await self._do(lambda: self._enrol(body), context)
        self._figures.enrolled.inc()
        return answer

    async def renew(self, body: bytes, context: Any) -> bytes:
        """Answer Renew: the certificate that the caller shows decides."""
        fingerprint, _ = read_peer(context)
        answer = await self._do(lambda: self._renew(body, fingerprint), context)
        self._figures.renewed.inc()
        return answer

    def close(self) -> None:
        """Take no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()

    async def _do(self, work: Work, context: Any) -> bytes:
        if self._waiting >= _WAITING:
            await self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "too many machines enrol at once: try again soon")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except EnrolmentError as error:
            await self._refuse(context, grpc.StatusCode.PERMISSION_DENIED, str(error))
        except (PkiError, DecodeError) as error:
            await self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except sa.exc.OperationalError:
            observed.log().exception("the store did not take an enrolment")
            await self._refuse(context, grpc.StatusCode.UNAVAILABLE, "the server's store is busy: try again soon")
        finally:
            self._waiting -= 1
        raise AssertionError("abort raises")

    async def _refuse(self, context: Any, status: grpc.StatusCode, text: str) -> None:
        facts = {"status": status.name, "reason": text, "address": address_of(context.peer())}
        observed.log().warning("an enrolment was refused", **facts)
        self._figures.refused.labels("enrolment").inc()
        await context.abort(status, text)

    def _enrol(self, body: bytes) -> bytes:
        request = link_pb2.EnrolRequest.FromString(_bounded(body))
        about = request.machine
        machine = rules.describe(
            hostname=about.hostname,
            system=about.os,
            system_version=about.os_version,
            fingerprint=about.fingerprint,
            agent_version=about.agent_version,
        )
        with self._engine.begin() as tx:
            enrolled = actions.enrol(tx, self._signing, request.token, request.csr_der, machine, clock.utc_now())
            signers = active_keys(tx)
        observed.log().info("a machine was enrolled", endpoint_id=enrolled.endpoint_id)
        return link_pb2.EnrolResponse(
            endpoint_id=enrolled.endpoint_id,
            certificate_pem=enrolled.certificate.pem,
            ca_pem=self._signing.authority.pem,
            school=enrolled.school,
            signers=signers,
        ).SerializeToString()

    def _renew(self, body: bytes, fingerprint: str) -> bytes:
        request = link_pb2.RenewRequest.FromString(_bounded(body))
        with self._engine.begin() as tx:
            issued = actions.renew(tx, self._signing, fingerprint, request.csr_der, clock.utc_now())
        return link_pb2.RenewResponse(certificate_pem=issued.pem, ca_pem=self._signing.authority.pem).SerializeToString()


def signing_of(authority: Any, certificate_days: int) -> actions.Signing:
    """What signs, as the settings have it."""
    return actions.Signing(authority, dt.timedelta(days=certificate_days))


def _bounded(body: bytes) -> bytes:
    if len(body) > _MAX_BODY:
        raise PkiError("the request is too large")
    return body
