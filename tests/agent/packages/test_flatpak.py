"""flatpak for real, with a repository made here and a system folder of its own."""

import functools
import http.server
import shutil
import subprocess
import threading
import time

import pytest
from fettle_agent.packages import Unsupported, Wanted, running
from fettle_agent.packages.flatpak import Flatpak, parse

APP = "org.fettle.Demo"


class Remote:
    """A repository, served over HTTP, with a runtime and one application."""

    def __init__(self, folder):
        self.folder, self.repository = folder, folder / "repository"
        runtime = folder / "runtime"
        (runtime / "usr").mkdir(parents=True)
        (runtime / "files").mkdir()
        (runtime / "metadata").write_text("[Runtime]\nname=org.fettle.Platform\n")
        self.tool("build-export", "--runtime", str(self.repository), str(runtime), "stable")

    def publish(self, content):
        app = self.folder / "app"
        shutil.rmtree(app, ignore_errors=True)
        (app / "files").mkdir(parents=True)
        (app / "export").mkdir()
        (app / "files/demo").write_text(content)
        (app / "metadata").write_text(
            f"[Application]\nname={APP}\nruntime=org.fettle.Platform/x86_64/stable\nsdk=org.fettle.Platform/x86_64/stable\n"
        )
        self.tool("build-export", str(self.repository), str(app), "stable")
        self.tool("build-update-repo", str(self.repository))

    def tool(self, *words):
        return subprocess.run(["flatpak", *words], check=True, capture_output=True, text=True).stdout


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        """Say nothing."""


@pytest.fixture
def remote(tmp_path, monkeypatch):
    if shutil.which("flatpak") is None:
        pytest.skip("flatpak cannot be tried for real here: it is not installed")
    for name, folder in (("FLATPAK_SYSTEM_DIR", "system"), ("HOME", "home"), ("XDG_CACHE_HOME", "cache")):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    made = Remote(tmp_path)
    made.publish("1.0")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(made.repository)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.tool("remote-add", "--system", "--no-gpg-verify", "demo", f"http://127.0.0.1:{server.server_port}")
    yield made
    server.shutdown()
    server.server_close()


@pytest.mark.root
def test_real_flatpak_updates_to_a_commit_and_goes_back(remote, tmp_path):
    flatpak = Flatpak(tmp_path / "keep")
    chosen = {"only_upgrade": False, "allow_downgrade": True, "progress": running.unwatched}
    ran = flatpak.install([Wanted(APP)], **chosen)
    assert ran.worked, ran.words
    former = flatpak.installed([APP, "org.fettle.Unknown"])
    time.sleep(1.1)  # HTTP tells changes by the second
    remote.publish("1.1")
    remote.tool("remote-ls", "--system", "--updates")

    (offer,) = flatpak.offers()
    assert (offer.name, offer.installed) == (f"{APP}//stable", former[APP])
    ran = flatpak.install([Wanted(offer.name, offer.version)], **chosen)
    assert ran.worked, ran.words
    assert flatpak.installed([offer.name]) == {offer.name: offer.version}
    assert flatpak.offers() == ()
    assert flatpak.install([Wanted(APP, former[APP])], **chosen).worked
    assert flatpak.installed([APP]) == former
    assert flatpak.hold([APP], held=True).worked
    assert flatpak.remove([APP], running.unwatched).worked
    assert flatpak.installed([APP]) == {}


def test_what_is_no_application_or_commit_is_refused(tmp_path):
    flatpak = Flatpak(tmp_path)
    for wanted in (Wanted("--help"), Wanted(APP, "1.0"), Wanted(APP, "a" * 64, "b" * 64), Wanted("a;b")):
        with pytest.raises(Unsupported):
            flatpak.install([wanted], only_upgrade=False, allow_downgrade=False, progress=running.unwatched)


def test_line_that_is_none_is_left_out():
    assert list(parse("Looking for updates…\n\tx\n")) == []
