"""Steps on packages with a real apt: what comes along is written down as well, and comes back as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fettle_agent.jobs import packaged
from fettle_agent.jobs.book import Book
from fettle_agent.jobs.context import Context, Outcome

pytestmark = pytest.mark.root
FORWARD = "f" * 32
Do = Callable[..., Outcome]


@pytest.fixture
def do(debian: Any, tmp_path: Path) -> Do:
    """Does one step on the scratch machine, as a job of its own or of the forward manifest."""
    book = Book.open(tmp_path)

    def act(kind: str, *names: str, manifest: str = FORWARD) -> Outcome:
        said = [dict(zip(("name", "version"), name.split("="), strict=False)) for name in names]
        step = {"kind": kind, "provider": "apt", "packages": said, "manifest": FORWARD}
        context = Context(
            state=tmp_path,
            system="linux",
            book=book,
            manifest_id=manifest,
            quiet=False,
            progress=lambda _: None,
            note_process=lambda _: None,
            find_providers=lambda *_: {"apt": debian.apt},
        )
        steps = {"remove": packaged.remove, "restore": packaged.restore, "hold": packaged.hold}
        return steps.get(kind, packaged.install)(context, step)

    return act


def back(do: Do) -> Outcome:
    return do("restore", manifest="b" * 32)


def test_what_an_upgrade_brought_along_goes_back_with_it(debian: Any, do: Do) -> None:
    debian.publish(debian.build("demo", "1.0"), debian.build("part", "1.0"))
    assert do("install", "demo", "part", manifest="0" * 32).worked
    debian.publish(
        debian.build("demo", "1.1", depends="part (>= 1.1), more"), debian.build("part", "1.1"), debian.build("more", "1")
    )
    upgraded = do("upgrade", "demo=1.1")
    assert upgraded.worked, upgraded.words
    assert sorted((one["name"], one["before"], one["after"]) for one in upgraded.result["packages"]) == [
        ("demo", "1.0", "1.1"),
        ("more", "", "1"),
        ("part", "1.0", "1.1"),
    ]
    restored = back(do)
    assert restored.worked, restored.words
    assert debian.apt.installed(["demo", "part", "more"]) == {"demo": "1.0", "part": "1.0"}


def test_new_package_that_stands_in_the_way_of_the_former_version_goes_first(debian: Any, do: Do) -> None:
    debian.publish(debian.build("demo", "1.0"))
    assert do("install", "demo", manifest="0" * 32).worked
    debian.publish(debian.build("demo", "1.1", depends="more"), debian.build("more", "1", breaks="demo (<< 1.1)"))
    assert do("upgrade", "demo=1.1").worked
    restored = back(do)
    assert restored.worked, restored.words
    assert debian.apt.installed(["demo", "more"]) == {"demo": "1.0"}


def test_version_that_the_order_held_goes_back_too(debian: Any, do: Do) -> None:
    debian.publish(debian.build("demo", "1.0"))
    assert do("install", "demo", manifest="0" * 32).worked
    debian.publish(debian.build("demo", "1.1"))
    assert do("upgrade", "demo=1.1").worked
    assert do("hold", "demo").worked
    restored = back(do)
    assert restored.worked, restored.words
    assert debian.has("demo") == "1.0"


def test_what_went_along_with_a_package_comes_back_with_it(debian: Any, do: Do) -> None:
    debian.publish(debian.build("part", "1.0"), debian.build("demo", "1.0", depends="part"))
    assert do("install", "demo", manifest="0" * 32).worked
    assert do("remove", "part").worked
    assert debian.has("demo") == ""
    restored = back(do)
    assert restored.worked, restored.words
    assert debian.apt.installed(["demo", "part"]) == {"demo": "1.0", "part": "1.0"}


def test_new_package_that_others_need_by_now_stays_and_it_is_said(debian: Any, do: Do) -> None:
    debian.publish(debian.build("more", "1"), debian.build("stranger", "1", depends="more"))
    assert do("install", "more").worked
    assert do("install", "stranger", manifest="0" * 32).worked
    restored = back(do)
    assert not restored.worked
    assert "stranger would go with it" in restored.words
    assert debian.apt.installed(["more", "stranger"]) == {"more": "1", "stranger": "1"}
