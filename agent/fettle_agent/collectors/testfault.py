"""The test fault: lets a person see the whole walk of a fault without breaking anything.

`fettle-agent test-fault` puts the file down and takes it away; this collector only looks whether it is there, or whether the
server asked for a proof that its alerts work.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from fettle_agent.collectors import Collected, Reading, Setup

FILE_NAME = "test-fault"


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of agent.test_fault: 1 while the file is in the agent's state folder, or the server wants to see it."""
    path = os.fspath(setup.state / FILE_NAME)

    def collect() -> Collected:
        return Collected((Reading("agent.test_fault", float(os.path.exists(path) or setup.proving())),))

    return collect
