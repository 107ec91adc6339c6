"""Windows Update, by the Windows Update Agent's own interface, reached with Windows's own PowerShell.

An update is named by its KB number where it has one, and its version is its identity: UpdateID.RevisionNumber. Microsoft signs
what it sends and Windows looks at that, so there is no hash for a signer to name. Words are those of the interface: the result
code, the HResult and Windows's text for it.
Source: IUpdateSearcher, IUpdateDownloader, IUpdateInstaller, IUpdate, IUpdateHistoryEntry, ISystemInformation (Windows Update
Agent API), OperationResultCode, and the policy DOCacheHost of Delivery Optimization (Microsoft).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fettle_agent.collectors import CollectError, tools
from fettle_agent.collectors.documents import number, parse
from fettle_agent.packages import Offer, Progress, Ran, Unsupported, Wanted, delivery_optimization, powershell

SECURITY_UPDATES = "0fa1201d-4330-4fa8-8ae9-b877473b6441"
RESULTS = {0: "not started", 1: "in progress", 2: "succeeded", 3: "succeeded with errors", 4: "failed", 5: "aborted"}
"""OperationResultCode."""

_SEARCH_S = 300.0
_ACT_S = 7200.0
_REFRESH_S = 900.0
_NAME = re.compile(r"KB[0-9]{4,10}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_VERSION = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([0-9]{1,9})", re.IGNORECASE)
_SEVERITIES = {"critical", "important", "moderate", "low"}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_CVE = re.compile(r"CVE-\d{4}-\d{4,}")
SEARCH = """
$session = New-Object -ComObject Microsoft.Update.Session
$searcher = $session.CreateUpdateSearcher()
$searcher.Online = $false
$criteria = "IsInstalled=0 and Type='Software' or IsInstalled=1 and RebootRequired=1 and Type='Software'"
$failed = @{}
$count = $searcher.GetTotalHistoryCount()
if ($count -gt 0) {
  foreach ($entry in $searcher.QueryHistory(0, [Math]::Min($count, 200))) {
    $id = $entry.UpdateIdentity.UpdateID
    if (-not $failed.ContainsKey($id)) {
      $failed[$id] = if ($entry.ResultCode -ge 4) {
        '0x{0:X8} {1}' -f $entry.HResult, ([ComponentModel.Win32Exception]$entry.HResult).Message } else { '' }
    }
  }
}
$offers = @(foreach ($update in $searcher.Search($criteria).Updates) {
  $id = $update.Identity.UpdateID
  @{ id = $id; revision = $update.Identity.RevisionNumber; title = $update.Title; severity = $update.MsrcSeverity
     kbs = @($update.KBArticleIDs); cves = @($update.CveIDs); url = @($update.MoreInfoUrls) + @($update.SupportUrl)
     categories = @($update.Categories | ForEach-Object { $_.CategoryID })
     changed = $update.LastDeploymentChangeTime.ToString('yyyy-MM-dd'); bytes = $update.MaxDownloadSize
     downloaded = $update.IsDownloaded; installed = $update.IsInstalled; hidden = $update.IsHidden
     failed = [string]$failed[$id] }
})
$keys = 'HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending',
        'HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update\\RebootRequired'
$waiting = @($keys | Where-Object { Test-Path $_ }).Count -gt 0
$reboot = (New-Object -ComObject Microsoft.Update.SystemInfo).RebootRequired -or $waiting
$last = (New-Object -ComObject Microsoft.Update.AutoUpdate).Results.LastSearchSuccessDate
$days = if ($last) { ([DateTime]::UtcNow - $last).TotalDays } else { $null }
@{ offers = $offers; reboot = [bool]$reboot; days = $days } | ConvertTo-Json -Compress -Depth 4
"""
"""What the agent knows from its last search: nothing goes over the network."""

_ACT = """
$session = New-Object -ComObject Microsoft.Update.Session
$session.ClientApplicationID = 'Fettle'
$searcher = $session.CreateUpdateSearcher()
$searcher.Online = $asked.online
$chosen = New-Object -ComObject Microsoft.Update.UpdateColl
$named = @()
foreach ($update in $searcher.Search($asked.criteria).Updates) {
  $kbs = @($update.KBArticleIDs | ForEach-Object { 'KB' + $_ })
  foreach ($one in $asked.wanted) {
    $same = if ($one.id) { $update.Identity.UpdateID -eq $one.id -and $update.Identity.RevisionNumber -eq $one.revision }
            else { $kbs -contains $one.name -or $update.Identity.UpdateID -eq $one.name }
    if ($same) {
      if (-not $update.EulaAccepted) { $update.AcceptEula() }
      if ($asked.act -eq 'hide') { $update.IsHidden = $asked.hidden }
      [void]$chosen.Add($update); $named += $one.name; break
    }
  }
}
$results = @()
if ($chosen.Count -gt 0 -and $asked.act -ne 'hide' -and $asked.act -ne 'look') {
  if ($asked.act -eq 'download' -or $asked.act -eq 'install') {
    $worker = $session.CreateUpdateDownloader(); $worker.Updates = $chosen; $result = $worker.Download()
  }
  if ($asked.act -eq 'install' -or $asked.act -eq 'remove') {
    $worker = $session.CreateUpdateInstaller(); $worker.Updates = $chosen; $worker.ForceQuiet = $true
    $result = if ($asked.act -eq 'install') { $worker.Install() } else { $worker.Uninstall() }
  }
  for ($i = 0; $i -lt $chosen.Count; $i++) {
    $one = $result.GetUpdateResult($i)
    $results += @{ name = $named[$i]; code = [int]$one.ResultCode; hresult = ('0x{0:X8}' -f $one.HResult)
      text = $(if ($one.HResult) { ([ComponentModel.Win32Exception]$one.HResult).Message } else { '' })
      reboot = [bool]($asked.act -ne 'download' -and $one.RebootRequired) }
  }
}
$there = @(for ($i = 0; $i -lt $chosen.Count; $i++) { $update = $chosen.Item($i)
  @{ name = $named[$i]; id = $update.Identity.UpdateID; revision = $update.Identity.RevisionNumber
     removable = [bool]$update.IsUninstallable } })
@{ results = $results; there = $there } | ConvertTo-Json -Compress -Depth 4
"""


def is_here() -> bool:
    """True where this machine has PowerShell, by which the Windows Update Agent is asked."""
    return tools.find("powershell.exe") is not None


@dataclass(frozen=True, slots=True)
class Look:
    """What the Windows Update Agent knows of its last search."""

    offers: tuple[Offer, ...]
    reboot_pending: bool | None
    days_since_check: float | None


def look() -> Look:
    """Ask it.

    Raises:
        CollectError: it does not answer.
    """
    return parse_look(tools.run_powershell(SEARCH, timeout_s=_SEARCH_S))


def parse_look(text: str) -> Look:
    """What the script printed.

    Raises:
        CollectError: the text is not the script's JSON, as when Windows Update is switched off.
    """
    facts = parse(text, "Windows Update")
    rows, reboot, days = facts.get("offers"), facts.get("reboot"), number(facts.get("days"))
    return Look(
        tuple(_offers(rows if isinstance(rows, list) else [])),
        reboot if isinstance(reboot, bool) else None,
        None if days is None else max(0.0, days),
    )


def _offers(rows: Iterable[Any]) -> Iterator[Offer]:
    for row in rows:
        if not isinstance(row, Mapping) or not _VERSION.fullmatch(f"{row.get('id')}.{row.get('revision')}"):
            continue
        kbs, severity, size = _words(row.get("kbs")), str(row.get("severity") or "").lower(), number(row.get("bytes"))
        changed = _DAY.fullmatch(str(row.get("changed")))
        yield Offer(
            "windows",
            f"KB{kbs[0]}" if kbs else str(row["id"]),
            f"{row['id']}.{row['revision']}",
            title=str(row.get("title") or "")[:300],
            security=bool(severity in _SEVERITIES or SECURITY_UPDATES in _words(row.get("categories"))),
            severity=severity if severity in _SEVERITIES else "",
            cves=tuple(sorted(set(filter(_CVE.fullmatch, _words(row.get("cves")))))),
            released_on=changed[0] if changed else None,
            size_bytes=int(size) if size else None,
            reference=next((url for url in _words(row.get("url")) if url.startswith("https://")), "")[:300],
            held=row.get("hidden") is True,
            state=_state(row),
            words=str(row.get("failed") or "")[:2000],
        )


def _state(row: Mapping[str, Any]) -> str:
    if row.get("installed") is True:
        return "reboot pending"
    if row.get("failed"):
        return "failed"
    return "downloaded" if row.get("downloaded") is True else "offered"


def _words(values: Any) -> list[str]:
    return [str(value) for value in values if value] if isinstance(values, list) else []


class WindowsUpdate:
    """The Provider of Windows's own updates."""

    name = "windows"

    def __init__(self, keep: Path) -> None:
        del keep  # Windows keeps what it can take off again

    def offers(self) -> tuple[Offer, ...]:
        """As Provider."""
        return look().offers

    def refresh(self) -> Ran:
        """As Provider: a search at the service or server that this PC's policies name."""
        return self._act("look", [], "IsInstalled=0", online=True, timeout_s=_REFRESH_S)

    def installed(self, names: Sequence[str]) -> dict[str, str]:
        """As Provider."""
        there = self._there([Wanted(name) for name in names], "IsInstalled=1")
        return {str(row["name"]): f"{row.get('id')}.{row.get('revision')}" for row in there}

    def touched(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool) -> tuple[str, ...]:
        """As Provider: an update brings no other along that its name does not cover."""
        return tuple(one.name for one in wanted)

    def taken_along(self, names: Sequence[str]) -> tuple[str, ...]:
        """As Provider."""
        return ()

    def download(self, wanted: Sequence[Wanted], progress: Progress) -> Ran:
        """As Provider."""
        return self._act("download", wanted, "IsInstalled=0")

    def keep_former(self, names: Sequence[str]) -> Mapping[str, str]:
        """As Provider: the way back is to take the update off, which its maker must allow."""
        there = self._there([Wanted(name) for name in names], "IsInstalled=0")
        removable = {str(row["name"]) for row in there if row.get("removable") is True}
        return {name: "" if name in removable else f"Windows says that {name} cannot be taken off again." for name in names}

    def install(self, wanted: Sequence[Wanted], *, only_upgrade: bool, allow_downgrade: bool, progress: Progress) -> Ran:
        """As Provider; what is installed already is nothing to do."""
        return self._act("install", wanted, "IsInstalled=0")

    def remove(self, names: Sequence[str], progress: Progress) -> Ran:
        """As Provider."""
        return self._act("remove", [Wanted(name) for name in names], "IsInstalled=1")

    def hold(self, names: Sequence[str], *, held: bool) -> Ran:
        """As Provider: hidden, which Windows does not install by itself."""
        return self._act("hide", [Wanted(name) for name in names], "IsInstalled=0", hidden=held)

    def use_cache(self, url: str) -> Ran:
        """As Provider, by the policy of Delivery Optimization."""
        return delivery_optimization.use_cache(url)

    def _there(self, wanted: Sequence[Wanted], criteria: str) -> list[dict[str, Any]]:
        said = powershell.asked(_ACT, _question("look", wanted, criteria), timeout_s=_SEARCH_S)
        return [row for row in said.get("there") or [] if isinstance(row, dict) and "name" in row]

    def _act(self, act: str, wanted: Sequence[Wanted], criteria: str, timeout_s: float = _ACT_S, **more: bool) -> Ran:
        question = _question(act, wanted, criteria) | more
        try:
            said = powershell.asked(_ACT, question, timeout_s=timeout_s)
        except CollectError as error:
            return Ran(False, f"Windows Update: {error}", 1)
        return ran(said, [one.name for one in wanted])


def ran(said: Mapping[str, Any], names: Sequence[str]) -> Ran:
    """The acts' answer as one run, with the interface's words for each update."""
    results = [row for row in said.get("results") or [] if isinstance(row, Mapping)]
    lines = [
        f"{row.get('name')}: {RESULTS.get(int(number(row.get('code')) or 0), 'unknown')} (result code {row.get('code')}, "
        f"HResult {row.get('hresult')}){' ' + str(row['text']) if row.get('text') else ''}"
        f"{'; a restart is needed' if row.get('reboot') is True else ''}"
        for row in results
    ]
    there = {str(row.get("name")) for row in said.get("there") or [] if isinstance(row, Mapping)}
    lines += [f"{name}: not among what Windows Update has to do here." for name in names if name not in there]
    worst = max((int(number(row.get("code")) or 0) for row in results), default=2)
    return Ran(worst == 2, "\n".join(lines)[-4000:], 0 if worst == 2 else worst)


def _question(act: str, wanted: Sequence[Wanted], criteria: str) -> dict[str, Any]:
    rows = []
    for one in wanted:
        version = _VERSION.fullmatch(one.version)
        if not _NAME.fullmatch(one.name):
            raise Unsupported(f"{one.name!r} is neither a KB number nor an UpdateID.")
        if one.sha256:
            raise Unsupported("Windows looks at Microsoft's signatures, not at a hash: leave it out.")
        if one.version and not version:
            raise Unsupported(f"The version of {one.name} must be UpdateID.RevisionNumber.")
        rows.append({"name": one.name} | ({"id": version[1], "revision": int(version[2])} if version else {}))
    return {"act": act, "criteria": f"{criteria} and Type='Software'", "online": False, "wanted": rows}
