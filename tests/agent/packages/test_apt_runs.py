"""apt and dpkg for real, in a folder that they take for the machine."""

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from fettle_agent.packages import Unsupported, Wanted, running
from fettle_agent.packages.keeping import checksum

pytestmark = pytest.mark.root


def quiet(percent):
    """Nobody looks at the progress."""


def install(debian, name, version="", **options):
    sha256 = options.pop("sha256", "")
    chosen = {"only_upgrade": False, "allow_downgrade": False, "progress": quiet} | options
    return debian.apt.install([Wanted(name, version, sha256)], **chosen)


def test_package_is_installed_upgraded_and_offered_in_between(debian):
    old, new = debian.build("demo", "1.0"), debian.build("demo", "1.1")
    debian.publish(old)
    seen = []
    ran = install(debian, "demo", "1.0", progress=seen.append)
    assert ran.worked, ran.words
    assert seen == sorted(seen)
    assert 50 < seen[-1] <= 100
    debian.publish(old, new)

    (offer,) = debian.apt.offers()
    assert (offer.name, offer.installed, offer.version, offer.state) == ("demo", "1.0", "1.1", "offered")
    assert offer.title == "The demo of a test"
    assert debian.apt.download([Wanted("demo", "1.1")], quiet).worked
    assert debian.apt.offers()[0].state == "downloaded"

    ran = install(debian, "demo", "1.1", only_upgrade=True)
    assert ran.worked, ran.words
    assert "Setting up demo (1.1)" in ran.words
    assert debian.apt.installed(["demo", "unknown"]) == {"demo": "1.1"}
    assert debian.apt.offers() == ()


def test_former_version_is_brought_back_though_the_repository_dropped_it(debian):
    old, new = debian.build("demo", "1:1.0"), debian.build("demo", "1:1.1")
    debian.publish(old)
    assert install(debian, "demo").worked
    assert debian.apt.keep_former(["demo", "unknown"]) == {"demo": "", "unknown": ""}
    debian.publish(new)
    assert install(debian, "demo", "1:1.1").worked

    ran = install(debian, "demo", "1:1.0")
    assert not ran.worked
    assert "downgraded" in ran.words
    ran = install(debian, "demo", "1:1.0", allow_downgrade=True)
    assert ran.worked, ran.words
    assert debian.has("demo") == "1:1.0"


def test_version_that_nobody_has_any_more_is_named_before_it_is_needed(debian):
    debian.publish(debian.build("demo", "1.0"))
    assert install(debian, "demo").worked
    debian.publish(debian.build("demo", "1.1"))
    for file in (debian.root / "var/cache/apt/archives").glob("*.deb"):
        file.unlink()

    assert "demo 1.0 can be had nowhere any more: E: " in debian.apt.keep_former(["demo"])["demo"]


def test_what_an_upgrade_brings_along_is_known_before(debian):
    debian.publish(debian.build("demo", "1.0"), debian.build("part", "1.0"))
    assert debian.apt.install(
        [Wanted("demo"), Wanted("part")], only_upgrade=False, allow_downgrade=False, progress=quiet
    ).worked
    debian.publish(
        debian.build("demo", "1.1", depends="part (>= 1.1), more"), debian.build("part", "1.1"), debian.build("more", "1")
    )

    touched = debian.apt.touched([Wanted("demo", "1.1")], only_upgrade=True, allow_downgrade=False)
    assert sorted(touched) == ["demo", "more", "part"]
    assert set(debian.apt.keep_former(touched).values()) == {""}
    assert install(debian, "demo", "1.1").worked
    former = [Wanted("demo", "1.0"), Wanted("part", "1.0")]
    ran = debian.apt.install(former, only_upgrade=False, allow_downgrade=True, progress=quiet)
    assert ran.worked, ran.words
    assert debian.apt.remove(["more"], quiet).worked
    assert debian.apt.installed(["demo", "part", "more"]) == {"demo": "1.0", "part": "1.0"}


def test_held_package_stays_and_its_update_is_still_told(debian):
    old, new = debian.build("demo", "1.0"), debian.build("demo", "1.1")
    debian.publish(old)
    assert install(debian, "demo").worked
    assert debian.apt.hold(["demo"], held=True).worked
    debian.publish(old, new)

    ran = install(debian, "demo", "1.1")
    assert not ran.worked
    assert "Held packages were changed" in ran.words
    assert [(offer.version, offer.held) for offer in debian.apt.offers()] == [("1.1", True)]
    assert debian.apt.hold(["demo"], held=False).worked
    assert install(debian, "demo", "1.1").worked


def test_removed_package_leaves_its_neighbours(debian):
    debian.publish(debian.build("demo", "1.0"), debian.build("other", "1.0"))
    assert install(debian, "demo").worked
    assert install(debian, "other").worked

    ran = debian.apt.remove(["demo", "unknown"], quiet)
    assert ran.worked, ran.words
    assert (debian.has("demo"), debian.has("other")) == ("", "1.0")


def test_file_with_another_hash_than_the_signed_one_is_refused(debian):
    file = debian.build("demo", "1.0")
    debian.publish(file)

    ran = install(debian, "demo", "1.0", sha256="0" * 64)
    assert not ran.worked
    assert "is refused: the signed work names the file with sha256 000" in ran.words
    assert not debian.apt.download([Wanted("demo", "1.0", "0" * 64)], quiet).worked
    assert install(debian, "demo", "1.0", sha256=checksum(file)).worked


def test_upgrade_passes_by_what_is_not_there_or_as_new(debian):
    debian.publish(debian.build("demo", "1.1"))
    assert "Nothing to do" in install(debian, "demo", "1.1", only_upgrade=True).words
    assert install(debian, "demo").worked

    assert "Nothing to do" in install(debian, "demo", "1.0", only_upgrade=True).words
    assert debian.has("demo") == "1.1"


def test_package_that_nobody_offers_is_said_in_a_sentence(debian):
    debian.publish(debian.build("demo", "1.0"))

    assert install(debian, "unknown").words == "unknown: no source of this PC offers it."
    assert "Version '9' for 'demo' was not found" in install(debian, "demo", "9").words


@pytest.mark.parametrize("name", ["-f", "demo-", "demo;reboot", "$(reboot)", "demo=1", "./demo.deb", "de*", ""])
def test_name_that_apt_would_read_otherwise_is_refused(debian, name):
    with pytest.raises(Unsupported):
        install(debian, name)
    with pytest.raises(Unsupported):
        debian.apt.remove([name], quiet)
    with pytest.raises(Unsupported):
        debian.apt.hold([name], held=True)


@pytest.mark.parametrize("next_one", [("other", "1.1"), ("demo", "1.1")])
def test_run_killed_in_the_middle_is_mended_by_the_next(debian, tmp_path, next_one):
    begun = tmp_path / "begun"
    debian.publish(debian.build("demo", "1.0"), debian.build("other", "1.0"))
    assert install(debian, "demo").worked
    debian.publish(
        debian.build("demo", "1.1", postinst=f"[ -e {begun} ] || {{ touch {begun}; sleep 60; }}"), debian.build("other", "1.1")
    )
    code = f"""
    from pathlib import Path
    from fettle_agent.packages import Wanted
    from fettle_agent.packages.apt import Apt
    Apt(Path({str(debian.keep)!r}), Path({str(debian.root)!r})).install(
        [Wanted("demo", "1.1")], only_upgrade=False, allow_downgrade=False, progress=print)
    """
    agent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not begun.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    power_cut(agent)
    assert debian.status("demo") != "ii"

    ran = install(debian, *next_one, only_upgrade=next_one[0] == "demo")
    assert ran.worked, ran.words
    assert "cut off" in ran.words
    assert (debian.status("demo"), debian.status(next_one[0])) == ("ii", "ii")
    assert debian.apt.installed(["demo"]) == {"demo": "1.1"}


def power_cut(agent):
    """Kill a process and all that it started, in whatever session, at once."""
    family = [agent.pid]
    for pid in family:
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
        family += [int(child) for child in listed.split()]
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    agent.wait()
    time.sleep(0.2)


def test_package_that_can_never_be_configured_is_brought_back_all_the_same(debian):
    debian.publish(debian.build("demo", "1.0"))
    assert install(debian, "demo").worked
    assert debian.apt.keep_former(["demo"]) == {"demo": ""}
    debian.publish(debian.build("demo", "1.1", postinst="echo no good >&2; exit 3"))
    ran = install(debian, "demo", "1.1")
    assert not ran.worked
    assert "no good" in ran.words
    assert debian.apt.installed(["demo"]) == {}

    ran = install(debian, "demo", "1.0", allow_downgrade=True)
    assert ran.worked, ran.words
    assert (debian.status("demo"), debian.has("demo")) == ("ii", "1.0")


def test_lock_held_by_somebody_else_is_waited_for_and_then_said(debian, monkeypatch):
    debian.publish(debian.build("demo", "1.0"))
    monkeypatch.setattr(running, "_LOCK_PAUSE_S", 0.2)
    monkeypatch.setattr(running, "LOCK_S", 0.4)
    with (debian.root / "var/cache/apt/archives/lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        ran = install(debian, "demo")
    assert not ran.worked
    assert ran.words.startswith("Another program has held the lock")
    assert f"held by process {os.getpid()}" in ran.words
    assert install(debian, "demo").worked


def test_local_cache_is_one_file_that_can_be_taken_away(debian):
    path = debian.root / "etc/apt/apt.conf.d/30fettle-cache"
    assert debian.apt.use_cache("http://cache.school.example:3142").worked
    said = subprocess.run(["apt-config", "dump", "Acquire::http::Proxy"], capture_output=True, text=True, check=True).stdout
    assert said == 'Acquire::http::Proxy "http://cache.school.example:3142";\n'

    assert not debian.apt.use_cache('http://x";APT::Update::Pre-Invoke{"reboot"}').worked
    assert debian.apt.use_cache("").worked
    assert not path.exists()


def test_installed_package_that_waits_for_a_restart_is_told(debian):
    debian.publish(debian.build("demo", "1.0"))
    assert install(debian, "demo").worked
    (debian.root / "run/reboot-required").touch()
    (debian.root / "run/reboot-required.pkgs").write_text("demo\nnot-here\ndemo\n")

    (offer,) = debian.apt.offers()
    assert (offer.name, offer.version, offer.state) == ("demo", "1.0", "reboot pending")
