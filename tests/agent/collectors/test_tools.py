"""Starting tools: where they are found, how they are bounded, and the words for each failure."""

import time

import pytest
from fettle_agent.collectors import CollectError, tools


def test_output_is_what_the_tool_printed(install):
    install("say", 'echo "$1 in $LC_ALL"; echo aside >&2')

    assert tools.run("say", "hello") == "hello in C\n"


def test_missing_tool_is_named(install):
    with pytest.raises(CollectError, match=r"^nosuchtool is not installed$"):
        tools.run("nosuchtool")


def test_failed_tool_tells_its_status(install):
    install("fail", "exit 7")

    with pytest.raises(CollectError, match=r"^fail failed with status 7$"):
        tools.run("fail")
    assert tools.run("fail", accept=(7,)) == ""
    assert tools.run("fail", accept=None) == ""
    assert tools.ended("fail") == (7, "")


def test_slow_tool_is_ended_with_all_that_it_started(install):
    install("slow", "sleep 30 & sleep 30")
    began = time.monotonic()

    with pytest.raises(CollectError, match=r"^slow took longer than 0\.2 s$"):
        tools.run("slow", timeout_s=0.2)
    assert time.monotonic() - began < 5


def test_endless_output_is_cut(install, monkeypatch):
    monkeypatch.setattr(tools, "MAX_OUTPUT_BYTES", 10_000)
    install("chatter", "while :; do echo y; done")

    with pytest.raises(CollectError, match=r"^chatter printed more than 10000 bytes$"):
        tools.run("chatter", timeout_s=20)


def test_tool_that_cannot_be_started_is_told(install):
    install("broken", "").write_text("#!/no/such/interpreter\n")

    with pytest.raises(CollectError, match=r"^broken could not be started: "):
        tools.run("broken")


def test_output_that_is_not_text_does_no_harm(install):
    install("binary", r"printf '\377\376ok'")

    assert tools.run("binary") == "��ok"


def test_no_tool_is_taken_from_the_path_of_a_user(tmp_path, monkeypatch):
    (tmp_path / "planted").write_text("#!/bin/sh\necho planted\n")
    (tmp_path / "planted").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert tools.find("planted") is None
