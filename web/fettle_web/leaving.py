"""The sign that this process is about to leave, at which streams that would go on for ever end.

Owns the flag, and the watch on the parent process: a worker never outlives it, however it died.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from multiprocessing.connection import Connection

GRACE_S = 2.0
STOPPING = threading.Event()
"""Set once; whoever streams waits on it instead of sleeping."""


def follow(leash: Connection) -> None:
    """Leave when the other end of the leash is closed, which the parent's death does as well. Returns at once."""
    threading.Thread(target=_follow, args=(leash,), name="leaving", daemon=True).start()


def _follow(leash: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        leash.recv_bytes()
    STOPPING.set()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_S)
    os._exit(0)  # a request that still runs holds no promise: what was committed is on disk
