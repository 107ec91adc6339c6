"""What a step knows of its job and its PC, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fettle_agent.jobs.book import FOLDER, Book
from fettle_agent.packages import Provider


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a step worked, the system's own words, and facts as JSON has them.

    `result` may hold packages: [{provider, name, before, after}], rescan: true where packages may have changed, diagnostics.
    """

    worked: bool
    words: str
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """One step's surroundings. `quiet`: an exam is on. `progress` is told percentages of the step."""

    state: Path
    system: str
    book: Book
    manifest_id: str
    quiet: bool
    progress: Callable[[int], None]
    note_process: Callable[[int], None]
    find_providers: Callable[[str, Path], Mapping[str, Provider]]

    @cached_property
    def providers(self) -> Mapping[str, Provider]:
        """The package managers that are installed here."""
        return self.find_providers(self.system, self.state / "packages")

    def private_folder(self, name: str) -> Path:
        """A fresh folder that nobody else may look into."""
        folder = self.state / FOLDER / name
        folder.mkdir(mode=0o700)
        return folder
