"""`make run`: a server, its console and this machine's own agent, all real, on SQLite in one data directory.

Owns the order of starting and stopping. The first run makes the data directory and enrols this machine; a later run keeps
both. The first administrator's one-time password is printed when the data directory is made. The approver's key that is made
with it is for trying signed changes on this one machine: an estate keeps its key elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
FETTLE, AGENT = BIN / "fettle", BIN / "fettle-agent"
SCHOOL = "My first school"


def main() -> int:
    """Exit status 0 after Ctrl-C or SIGTERM; 1 where a part could not start, with its own words above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--grpc", default="127.0.0.1:7443")
    parser.add_argument("--http", default="127.0.0.1:8080")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell that starts this in the background has it ignored
        signal.signal(number, lambda *_: _interrupt())
    try:
        return _run(arguments.data, arguments.grpc, arguments.http)
    except KeyboardInterrupt:
        return 0
    except subprocess.CalledProcessError as error:
        print(f"make run: {Path(error.cmd[0]).name} {error.cmd[1]} failed; its words are above", file=sys.stderr)
        return 1


def _run(data: Path, grpc: str, http: str) -> int:
    state = data / "agent"
    if not (data / "fettle.toml").exists():
        made = subprocess.run([FETTLE, "init", data, "--school", SCHOOL], check=True, stdout=subprocess.PIPE, text=True)
        print(made.stdout.replace(f" Start the server: fettle serve {data}", ""), end="", flush=True)  # that comes next
        _make_key(data)
    server = _start([FETTLE, "serve", data, "--grpc", grpc, "--http", http], stdout=subprocess.PIPE)
    parts = [server]
    try:
        ready = server.stdout.readline() if server.stdout else ""
        if not ready:
            return server.wait() or 1
        print(ready.rstrip(), flush=True)
        if not (state / "identity.json").exists():
            _enrol(data, state, grpc)
        parts.append(_start([AGENT, "run", "--state", state]))
        print(f"This machine's own agent is running as {platform.node()}. Open http://{http} and sign in as admin.", flush=True)
        print(f"Try a fault:  {AGENT} test-fault --state {state}     Stop everything: Ctrl-C", flush=True)
        while all(part.poll() is None for part in parts):
            time.sleep(0.5)
        return 1
    finally:
        _stop(parts)


def _make_key(data: Path) -> None:
    """An approver's key beside the data, which the server trusts, and this machine's agent too once it enrols."""
    folder = data / "approver"
    folder.mkdir(mode=0o700)
    key = folder / "approver.key"
    subprocess.run([FETTLE, "key", "create", key], check=True, capture_output=True)
    subprocess.run([FETTLE, "key", "add", data, f"{key}.pub", "--name", "This machine"], check=True, capture_output=True)
    print(f"A key that signs changes, for this one machine: {key}", flush=True)
    print("An estate keeps its approver's key on another machine: docs/signing.md.", flush=True)


def _enrol(data: Path, state: Path, grpc: str) -> None:
    answer = subprocess.run(
        [FETTLE, "token", "create", data, "--school", SCHOOL, "--uses", "1", "--expires", "1h", "--json"],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    token = json.loads(answer.stdout)["token"]
    subprocess.run([AGENT, "enrol", "--server", grpc, "--token", token, "--state", state], check=True)


def _start(command: list[str | Path], stdout: int | None = None) -> subprocess.Popen[str]:
    """A part in a session of its own, so that Ctrl-C reaches this script alone and the order of stopping is ours."""
    return subprocess.Popen([str(word) for word in command], stdout=stdout, text=True, start_new_session=os.name == "posix")


def _stop(parts: list[subprocess.Popen[str]]) -> None:
    """Agent first, so that its last words are taken in; then the server."""
    for part in reversed(parts):
        if part.poll() is None:
            part.terminate()
            try:
                part.wait(timeout=10)
            except subprocess.TimeoutExpired:
                part.kill()
                part.wait()
    print("Stopped. The data is kept; `make run` goes on with it.", flush=True)


def _interrupt() -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
