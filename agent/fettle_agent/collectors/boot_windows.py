"""How long Windows's last start and sign-in took, from its own event logs.

The start is BootTime of event 100 of Diagnostics-Performance. The sign-in is the part that grows in schools, profile and
policy: from User Profile Service's event 1 (a sign-in is noticed) to its event 2 (the profile is there) or to Group Policy's
event 8001 (user policy is applied), whichever comes last. Windows writes no single event for the whole. Only times are
read, never who signed in. Each is told for two hours only: a PC that is left on for a week started slowly once.
"""

from __future__ import annotations

from collections.abc import Callable

from fettle_agent.collectors import Collected, Reading, Setup, tools
from fettle_agent.collectors.boot_linux import TOLD_FOR_S
from fettle_agent.collectors.documents import number, parse

LONGEST_LOGON_S = 1800.0
SCRIPT = """
function newest($log, $id) {
  @(Get-WinEvent -FilterHashtable @{ LogName = $log; Id = $id } -MaxEvents 1 -ErrorAction SilentlyContinue)[0]
}
function since($e) { if ($e) { ((Get-Date) - $e.TimeCreated).TotalSeconds } else { $null } }
function age($log, $id) { since (newest $log $id) }
$boot = newest 'Microsoft-Windows-Diagnostics-Performance/Operational' 100
$data = if ($boot) { ([xml]$boot.ToXml()).Event.EventData.Data } else { @() }
$ms = ($data | Where-Object { $_.Name -eq 'BootTime' }).'#text'
$users = 'Microsoft-Windows-User Profile Service/Operational'
@{ boot_ms = if ($ms) { [double]$ms } else { $null }; boot_told = since $boot
   logon_began = age $users 1; profile_ready = age $users 2
   policy_applied = age 'Microsoft-Windows-GroupPolicy/Operational' 8001 } | ConvertTo-Json -Compress
"""


def readings(text: str) -> tuple[Reading, ...]:
    """The durations in what the script printed, of a start and a sign-in that are not too old; ages are in seconds.

    Raises:
        CollectError: the text is not the script's JSON.
    """
    facts = parse(text, "PowerShell")
    found = []
    boot_ms = number(facts.get("boot_ms"))
    if boot_ms and _is_new(number(facts.get("boot_told"))):
        found.append(Reading("boot.duration_seconds", boot_ms / 1000))
    began = number(facts.get("logon_began"))
    took_s = logon_seconds(began, *(number(facts.get(name)) for name in ("profile_ready", "policy_applied")))
    if took_s is not None and _is_new(began):
        found.append(Reading("logon.duration_seconds", took_s))
    return tuple(found)


def _is_new(age_s: float | None) -> bool:
    return age_s is not None and age_s <= TOLD_FOR_S


def logon_seconds(began: float | None, profile_ready: float | None, policy_applied: float | None) -> float | None:
    """Seconds from the last sign-in's begin to its last known end, from ages; None where it has no end yet."""
    if began is None:
        return None
    ends = [began - end for end in (profile_ready, policy_applied) if end is not None and 0 <= began - end <= LONGEST_LOGON_S]
    return max(ends) if ends else None


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of boot.duration_seconds and logon.duration_seconds."""
    return lambda: Collected(readings(tools.run_powershell(SCRIPT, timeout_s=45)))
