"""A restart asks first: the warning, the deferrals and their end, as a table; and that nobody active is ever cut off early."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fettle_agent.collectors import CollectError
from fettle_agent.jobs import people
from fettle_agent.jobs.courtesy import PutOff, Rest, Restart, Sitting, Standing, Warn, next_word
from fettle_protocol.manifests import People
from hypothesis import given
from hypothesis import strategies as st

RULES = People("always", warn_s=900, deferrals=2, defer_s=3600)
ACTIVE, IDLE, UNKNOWN = Sitting(5), Sitting(7200), Sitting()


@pytest.mark.parametrize(
    ("standing", "sitting", "asked", "word"),
    [
        (Standing(), (), False, Restart()),
        (Standing(), (IDLE,), False, Warn(1_000_000 + 900_000)),
        (Standing(warned_ms=500_000), (ACTIVE,), False, Rest(1_400_000)),
        (Standing(warned_ms=500_000), (ACTIVE,), True, PutOff(1_000_000 + 3_600_000, 1, asked=True)),
        (Standing(warned_ms=100_000), (ACTIVE,), False, PutOff(1_000_000 + 3_600_000, 1, asked=False)),
        (Standing(warned_ms=100_000), (UNKNOWN,), False, PutOff(1_000_000 + 3_600_000, 1, asked=False)),
        (Standing(warned_ms=100_000), (IDLE,), False, Restart()),
        (Standing(warned_ms=100_000, deferrals=2), (ACTIVE,), True, Restart()),
        (Standing(deferrals=1, put_off_until_ms=2_000_000), (ACTIVE,), False, Rest(2_000_000)),
        (Standing(deferrals=1, put_off_until_ms=2_000_000), (), False, Restart()),
    ],
)
def test_restart_asks_first(standing: Standing, sitting: tuple[Sitting, ...], asked: bool, word: Any) -> None:
    assert next_word(RULES, standing, sitting, asked=asked, now_ms=1_000_000) == word


@given(
    st.lists(st.tuples(st.sampled_from([ACTIVE, IDLE, UNKNOWN]), st.booleans(), st.integers(1, 7_200)), max_size=40),
    st.integers(0, 5),
)
def test_nobody_active_is_cut_off_before_the_last_deferral_is_past(
    looks: list[tuple[Sitting, bool, int]], deferrals: int
) -> None:
    rules, standing, now_ms = People("always", 900, deferrals, 3600), Standing(), 1
    for sitting, asked, later_s in looks:
        word = next_word(rules, standing, (sitting,), asked=asked, now_ms=now_ms)
        if isinstance(word, Restart):
            assert standing.warned_ms
            assert now_ms - standing.warned_ms >= 900_000
            assert not sitting.is_active or standing.deferrals == deferrals
            return
        if isinstance(word, Warn):
            standing = Standing(now_ms, standing.deferrals, standing.put_off_until_ms)
        if isinstance(word, PutOff):
            standing = Standing(0, standing.deferrals + 1, word.until_ms)
        assert standing.deferrals <= deferrals
        now_ms += later_s * 1000


LOGINCTL = """Type=wayland
Class=user
State=active
IdleHint=yes
IdleSinceHintMonotonic=1000000000

Type=unspecified
Class=manager
State=active
IdleHint=no
IdleSinceHintMonotonic=0

Type=tty
Class=user
State=closing
IdleHint=no
IdleSinceHintMonotonic=0

Type=x11
Class=user
State=online
IdleHint=no
IdleSinceHintMonotonic=0
"""
"""Written from loginctl(1) and org.freedesktop.login1(5)."""

NEW_KINDS = """Type=unspecified
Class=user
State=active
IdleHint=no

Type=web
Class=user-light
State=online
IdleHint=no

Type=wayland
Class=greeter
State=active
IdleHint=no

"""
"""A sign-in whose kind logind was not told, one through a page (Cockpit), and the screen where people sign in."""

QUSER = """ USERNAME              SESSIONNAME        ID  STATE   IDLE TIME  LOGON TIME
>pupil12               console             1  Active      none   11/23/2026 8:02 AM
 teacher                                   2  Disc         1:30  11/23/2026 7:40 AM
 admin                 rdp-tcp#0           3  Active   2+01:05  11/20/2026 9:00 AM
 other                 rdp-tcp#1           4  Active         7  23.11.2026 09:00
"""
"""Written from the example in Microsoft's documentation of quser."""


def test_loginctl_tells_who_is_there_and_how_long_they_touched_nothing() -> None:
    assert people.parse_loginctl(LOGINCTL, 4_600_000_000) == (Sitting(3600.0), Sitting(0.0))


def test_session_of_a_kind_that_is_not_known_is_somebodys() -> None:
    assert people.parse_loginctl(NEW_KINDS, 1) == (Sitting(0.0), Sitting(0.0))


@pytest.mark.parametrize("system", ["linux", "windows", "macos"])
def test_somebody_whom_only_the_other_list_knows_is_there(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, f"_{system}", tuple)
    monkeypatch.setattr(people.psutil, "users", lambda: [SimpleNamespace(name="anna", terminal="seat0")])
    assert people.sitting(system) == (Sitting(),)


def test_linux_without_logind_is_asked_by_its_list_of_sign_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people.Path, "is_dir", lambda path: str(path) == "/run/systemd/seats")  # left by what runs no more
    monkeypatch.setattr(people.psutil, "process_iter", lambda _: [])
    monkeypatch.setattr(people.psutil, "users", list)
    assert people.sitting("linux") == ()


def test_linux_that_does_not_answer_counts_as_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(people), "_linux", broken)
    monkeypatch.setattr(people.psutil, "users", list)
    assert people.sitting("linux") == (Sitting(),)


def broken() -> Any:
    raise CollectError("loginctl took longer than 10 s")


def test_whoever_is_not_in_utmp_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[str]] = []
    monkeypatch.setattr(people.psutil, "users", list)
    monkeypatch.setattr(people, "_linux", lambda: (Sitting(0.0),))
    monkeypatch.setattr(people, "_worked", lambda tool, arguments: told.append([tool, *arguments]) is None)
    assert people.tell("linux", "--help\x1b[2J")[0] is True
    assert told[0] == ["wall", "School IT: --help [2J"]


def test_message_is_never_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    assert people._means("windows", "/server:other")[0][1][-1] == "School IT: /server:other"
    monkeypatch.setattr(people.Path, "glob", lambda *_: [Path("/run/user/1000/bus")])
    (_, arguments), *_ = people._desktops("-v")
    assert arguments[-3:] == ["--", "School IT", "-v"]


def test_quser_tells_idle_times_in_every_form() -> None:
    idle = [one.idle_s for one in people.parse_quser(QUSER)]
    assert idle == [0.0, 90 * 60.0, (49 * 60 + 5) * 60.0, 7 * 60.0]


def test_quser_in_a_form_that_is_not_known_counts_as_active() -> None:
    assert people.parse_quser("HEADER\n pupil somewhere\n")[0].is_active


def test_ioreg_tells_when_keyboard_or_mouse_were_touched() -> None:
    assert people.parse_ioreg('    | |   "HIDIdleTime" = 4500000000\n') == 4.5
    assert people.parse_ioreg("") is None
