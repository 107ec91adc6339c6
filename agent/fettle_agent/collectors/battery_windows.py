"""The wear of a Windows PC's battery, from the battery classes of the WMI namespace root/wmi.

psutil reads the charge (see battery). Some makers' drivers answer only a part of the classes; what is missing is no data.
"""

from __future__ import annotations

from collections.abc import Callable

from fettle_agent.collectors import Collected, Reading, Setup, tools
from fettle_agent.collectors.documents import number, parse

SCRIPT = """
function one($class, $value) {
  @(Get-CimInstance -Namespace root/wmi -ClassName $class -ErrorAction SilentlyContinue)[0].$value
}
@{ full = one BatteryFullChargedCapacity FullChargedCapacity
   design = one BatteryStaticData DesignedCapacity
   cycles = one BatteryCycleCount CycleCount } | ConvertTo-Json -Compress
"""


def readings(text: str) -> tuple[Reading, ...]:
    """The readings in what the script printed.

    Raises:
        CollectError: the text is not the script's JSON.
    """
    facts = parse(text, "PowerShell")
    full, design, cycles = (number(facts.get(name)) for name in ("full", "design", "cycles"))
    found = []
    if full and design:
        found.append(Reading("battery.health_percent", 100 * full / design))
    if cycles:
        found.append(Reading("battery.cycles", cycles))
    return tuple(found)


def collector(setup: Setup) -> Callable[[], Collected]:
    """The collector of battery.health_percent and battery.cycles."""
    return lambda: Collected(readings(tools.run_powershell(SCRIPT, timeout_s=45)))
