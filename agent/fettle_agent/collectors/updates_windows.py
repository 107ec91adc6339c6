"""Windows's pending updates, from the Windows Update Agent and the registry.

The agent is asked for what it knows from its last search, not to search anew, so nothing goes over the network. An update
mends security if Microsoft gave it a severity or put it among the security updates.
Source: IUpdateSearcher, IUpdate and ISystemInformation of the Windows Update Agent API (Microsoft).
"""

from __future__ import annotations

from collections.abc import Callable

from fettle_agent.collectors import Collected, Setup, tools
from fettle_agent.collectors.documents import number, parse
from fettle_agent.collectors.updates import Updates

_SECURITY_UPDATES = "0fa1201d-4330-4fa8-8ae9-b877473b6441"
SCRIPT = (
    """
$searcher = (New-Object -ComObject Microsoft.Update.Session).CreateUpdateSearcher()
$searcher.Online = $false
$found = $searcher.Search("IsInstalled=0 and IsHidden=0 and Type='Software'").Updates
$security = 0
foreach ($update in $found) {
  $ids = @($update.Categories | ForEach-Object { $_.CategoryID })
  if ($update.MsrcSeverity -or $ids -contains 'SECURITY') { $security++ }
}
$keys = 'HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending',
        'HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update\\RebootRequired'
$waiting = @($keys | Where-Object { Test-Path $_ }).Count -gt 0
$reboot = (New-Object -ComObject Microsoft.Update.SystemInfo).RebootRequired -or $waiting
$last = (New-Object -ComObject Microsoft.Update.AutoUpdate).Results.LastSearchSuccessDate
$days = if ($last) { ([DateTime]::UtcNow - $last).TotalDays } else { $null }
@{ pending = $found.Count; security = $security; reboot = [bool]$reboot; days = $days } | ConvertTo-Json -Compress
"""
).replace("SECURITY", _SECURITY_UPDATES)


def updates(text: str) -> Updates:
    """The state of updates in what the script printed.

    Raises:
        CollectError: the text is not the script's JSON, as when Windows Update is switched off.
    """
    facts = parse(text, "Windows Update")
    pending, security, days = (number(facts.get(name)) for name in ("pending", "security", "days"))
    reboot = facts.get("reboot")
    return Updates(
        pending=None if pending is None else int(pending),
        security_pending=None if security is None else int(security),
        reboot_pending=reboot if isinstance(reboot, bool) else None,
        days_since_check=None if days is None else max(0.0, days),
    )


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of updates.*."""
    return lambda: updates(tools.run_powershell(SCRIPT, timeout_s=300)).collected()
