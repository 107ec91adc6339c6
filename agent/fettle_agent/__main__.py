"""The fettle-agent command: arguments in, exit status out (0 done, 1 failed with one line that says why, 2 wrong usage).

Each command imports what it needs when it runs: the run process lives for months and pays for every module.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from fettle_agent.errors import AgentError

if TYPE_CHECKING:
    import argparse


def main(words: list[str] | None = None) -> int:
    """Do what the words ask; the exit status."""
    if (sys.argv[1:] if words is None else words)[:1] == ["run"]:
        from fettle_agent import spare

        if words is None:
            spare.begin_anew()
        spare.leave_out()
    asked = _asked(words)
    do: Callable[[SimpleNamespace], int] = asked.do
    try:
        return do(asked)
    except AgentError as error:
        print(f"fettle-agent: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"fettle-agent: {error}: check the path, its permissions and the room on the disk", file=sys.stderr)
    return 1


def _asked(words: list[str] | None) -> SimpleNamespace:
    """What the command line says, without anything that would keep the module that read it in memory."""
    return SimpleNamespace(**vars(_parser().parse_args(words)))


def _parser() -> argparse.ArgumentParser:
    import argparse

    parser = argparse.ArgumentParser(
        prog="fettle-agent", description="Watches this machine and tells the school's Fettle server."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    enrol = _command(commands, "enrol", _enrol, "enrol this machine at a server")
    enrol.add_argument("--server", required=True, metavar="HOST:PORT")
    enrol.add_argument("--token", required=True)
    trust = enrol.add_mutually_exclusive_group()
    trust.add_argument("--ca", default="", metavar="FILE", help="the certificate authority to trust, instead of the token's")
    trust.add_argument("--ca-fingerprint", default="", metavar="SHA256", help="the fingerprint of the authority to trust")
    enrol.add_argument(
        "--signer", action="append", default=[], metavar="FILE", help="obey what this public key signs, instead of the server's"
    )
    enrol.add_argument("--proxy", default="", metavar="URL", help="the HTTP proxy to go through; none: no proxy")
    enrol.add_argument("--force", action="store_true", help="replace the identity that the state folder holds")
    _command(commands, "run", _run, "watch this machine until told to stop")
    once = _command(commands, "once", _once, "read everything once and print it, without a server", state=False)
    once.add_argument("--json", action="store_true")
    status = _command(commands, "status", _status, "say how the running agent is")
    status.add_argument("--json", action="store_true")
    _command(commands, "doctor", _doctor, "find what is wrong and say what to do")
    fault = _command(commands, "test-fault", _test_fault, "raise a fault that breaks nothing, to see that it arrives")
    fault.add_argument("--clear", action="store_true", help="end it again")
    _command(commands, "sleeping", _sleeping, "tell the server that this machine goes to sleep; a hook of the system runs this")
    signer = _command(commands, "trust", _trust, "say whose signed work this machine does").add_mutually_exclusive_group()
    signer.add_argument(
        "--key", default="", metavar="FILE", help="the PEM file of an approver's public key to obey from now on"
    )
    signer.add_argument("--remove", default="", metavar="ID", help="the id of a key to obey no more")
    signer.add_argument("--list", action="store_true", help="list the keys; so it does without any of these")
    jobs = _command(commands, "jobs", _jobs, "list the jobs that this machine was handed, and why they wait")
    jobs.add_argument("--json", action="store_true")
    _command(commands, "defer", _defer, "put off the restart that this machine warns of")
    work = _command(commands, "work", _work, "do the jobs that are due; the running agent does this by itself")
    work.add_argument("--zero-ms", type=int, default=None, help="the server's time at the start of this boot")
    _command(commands, "renew", _renew, "get a new certificate now; the running agent does this by itself")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    do: Callable[[SimpleNamespace], int],
    sentence: str,
    *,
    state: bool = True,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=sentence, description=sentence)
    command.set_defaults(do=do)
    if state:
        command.add_argument(
            "--state", type=Path, metavar="DIR", default=None, help="the agent's folder; default: the service's"
        )
    return command


def _state(asked: SimpleNamespace) -> Path:
    from fettle_agent.place import here

    chosen: Path = asked.state or here().default_state()
    return chosen.absolute()


def _enrol(asked: SimpleNamespace) -> int:
    from fettle_agent import enrolment, identity
    from fettle_agent.jobs import trust
    from fettle_agent.place import here

    state = _state(asked)
    if (state / identity.ABOUT).exists() and not asked.force:
        raise AgentError(f"{state} holds an identity already: use another --state, or --force to replace it")
    here().private_folder(state)
    probe = state / "enrol.probe"
    probe.write_bytes(b"x" * 4096)  # before the token is spent on an identity that the disk does not take
    probe.unlink()
    wanted = enrolment.Wanted(asked.server, asked.token.strip(), asked.ca, asked.ca_fingerprint, asked.proxy)
    given = trust.read_keys(asked.signer)
    known = enrolment.enrol(state, wanted, given)
    print(f"enrolled as {known.endpoint_id} of {known.school}; start the agent with fettle-agent run --state {state}")
    return 0


def _renew(asked: SimpleNamespace) -> int:
    from fettle_agent import config, enrolment, status

    state = _state(asked)
    known = enrolment.renew(state, config.load(state))
    print(f"renewed until {status.rfc3339(known.not_after_ms)}")
    return 0


def _run(asked: SimpleNamespace) -> int:
    state = _state(asked)
    for name in ("argparse", "gettext"):  # only the command line needed them: what follows reuses their memory
        sys.modules.pop(name, None)
    gc.collect()
    from fettle_agent import loop

    return loop.run(state)


def _once(asked: SimpleNamespace) -> int:
    from fettle_agent.once import once

    return once(as_json=asked.json)


def _status(asked: SimpleNamespace) -> int:
    from fettle_agent import status

    told = status.report(_state(asked))
    print(json.dumps(told) if asked.json else "\n".join(status.sentences(told)))
    return 0


def _doctor(asked: SimpleNamespace) -> int:
    from fettle_agent.doctor import examine

    return examine(_state(asked))


def _test_fault(asked: SimpleNamespace) -> int:
    from fettle_agent.testfault import test_fault

    print(test_fault(_state(asked), clear=asked.clear))
    return 0


def _sleeping(asked: SimpleNamespace) -> int:
    from fettle_agent.sleep import sleeping

    print(sleeping(_state(asked)))
    return 0


def _trust(asked: SimpleNamespace) -> int:
    from fettle_agent.jobs import trust

    state = _state(asked)
    print(
        trust.add(state, asked.key) if asked.key else trust.remove(state, asked.remove) if asked.remove else trust.listed(state)
    )
    return 0


def _jobs(asked: SimpleNamespace) -> int:
    from fettle_agent.jobs.listing import listing

    print(listing(_state(asked), as_json=asked.json))
    return 0


def _defer(asked: SimpleNamespace) -> int:
    from fettle_agent.jobs.putting_off import ask

    print(ask(_state(asked)))
    return 0


def _work(asked: SimpleNamespace) -> int:
    from fettle_agent import config, log, stopping
    from fettle_agent.jobs.running import be_patient
    from fettle_agent.jobs.work import work

    be_patient()
    stopping.adopt_orphans()
    state = _state(asked)
    log.start(config.load(state).log_level)
    return work(state, asked.zero_ms)


if __name__ == "__main__":
    sys.exit(main())
