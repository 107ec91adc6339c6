"""Steps on packages, by whichever package manager the order names; and the way back to what was there before.

Owns the record of former versions: before a manifest first touches a package, or one that comes or goes along with it, what is
installed is written down, and the package manager is asked to keep it. RESTORE brings back exactly that, and says in words what
cannot be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fettle_protocol.manifests import ManifestError, decode
from fettle_protocol.steps import StepKind

from fettle_agent.collectors import CollectError
from fettle_agent.jobs.book import Former
from fettle_agent.jobs.context import Context, Outcome
from fettle_agent.jobs.running import MAX_WORDS, cut
from fettle_agent.packages import Provider, Ran, Unsupported, Wanted, keeping

_NOTE = 800
_MONTH_MS = 30 * 86_400_000
Step = Mapping[str, Any]


def install(context: Context, step: Step) -> Outcome:
    """Bring packages to a version; UPGRADE touches only those of which an older one is installed.

    The provider refuses a package file whose checksum is not the signed one.
    """
    provider = context.providers.get(step["provider"])
    if provider is None:
        return _not_here(step)
    wanted = _wanted(step)
    only_upgrade, downgrade = step["kind"] == StepKind.UPGRADE, bool(step.get("allow_downgrade"))

    lists = _refreshed(provider)  # before all else: what comes along is planned from the lists

    def act() -> tuple[Ran, ...]:
        ran = provider.install(wanted, only_upgrade=only_upgrade, allow_downgrade=downgrade, progress=context.progress)
        return (ran,) if lists.worked or ran.worked else (lists, ran)

    def along() -> tuple[str, ...]:
        return provider.touched(wanted, only_upgrade=only_upgrade, allow_downgrade=downgrade)

    return _changing(context, provider, [one.name for one in wanted], act, along)


def remove(context: Context, step: Step) -> Outcome:
    """Take packages off."""
    provider = context.providers.get(step["provider"])
    if provider is None:
        return _not_here(step)
    names = _names(step)
    return _changing(
        context, provider, names, lambda: (provider.remove(names, context.progress),), lambda: provider.taken_along(names)
    )


def hold(context: Context, step: Step) -> Outcome:
    """Pin packages where they are, or let go of them."""
    provider = context.providers.get(step["provider"])
    if provider is None:
        return _not_here(step)
    ran = _tried(lambda: provider.hold(_names(step), held=step["kind"] == StepKind.HOLD))
    return Outcome(ran.worked, ran.words, {"rescan": True})


def use_cache(context: Context, step: Step) -> Outcome:
    """Download through the ecosystem's own cache from now on, or directly again."""
    name = "apt" if step["cache"] == "apt" else "windows"
    provider = context.providers.get(name)
    if provider is None:
        return Outcome(False, f"This PC has no {name}, whose downloads could go through a cache.")
    ran = _tried(lambda: provider.use_cache(step.get("url") or ""))
    return Outcome(ran.worked, ran.words)


def restore(context: Context, step: Step) -> Outcome:
    """Bring back what was installed before an earlier manifest touched it."""
    formers = context.book.former(step["manifest"])
    if not formers:
        return Outcome(True, "That order changed no package on this PC, so there is nothing to bring back.", {"packages": []})
    outcomes = [
        _restored(context, name, [one for one in formers if one.provider == name])
        for name in sorted({f.provider for f in formers})
    ]
    packages = [row for outcome in outcomes for row in outcome.result.get("packages", [])]
    words = cut("\n".join(outcome.words for outcome in outcomes if outcome.words))
    return Outcome(all(one.worked for one in outcomes), words, {"packages": packages, "rescan": True})


def _restored(context: Context, name: str, formers: Sequence[Former]) -> Outcome:
    provider = context.providers.get(name)
    if provider is None:
        return _not_here({"provider": name})
    names = [one.name for one in formers]
    stays: dict[str, str] = {}

    def act() -> tuple[Ran, ...]:
        done = _put_back(context, provider, formers)
        gone, needed = _to_take_off(provider, formers)
        stays.update(needed)
        return (*done, provider.remove(gone, context.progress)) if gone else done

    outcome = _changing(context, provider, names, act, lambda: ())
    return _judged(outcome, [replace(one, why=stays.get(one.name, one.why)) for one in formers], provider.installed(names))


def _put_back(context: Context, provider: Provider, formers: Sequence[Former]) -> tuple[Ran, ...]:
    """Install the former versions, before anything is taken off: what is new may be needed by what is there until then.

    Where that fails they are let go of, for the order may have held them, and what is new goes first: it may stand in the way.
    """
    now = provider.installed([one.name for one in formers])
    back = [Wanted(one.name, one.version) for one in formers if one.version and now.get(one.name) != one.version]
    if not back:
        return (Ran(True, "", 0),)

    def install() -> Ran:
        return provider.install(back, only_upgrade=False, allow_downgrade=True, progress=context.progress)

    first = install()
    if first.worked:
        return (first,)
    held = [one.name for one in back if one.name in now]
    freed = [_tried(lambda: provider.hold(held, held=False))] if held else []
    gone, _ = _to_take_off(provider, formers)
    removed = [provider.remove(gone, context.progress)] if gone else []
    return (first, *freed, *removed, install())


def _to_take_off(provider: Provider, formers: Sequence[Former]) -> tuple[list[str], dict[str, str]]:
    """What was not there before and can go, and why the others stay: something that came by other ways needs them now."""
    known = {one.name for one in formers}
    now = provider.installed(sorted(known))
    gone, needed = [], {}
    for one in formers:
        if not one.version and one.name in now:
            strangers = sorted(set(provider.taken_along([one.name])) - known)
            if strangers:
                needed[one.name] = f"{', '.join(strangers[:5])} would go with it, which that order did not bring."
            else:
                gone.append(one.name)
    return gone, needed


def _judged(outcome: Outcome, formers: Sequence[Former], now: Mapping[str, str]) -> Outcome:
    """Whether the former versions are back is read from the package manager, whatever its status said."""
    missed = [one for one in formers if now.get(one.name, "") != one.version]
    lines = [
        f"{one.name} is {now.get(one.name) or 'not installed'}, not {one.version or 'taken off'} as before. {one.why}".strip()
        for one in missed
    ]
    if not missed:
        lines = ["The former versions are back: " + ", ".join(f"{one.name} {one.version or '(none)'}" for one in formers) + "."]
    return Outcome(not missed, cut("\n".join([outcome.words, *lines])), outcome.result)


def _changing(
    context: Context,
    provider: Provider,
    named: Sequence[str],
    act: Callable[[], Iterable[Ran]],
    along: Callable[[], Iterable[str]],
) -> Outcome:
    """Do it with a record of the versions before and after, of what comes or goes along too."""
    try:
        names = list(dict.fromkeys([*named, *along()]))
        before = provider.installed(names)
        keeping.need(context.state / "packages" / provider.name, [*before.items(), *_wanted_back(context, provider.name)])
        reasons = _kept(provider, [name for name in names if name in before])
        context.book.keep_former(
            context.manifest_id, [Former(provider.name, name, before.get(name, ""), reasons.get(name, "")) for name in names]
        )
        ran = tuple(act())
        after = provider.installed(names)
    except (Unsupported, CollectError, OSError) as error:
        return Outcome(False, str(error), {"rescan": True})
    packages = [
        {"provider": provider.name, "name": name, "before": before.get(name, ""), "after": after.get(name, "")}
        for name in names
        if name in named or before.get(name) != after.get(name)
    ]
    words = _with_notes([why for why in reasons.values() if why], cut("\n".join(one.words for one in ran if one.words)))
    return Outcome(all(one.worked for one in ran[-1:]), words, {"packages": packages, "rescan": True})


def _with_notes(reasons: Sequence[str], words: str) -> str:
    """What the tool said, behind what cannot be brought back: an approver should know before it is wanted."""
    if not reasons:
        return words
    note = f"There is no way back to what was installed: {' '.join(reasons)}"[:_NOTE]
    return f"{note}\n{words[-(MAX_WORDS - _NOTE - 1) :]}"


def _wanted_back(context: Context, provider: str) -> list[tuple[str, str]]:
    """The former versions that may be wanted back: of changes of the last month, and of back-outs that wait here."""
    formers = context.book.former_of_late(_MONTH_MS)
    for job in context.book.open_jobs():
        with contextlib.suppress(ManifestError):
            restores = [step["manifest"] for step in decode(job.manifest).steps if step["kind"] == StepKind.RESTORE]
            formers += [one for uid in restores for one in context.book.former(uid)]
    return [(one.name, one.version) for one in formers if one.provider == provider]


def _kept(provider: Provider, names: Sequence[str]) -> Mapping[str, str]:
    """Why a former version cannot be brought back, where it cannot; that never stops a fix that was signed."""
    try:
        return provider.keep_former(names) if names else {}
    except (Unsupported, CollectError, OSError) as error:
        return dict.fromkeys(names, str(error))


def _refreshed(provider: Provider) -> Ran:
    try:
        return provider.refresh()
    except Unsupported as error:
        return Ran(True, str(error), 0)


def _tried(act: Callable[[], Ran]) -> Ran:
    try:
        return act()
    except (Unsupported, CollectError, OSError) as error:
        return Ran(False, str(error), 1)


def _not_here(step: Step) -> Outcome:
    return Outcome(False, f"This PC has no {step['provider']}, which the order names.")


def _wanted(step: Step) -> list[Wanted]:
    return [Wanted(one["name"], one.get("version") or "", one.get("sha256") or "") for one in step["packages"]]


def _names(step: Step) -> list[str]:
    return [one["name"] for one in step["packages"]]
