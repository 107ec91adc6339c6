"""Enrolment: whom to trust, and a sentence for everything that can be wrong."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from fettle_agent import config, enrolment, identity
from fettle_agent.__main__ import main
from fettle_agent.enrolment import Wanted, enrol
from fettle_agent.errors import AgentError, EnrolError, PeerError
from fettle_protocol import identity as shape


@pytest.fixture
def wanted(server: Any) -> Callable[..., Wanted]:
    def make(**changes: Any) -> Wanted:
        return Wanted(**{"server": server.address, "token": server.token, "proxy": "none"} | changes)

    return make


def test_enrolled_machine_holds_a_private_key_and_whom_to_trust(tmp_path: Path, wanted: Any, authority: Any) -> None:
    known = enrol(tmp_path / "state", wanted())
    state = tmp_path / "state"
    assert (known.school, known.tls_name, identity.load(state)) == ("Bow Primary", shape.SERVER_NAME, known)
    assert identity.authority(state) == authority.pem
    secret = state / "identity.pem"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert x509.load_pem_x509_certificate(secret.read_bytes()).issuer == authority.name
    assert "PRIVATE" not in (state / "identity.json").read_text()


def test_certificate_is_renewed_when_a_third_of_its_life_is_left() -> None:
    known = identity.Identity("e", "s", "a:1", "", "", not_before_ms=0, not_after_ms=90)
    assert known.renew_at_ms() == 60


def test_renewal_makes_a_new_key_and_keeps_the_endpoint(tmp_path: Path, wanted: Any, server: Any) -> None:
    server.certificate_days = (-1, 1)
    before = enrol(tmp_path, wanted())
    key = identity.key_and_certificate(tmp_path)
    after = enrolment.renew(tmp_path, config.Settings(proxy="none"))
    assert after.endpoint_id == before.endpoint_id
    assert after.not_after_ms > before.not_after_ms
    assert identity.key_and_certificate(tmp_path) != key


@pytest.mark.parametrize("way", ["file", "fingerprint"])
def test_authority_may_be_given_by_hand(tmp_path: Path, wanted: Any, server: Any, authority: Any, way: str) -> None:
    server.token = f"fettle1-{'b' * 26}-{'0' * 32}"
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    pairs = ":".join(authority.fingerprint[at : at + 2].upper() for at in range(0, 64, 2))
    given = {"ca": str(tmp_path / "ca.pem")} if way == "file" else {"ca_fingerprint": pairs}
    assert enrol(tmp_path / "state", wanted(token=server.token, **given)).endpoint_id


def test_through_a_proxy(tmp_path: Path, wanted: Any, proxy: Any) -> None:
    enrol(tmp_path, wanted(proxy=proxy.url.replace("http://", "http://user:word@")))
    assert len(proxy.asked) == 2
    assert all(
        "Proxy-Authorization: Basic dXNlcjp3b3Jk" in asked.replace("proxy-authorization", "Proxy-Authorization")
        for asked in proxy.asked
    )
    assert identity.load(tmp_path).proxy


def refused(state: Path, wanted: Wanted) -> AgentError:
    with pytest.raises(AgentError) as raised:
        enrol(state, wanted)
    assert not (state / "identity.json").exists()
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    "words", ["this token expired at 2026-01-01 00:00 UTC: ask for a new one", "this token has been used up"]
)
def test_servers_own_words_about_the_token(tmp_path: Path, wanted: Any, server: Any, words: str) -> None:
    server.token_error = words
    error = refused(tmp_path, wanted())
    assert isinstance(error, EnrolError)
    assert words in str(error)


@pytest.mark.parametrize("token", ["", "fettle1-abc", "fettle1-!!!!-" + "0" * 32, "nonsense-" + "a" * 26 + "-" + "0" * 32])
def test_cut_token_is_noticed_before_anything_is_asked(tmp_path: Path, wanted: Any, token: str) -> None:
    assert "not a whole token" in str(refused(tmp_path, wanted(token=token)))


def test_intercepted_tls_names_the_issuer(tmp_path: Path, wanted: Any, make_authority: Any, make_server: Any) -> None:
    filter_box = make_server(make_authority("Smoothwall inspection"))
    error = refused(tmp_path, wanted(server=filter_box.address))
    assert isinstance(error, PeerError)
    assert error.code == "intercepted"
    assert "CN=Smoothwall inspection" in str(error)


def test_intercepted_tls_is_seen_with_a_ca_file_too(tmp_path: Path, wanted: Any, make_authority: Any, make_server: Any) -> None:
    (tmp_path / "ca.pem").write_bytes(make_authority("Other").pem)
    assert "TLS is intercepted" in str(refused(tmp_path, wanted(ca=str(tmp_path / "ca.pem"))))


def test_wrong_clock_is_named_with_both_times(tmp_path: Path, wanted: Any, make_server: Any) -> None:
    future = make_server(days=(400, 800))
    error = refused(tmp_path, wanted(server=future.address, token=future.token))
    assert isinstance(error, PeerError)
    assert error.code == "clock"
    assert "set the clock" in str(error)


def test_nothing_listens(tmp_path: Path, wanted: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert "nothing listens at" in str(refused(tmp_path, wanted(server=f"127.0.0.1:{port}")))


def test_name_does_not_resolve(tmp_path: Path, wanted: Any) -> None:
    assert "cannot be resolved" in str(refused(tmp_path, wanted(server="no-such-host.invalid:7443")))


def test_proxy_refuses(tmp_path: Path, wanted: Any, proxy: Any) -> None:
    proxy.answer = "407 Proxy Authentication Required"
    assert "407 Proxy Authentication Required" in str(refused(tmp_path, wanted(proxy=proxy.url)))


@pytest.fixture
def plain_web_server() -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            line.recv(4096)
            line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def test_something_else_listens(tmp_path: Path, wanted: Any, plain_web_server: str) -> None:
    assert "does not speak TLS" in str(refused(tmp_path, wanted(server=plain_web_server)))


def test_server_of_another_name_is_checked_by_its_host(tmp_path: Path, server: Any) -> None:
    leaf = x509.load_pem_x509_certificate(server.authority.server(name="school.example")[1])
    assert enrolment.tls_name(leaf) == ""


def test_half_written_identity_is_not_one(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text(json.dumps({"endpoint_id": "x"}))
    with pytest.raises(AgentError, match="enrol this machine again"):
        identity.load(tmp_path)


def test_folder_that_takes_no_file_is_found_before_the_token_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spent(*_: object) -> None:
        raise AssertionError("the server was asked")

    monkeypatch.setattr(enrolment, "enrol", spent)
    (tmp_path / "enrol.probe").mkdir()  # root writes everywhere else
    words = ["enrol", "--server", "127.0.0.1:1", "--token", "fettle1-any", "--state", str(tmp_path)]
    assert main(words) == 1
