"""`fettle-agent work`: the child that verifies jobs, decides, and has them done; it ends when nothing can be done now.

Owns which job is looked at when. What may be done is rules.py's to say, how a job is done is doing.py's. When the running agent
should start it again is left in the book (mark "look_ms", by the server's clock).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from fettle_protocol.manifests import Manifest, ManifestKind
from fettle_protocol.steps import is_repeatable

from fettle_agent import log
from fettle_agent.errors import AgentError
from fettle_agent.jobs import facts, putting_off, rules, signers
from fettle_agent.jobs.book import FOLDER, LOCK, UNBEGUN, Book, BookError, Job, State
from fettle_agent.jobs.doing import Doing
from fettle_agent.packages import Provider
from fettle_agent.place import here

BUSY = 75
"""The exit status where another child works already."""

FindProviders = Callable[[str, Path], Mapping[str, Provider]]


def work(state: Path, zero_ms: int | None = None, find_providers: FindProviders | None = None) -> int:
    """Do all that can be done now; the exit status. `zero_ms` is the server's time at the start of this boot.

    Raises:
        AgentError: this machine is not enrolled, or the disk does not take the book.
    """
    lock = here().take_lock(_lock_file(state))
    if lock is None:
        return BUSY
    try:
        book = Book.open(state)
        try:
            look_ms = Work(state, book, facts.Clock(zero_ms), find_providers or _providers).run()
            book.mark("look_ms", str(look_ms))
            if all(job.state in UNBEGUN for job in book.open_jobs()):
                with contextlib.suppress(OSError):
                    putting_off.close_for_asking(state)
        finally:
            book.close()
    except BookError as error:
        raise AgentError(str(error)) from error
    finally:
        lock.close()
    return 0


def _lock_file(state: Path) -> Path:
    folder = state / FOLDER
    if not folder.is_dir():
        folder.mkdir(mode=0o700)
    return folder / LOCK


def _providers(system: str, keep: Path) -> Mapping[str, Provider]:
    from fettle_agent.packages import registry

    return registry.providers(system, keep)


class Work:
    """One run of the child."""

    def __init__(self, state: Path, book: Book, clock: facts.Clock, find_providers: FindProviders) -> None:
        self._state, self._book, self._clock = state, book, clock
        self._me = facts.me(state)
        self._doing = Doing(state, book, clock, self._me.system, find_providers)

    def run(self) -> int:
        """Do what can be done; when to look again, 0: when something new comes."""
        while True:
            try:
                keys = self._keys()
            except AgentError as error:
                return self._trusts_nobody(str(error))
            ended, look_ms = self._round(keys)
            if not ended:
                return look_ms

    def _round(self, keys: rules.Keys) -> tuple[bool, int]:
        """Look at every job once: whether one ended, so that another round is worth it, and else when to look again."""
        looks, busy = [], False
        for job in self._book.open_jobs():
            look_ms = self._go_on(job, keys) if job.state not in UNBEGUN else self._consider(job, keys, busy=busy)
            if look_ms is None:
                return True, 0
            now = self._book.job(job.id)
            busy = busy or (now is not None and now.state not in UNBEGUN)
            looks.append(look_ms)
        return False, min(looks, default=0)

    # ---- keys ----

    def _keys(self) -> rules.Keys:
        """Whose signatures count, after all that the jobs at hand say of it.

        What signed orders say of keys and serials comes before all work, whatever came first.
        """
        held = signers.load(self._state)
        keys = held.trusted()
        if held.book and held.book != self._book.id:
            log.warning("the record of jobs was lost: what was signed before counts as withdrawn")
            keys = rules.forgot(keys)
        for job in self._book.open_jobs():
            manifest = rules.read(_offered(job), keys)
            if isinstance(manifest, Manifest):
                keys = rules.heard(keys, job.key, manifest)
        self._keep(held, keys)
        return keys

    def _keep(self, held: signers.Signers, keys: rules.Keys) -> None:
        now = replace(held.with_keys(keys), book=self._book.id)
        if now != held:
            signers.save(self._state, now)

    def _trusts_nobody(self, why: str) -> int:
        now_ms = self._clock.now_ms()
        for job in self._book.open_jobs():
            self._book.wait(job.id, why, now_ms)
        return now_ms + rules.LOOK_AGAIN_MS

    # ---- jobs ----

    def _consider(self, job: Job, keys: rules.Keys, *, busy: bool) -> int | None:
        """Decide about a job that has not begun, and do it where it may be; when to look again, None: it has ended."""
        seen = facts.look(self._clock)
        manifest = rules.read(_offered(job), keys)
        if isinstance(manifest, rules.Refuse):
            self._refuse(job, manifest.why)
            return None
        self._book.know(job.id, manifest.id, manifest.title)
        decided = rules.decide(manifest, _offered(job), keys, self._before(job, manifest), self._me, seen)
        if isinstance(decided, rules.Refuse):
            self._refuse(job, decided.why)
            return None
        if isinstance(decided, rules.Wait):
            self._book.wait(job.id, decided.why, seen.now_ms)
            return decided.until_ms
        if manifest.kind == ManifestKind.KEYS:
            self._turn(job, manifest, keys)
            return None
        if busy:
            self._book.wait(job.id, "An earlier job is not done yet.", seen.now_ms)
            return seen.now_ms + rules.LOOK_AGAIN_MS
        attempt = 1 + sum(1 for one in self._book.same(manifest.id, job.id) if one.begun_ms)
        if not self._book.begin(job.id, attempt, seen.now_ms):
            return None
        log.info("job begins", job=job.id, steps=len(manifest.steps))
        return self._do(job.id, manifest, resumed=False)

    def _before(self, job: Job, manifest: Manifest) -> rules.Before:
        same = self._book.same(manifest.id, job.id)
        once = {number for number, step in enumerate(manifest.steps, 1) if not is_repeatable(step)}
        begun = {row.step for one in same for row in self._book.steps(one.id) if row.step in once and row.state != "done"}
        return rules.Before(
            done=any(one.state == "done" for one in same),
            attempts=sum(1 for one in same if one.begun_ms),
            begun_once=tuple(sorted(begun)),
        )

    def _refuse(self, job: Job, why: str) -> None:
        log.warning("job refused", job=job.id, why=why)
        self._book.end(job.id, "refused", State(why=why[:500]), self._clock.now_ms())

    def _turn(self, job: Job, manifest: Manifest, keys: rules.Keys) -> None:
        """Trust other keys from now on. They are on the disk before the job ends: cut off between, it is done again."""
        turned = rules.turned(keys, manifest)
        if isinstance(turned, rules.Refuse):
            self._refuse(job, turned.why)
        elif self._book.begin(job.id, 1, self._clock.now_ms()):
            self._turn_now(job.id, turned)

    def _turn_now(self, job: str, turned: rules.Keys) -> None:
        self._keep(signers.load(self._state), turned)
        log.info("keys changed by a signed order", trusted=len(turned.public))
        self._book.end(
            job,
            "done",
            State(percent=100, attempt=1, words=f"{len(turned.public)} keys are trusted now."),
            self._clock.now_ms(),
        )

    def _go_on(self, job: Job, keys: rules.Keys) -> int | None:
        """Go on with a job that has begun, as long as its key counts."""
        manifest = rules.read(_offered(job), keys)
        if isinstance(manifest, rules.Refuse):
            self._doing.give_up(job, f"It was stopped between its steps. {manifest.why}")
            return None
        if manifest.kind == ManifestKind.KEYS:
            turned = rules.turned(keys, manifest)
            if isinstance(turned, rules.Refuse):
                self._doing.give_up(job, turned.why)
            else:
                self._turn_now(job.id, turned)
            return None
        return self._do(job.id, manifest, resumed=True)

    def _do(self, job: str, manifest: Manifest, *, resumed: bool) -> int | None:
        found = self._book.job(job)
        return None if found is None else self._doing.do(found, manifest, resumed=resumed)


def _offered(job: Job) -> rules.Offered:
    return rules.Offered(job.id, job.manifest, job.signature, job.key, job.start_ms, job.until_ms, job.exam)
