"""What stands around the agent: the operating system, proxies, and words for what the network says."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from fettle_agent import deadletters, machine, proxy
from fettle_agent.errors import ConfigError
from fettle_agent.place import fingerprint, here
from fettle_agent.words import explain

TLS = "Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:"
"""How gRPC 1.85 begins, as captured; the cases below end as it ended."""

HOLD = """
import sys
from importlib import metadata
from pathlib import Path
from fettle_agent.place import here
held = here().take_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_lock_is_seen_by_others_and_ends_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "agent.lock"
    assert not here().is_locked(lock)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    assert here().is_locked(lock)
    assert here().take_lock(lock) is None
    holder.kill()
    holder.communicate()
    assert not here().is_locked(lock)
    held = here().take_lock(lock)
    assert held is not None
    held.close()


def test_secret_is_private_and_replaced_in_one_step(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    here().write_secret(secret, b"one")
    here().write_secret(secret, b"two")
    assert here().read_secret(secret) == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert secret.stat().st_mode & 0o777 == 0o600


def test_clocks_of_the_place_agree_with_themselves() -> None:
    assert here().boot_s() > 0
    assert -0.001 < here().slept_s() <= here().boot_s()
    assert here().boot_id() == here().boot_id() != ""


def test_fingerprint_ignores_makers_placeholders_order_and_case() -> None:
    assert fingerprint(["A-1", "b", "Default string", ""]) == fingerprint(["B ", "a-1"])
    assert fingerprint(["a"]) != fingerprint(["b"])


def test_a_machine_installed_anew_is_the_same_hardware():
    assert fingerprint(["uuid"], "first installation") == fingerprint(["uuid"], "second installation")


@pytest.mark.parametrize("mark", ["", "0" * 32, "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "03000200-0400-0500-0006-000700080009"])
def test_what_many_boards_have_alike_tells_no_machine_from_another(mark):
    assert fingerprint([mark], "one") != fingerprint([mark], "two")
    assert fingerprint([mark]) == ""


@pytest.mark.parametrize(
    ("setting", "environment", "chosen"),
    [
        ("", {}, ""),
        ("proxy:3128", {}, "http://proxy:3128"),
        ("none", {"https_proxy": "http://p:1"}, ""),
        ("", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("", {"https_proxy": "http://p:1", "no_proxy": "localhost,.school.example"}, ""),
        ("", {"https_proxy": "http://p:1", "no_proxy": "other.example"}, "http://p:1"),
    ],
)
def test_proxy_is_the_settings_else_the_environments(setting: str, environment: dict[str, str], chosen: str) -> None:
    assert proxy.choose(setting, "fettle.school.example:7443", environment) == chosen


def test_proxys_parts() -> None:
    assert proxy.parse("http://user:pa:ss@host:3128/") == proxy.Proxy("host", 3128, "user:pa:ss")
    with pytest.raises(ConfigError):
        proxy.parse("socks5://host:1")


@pytest.mark.parametrize(
    ("status", "details", "code"),
    [
        ("UNAVAILABLE", "Failed to connect to remote host: Connection refused", "refused"),
        (
            "UNAVAILABLE",
            "errors resolving x.invalid:1: [field:hostname lookup error:address lookup failed for x.invalid:1]",
            "name",
        ),
        ("UNAVAILABLE", TLS + "CERTIFICATE_VERIFY_FAILED: self signed certificate in certificate chain: OK", "intercepted"),
        ("UNAVAILABLE", TLS + "CERTIFICATE_VERIFY_FAILED: certificate has expired: OK", "clock"),
        ("UNAVAILABLE", TLS + "CERTIFICATE_VERIFY_FAILED: certificate is not yet valid: OK", "clock"),
        ("UNAVAILABLE", TLS + "WRONG_VERSION_NUMBER: Invalid certificate verification context: OK", "protocol"),
        (
            "UNAVAILABLE",
            "Custom verification check failed with error: UNAUTHENTICATED: Hostname Verification Check failed.",
            "intercepted",
        ),
        ("UNAVAILABLE", "HTTP proxy returned response code 407", "proxy"),
        ("UNAVAILABLE", "UNAVAILABLE: ipv4:127.0.0.1:37811: Socket closed", "cut"),
        ("UNAUTHENTICATED", "unknown", "revoked"),
        ("UNIMPLEMENTED", "", "protocol"),
        ("INTERNAL", "odd", "internal"),
    ],
)
def test_networks_words_become_a_name_for_the_trouble(status: str, details: str, code: str) -> None:
    error = explain(status, details, "fettle:7443")
    assert error.code == code
    assert "\n" not in str(error)


def test_dead_letters_are_bounded(tmp_path: Path) -> None:
    for number in range(60):
        deadletters.set_aside(tmp_path, sequence=number, reason="no", body=b"x" * 10_000, at_ms=1)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert sum(sizes) < 3 * deadletters.MAX_BYTES


def test_version_is_the_distributions() -> None:
    assert metadata.version("fettle-agent") == machine.VERSION
