"""Going to sleep and waking: who asks that the server be told first, and the notice that the machine slept.

Owns the file by which `fettle-agent sleeping` asks the running agent. When the machine sleeps is the system's business: on
Linux a hook of systemd runs that command, on Windows the place calls back.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from fettle_agent import status
from fettle_agent.errors import AgentError
from fettle_agent.place import Place

FILE_NAME = "sleeping"
WOKE_AFTER_S = 5.0
TELL_WITHIN_S = 2.0
"""Nothing may keep a machine awake for longer."""
_POLL_S = 0.05


class Sleep:
    """One agent's view of its machine's sleep."""

    def __init__(self, state: Path, place: Place) -> None:
        self._file = os.fspath(state / FILE_NAME)
        self._place = place
        self._slept_s = place.slept_s()
        self._asked, self._settled = threading.Event(), threading.Event()
        self._begun_s: float | None = None
        self._forget_file()

    def woke(self) -> float:
        """How long the machine slept since this was last asked; 0 where it did not."""
        before_s, self._slept_s = self._slept_s, self._place.slept_s()
        slept_s = self._slept_s - before_s
        return slept_s if slept_s > WOKE_AFTER_S else 0.0

    def falls(self, now_s: float) -> bool:
        """True once when the machine is about to sleep."""
        asked = self._asked.is_set() or os.path.exists(self._file)  # noqa: PTH110 - each second, a tenth of pathlib's cost
        if not asked or self._begun_s is not None:
            return False
        self._begun_s = now_s
        return True

    def settle(self, now_s: float, *, is_told: bool) -> None:
        """Let the machine sleep once the server knows, or cannot be told in time."""
        if self._begun_s is not None and (is_told or now_s - self._begun_s >= TELL_WITHIN_S):
            self._begun_s = None
            self._forget_file()
            self._asked.clear()
            self._settled.set()

    def hold(self) -> None:
        """From a thread of the system's: the machine is about to sleep; returns when it may."""
        self._settled.clear()
        self._asked.set()
        self._settled.wait(TELL_WITHIN_S)

    def _forget_file(self) -> None:
        try:
            os.unlink(self._file)  # noqa: PTH108 - as above
        except OSError:
            return


def sleeping(state: Path) -> str:
    """Have the running agent tell the server that this machine goes to sleep; the sentence that says what came of it.

    Raises:
        AgentError: no agent runs on that state folder, or its folder cannot be written.
    """
    if not status.is_running(state):
        raise AgentError(f"no agent runs on {state}: there is nobody to tell the server")
    file = state / FILE_NAME
    try:
        file.touch()
    except OSError as error:
        raise AgentError(f"{file} cannot be made ({error.strerror}): run this as the account that runs the agent") from error
    end_s = time.monotonic() + TELL_WITHIN_S + 1
    while time.monotonic() < end_s:
        if not file.exists():
            return "the agent has told that this machine goes to sleep, or will once it is connected"
        time.sleep(_POLL_S)
    file.unlink(missing_ok=True)
    return "the agent did not answer in time; nothing keeps this machine from going to sleep"
