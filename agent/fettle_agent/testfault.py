"""`fettle-agent test-fault`: asks the running agent for a fault that breaks nothing, and waits until it has judged it."""

from __future__ import annotations

import time
from pathlib import Path

from fettle_agent import status
from fettle_agent.collectors.testfault import FILE_NAME
from fettle_agent.errors import AgentError

WAIT_S = 5.0


def test_fault(state: Path, *, clear: bool) -> str:
    """Make or end the test fault; the sentence that says what came of it.

    Raises:
        AgentError: no agent runs on that state folder, or it has not judged within five seconds.
    """
    if not status.is_running(state):
        raise AgentError(f"no agent runs on {state}: start one with fettle-agent run --state {state}")
    file = state / FILE_NAME
    try:
        file.unlink(missing_ok=True) if clear else file.touch()
    except OSError as error:
        raise AgentError(f"{file} cannot be changed ({error.strerror}): run this as the account that runs the agent") from error
    wanted = "clear" if clear else "raised"
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        told = status.read(state)
        if told.get("test_fault") == wanted:
            where = (
                "the server hears of it now" if told.get("connected") else "the server hears of it once the agent is connected"
            )
            return f"the test fault is {'cleared' if clear else 'raised'}; {where}"
        time.sleep(0.1)
    if told.get("test_fault") == "unjudged":
        raise AgentError(
            "the agent has no rule for the test fault: it needs a policy from the server first; "
            f"see fettle-agent status --state {state}"
        )
    raise AgentError(f"the agent has not judged the test fault within {WAIT_S:g} s: see fettle-agent doctor --state {state}")
