"""The catalogue of readings: every number that an agent may report, with its unit and legal range.

Owns names, numbers, units, ranges and dead bands. Does not know how a reading is taken (the agent's collectors) nor when
it is a fault (the policy). A number is for ever: readings are added, never renumbered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """What a reading's value counts."""

    PERCENT = "%"
    BYTES = "bytes"
    BYTES_PER_SECOND = "bytes/s"
    COUNT = "count"
    PER_HOUR = "/h"
    SECONDS = "s"
    MILLISECONDS = "ms"
    MINUTES = "min"
    DAYS = "days"
    MONTHS = "months"
    TIMES = "times"
    CELSIUS = "°C"
    RPM = "rpm"
    DBM = "dBm"
    MBIT_PER_SECOND = "Mbit/s"
    YES_NO = "yes/no"


@dataclass(frozen=True, slots=True)
class Spec:
    """One reading: its place on the wire, its unit, what is legal, and how far it must move to be news.

    `instance` says what tells several of them apart ("volume"); empty where there is only one. `decimals` is the
    precision that history keeps. `dead_band` is the change below which the newest value waits for the slow beat.
    """

    number: int
    key: str
    unit: Unit
    low: float
    high: float
    decimals: int
    dead_band: float
    instance: str
    sentence: str

    def admits(self, value: float) -> bool:
        """True where the value is a number within the legal range; NaN and infinities never are."""
        return self.low <= value <= self.high


_TB = 1e15  # no school disk holds a petabyte

_TABLE: tuple[Spec, ...] = (
    # processor
    Spec(1, "cpu.busy_percent", Unit.PERCENT, 0, 100, 1, 15, "", "How busy the processor is, all cores together"),
    Spec(2, "cpu.load_per_core", Unit.COUNT, 0, 10_000, 2, 0.5, "", "Runnable tasks per core, over a minute"),
    Spec(3, "cpu.frequency_percent", Unit.PERCENT, 0, 400, 0, 25, "", "Clock speed against the rated maximum"),
    # memory
    Spec(10, "memory.used_percent", Unit.PERCENT, 0, 100, 1, 5, "", "Memory in use"),
    Spec(11, "memory.available_bytes", Unit.BYTES, 0, _TB, -6, 5e8, "", "Memory that programs can still have"),
    Spec(12, "swap.used_percent", Unit.PERCENT, 0, 100, 1, 5, "", "Swap or page file in use"),
    Spec(13, "swap.io_bytes_per_second", Unit.BYTES_PER_SECOND, 0, 1e12, -3, 1e7, "", "Traffic between memory and swap"),
    # disks
    Spec(20, "disk.free_percent", Unit.PERCENT, 0, 100, 1, 1, "volume", "Free space on a volume"),
    Spec(21, "disk.free_bytes", Unit.BYTES, 0, _TB, -6, 1e9, "volume", "Free space on a volume"),
    Spec(22, "disk.inodes_free_percent", Unit.PERCENT, 0, 100, 1, 1, "volume", "Free file slots on a volume"),
    Spec(23, "disk.busy_percent", Unit.PERCENT, 0, 100, 1, 25, "disk", "Time that a disk had work waiting"),
    Spec(24, "disk.read_bytes_per_second", Unit.BYTES_PER_SECOND, 0, 1e12, -3, 5e7, "disk", "Read from a disk"),
    Spec(25, "disk.write_bytes_per_second", Unit.BYTES_PER_SECOND, 0, 1e12, -3, 5e7, "disk", "Written to a disk"),
    Spec(26, "disk.smart_failing", Unit.YES_NO, 0, 1, 0, 0.5, "disk", "The disk's own SMART verdict is that it is failing"),
    Spec(27, "disk.smart_reallocated", Unit.COUNT, 0, 1e9, 0, 0.5, "disk", "Bad sectors that the disk has replaced"),
    Spec(28, "disk.smart_pending", Unit.COUNT, 0, 1e9, 0, 0.5, "disk", "Sectors waiting to be replaced"),
    Spec(29, "disk.smart_wear_percent", Unit.PERCENT, 0, 255, 0, 1, "disk", "Share of a solid-state disk's life that is used"),
    Spec(30, "disk.smart_temperature", Unit.CELSIUS, -40, 150, 0, 5, "disk", "A disk's temperature"),
    Spec(31, "disk.read_only", Unit.YES_NO, 0, 1, 0, 0.5, "volume", "A volume that should be writable is read-only"),
    # battery
    Spec(40, "battery.charge_percent", Unit.PERCENT, 0, 100, 0, 5, "", "Battery charge"),
    Spec(41, "battery.on_mains", Unit.YES_NO, 0, 1, 0, 0.5, "", "Mains power is connected"),
    Spec(42, "battery.health_percent", Unit.PERCENT, 0, 150, 0, 1, "", "Full charge against the capacity when new"),
    Spec(43, "battery.cycles", Unit.COUNT, 0, 1e5, 0, 5, "", "Charge cycles so far"),
    # heat
    Spec(50, "temperature.celsius", Unit.CELSIUS, -40, 150, 0, 8, "sensor", "A sensor's temperature"),
    Spec(51, "temperature.headroom", Unit.CELSIUS, -100, 200, 0, 8, "sensor", "Degrees below the sensor's own critical level"),
    Spec(52, "fan.rpm", Unit.RPM, 0, 50_000, -1, 500, "sensor", "A fan's speed"),
    Spec(53, "fan.stalled", Unit.YES_NO, 0, 1, 0, 0.5, "sensor", "A fan that has turned before stands still while it is hot"),
    # network
    Spec(60, "network.link_up", Unit.YES_NO, 0, 1, 0, 0.5, "interface", "The network link is up"),
    Spec(61, "network.link_speed", Unit.MBIT_PER_SECOND, 0, 1e6, 0, 1, "interface", "The negotiated speed of the link"),
    Spec(62, "network.errors_per_hour", Unit.PER_HOUR, 0, 1e12, 0, 100, "interface", "Damaged or dropped packets"),
    Spec(63, "network.received_bytes_per_second", Unit.BYTES_PER_SECOND, 0, 1e12, -3, 5e6, "interface", "Received"),
    Spec(64, "network.sent_bytes_per_second", Unit.BYTES_PER_SECOND, 0, 1e12, -3, 5e6, "interface", "Sent"),
    Spec(65, "gateway.reachable", Unit.YES_NO, 0, 1, 0, 0.5, "", "The way out of this network answers"),
    Spec(66, "gateway.latency_ms", Unit.MILLISECONDS, 0, 60_000, 1, 50, "", "Time that the gateway takes to answer"),
    Spec(67, "dns.working", Unit.YES_NO, 0, 1, 0, 0.5, "", "A name server of this machine answers"),
    Spec(68, "dns.latency_ms", Unit.MILLISECONDS, 0, 60_000, 1, 100, "", "Time that a name server takes to answer"),
    Spec(69, "wifi.signal_dbm", Unit.DBM, -120, 0, 0, 8, "interface", "Strength of the Wi-Fi signal"),
    # processes
    Spec(80, "process.count", Unit.COUNT, 0, 1e6, 0, 50, "", "Processes that run"),
    Spec(81, "process.zombies", Unit.COUNT, 0, 1e6, 0, 5, "", "Processes that ended but were never collected"),
    Spec(82, "process.largest_cpu_percent", Unit.PERCENT, 0, 100, 0, 25, "", "The busiest program's share of one core"),
    Spec(83, "process.largest_memory_percent", Unit.PERCENT, 0, 100, 1, 10, "", "The largest program's share of memory"),
    # services
    Spec(90, "service.running", Unit.YES_NO, 0, 1, 0, 0.5, "service", "A service that should be running is running"),
    # updates
    Spec(100, "updates.pending", Unit.COUNT, 0, 1e5, 0, 1, "", "Updates that wait to be installed"),
    Spec(101, "updates.security_pending", Unit.COUNT, 0, 1e5, 0, 1, "", "Security updates that wait to be installed"),
    Spec(102, "updates.reboot_pending", Unit.YES_NO, 0, 1, 0, 0.5, "", "A restart is needed to finish an update"),
    Spec(103, "updates.days_since_check", Unit.DAYS, 0, 10_000, 1, 1, "", "Days since updates were last looked for"),
    # event log
    Spec(110, "log.errors_per_hour", Unit.PER_HOUR, 0, 1e9, 0, 10, "source:id", "Error events in the system's log"),
    Spec(111, "log.critical_per_hour", Unit.PER_HOUR, 0, 1e9, 0, 1, "source:id", "Critical events in the system's log"),
    # time
    Spec(120, "clock.offset_seconds", Unit.SECONDS, -1e10, 1e10, 1, 5, "", "This machine's clock ahead (+) of the server's"),
    Spec(121, "boot.uptime_days", Unit.DAYS, 0, 20_000, 2, 1, "", "Days since the machine started"),
    Spec(122, "boot.duration_seconds", Unit.SECONDS, 0, 86_400, 0, 5, "", "Time that the last start took"),
    Spec(123, "logon.duration_seconds", Unit.SECONDS, 0, 86_400, 0, 5, "", "Time that the last sign-in took"),
    # the agent itself
    Spec(130, "agent.cpu_percent", Unit.PERCENT, 0, 100, 2, 2, "", "What the agent takes of one core"),
    Spec(131, "agent.memory_bytes", Unit.BYTES, 0, 1e11, -5, 5e6, "", "What the agent takes of memory"),
    Spec(132, "agent.collectors_failing", Unit.COUNT, 0, 1000, 0, 0.5, "", "Collectors that failed in their last run"),
    Spec(133, "agent.test_fault", Unit.YES_NO, 0, 1, 0, 0.5, "", "A person asked for a test fault"),
    # what only the server can see: judged there, never on the wire
    Spec(200, "presence.absent_minutes", Unit.MINUTES, 0, 1e7, 0, 1, "", "Time for which it was expected and not heard of"),
    Spec(201, "presence.days_unheard", Unit.DAYS, 0, 10_000, 1, 1, "", "Days since it was last heard of"),
    Spec(
        210, "forecast.disk_days_to_full", Unit.DAYS, 0, 10_000, 0, 1, "volume", "Days until a volume is full, as it goes now"
    ),
    Spec(211, "forecast.battery_months_left", Unit.MONTHS, 0, 1_000, 0, 1, "", "Months until the battery is worn out"),
    Spec(212, "forecast.ssd_months_left", Unit.MONTHS, 0, 1_000, 0, 1, "disk", "Months until a solid-state disk is worn out"),
    Spec(213, "forecast.sectors_growth_per_week", Unit.COUNT, 0, 1e9, 1, 1, "disk", "Bad sectors that came in a week"),
    Spec(214, "forecast.memory_growth_percent_per_day", Unit.PERCENT, -100, 100, 2, 1, "", "Memory that is not given back"),
    Spec(215, "forecast.sign_in_slowdown", Unit.TIMES, 0, 1_000, 2, 0.2, "", "Sign-in time against the PC's past and peers"),
    Spec(216, "forecast.boot_slowdown", Unit.TIMES, 0, 1_000, 2, 0.2, "", "Start-up time against this PC's past and its peers"),
    Spec(217, "forecast.temperature_rise", Unit.CELSIUS, -100, 100, 1, 1, "sensor", "Rise of a sensor against its own past"),
    Spec(218, "forecast.warranty_days_left", Unit.DAYS, -10_000, 10_000, 0, 1, "", "Days until the warranty ends"),
    Spec(219, "forecast.certificate_days_left", Unit.DAYS, -10_000, 10_000, 0, 1, "", "Days until a certificate ends"),
    Spec(220, "proof.minutes_silent", Unit.MINUTES, 0, 1e7, 0, 1, "", "Time since a proof of the alerts was due and not seen"),
)
FIRST_OF_SERVER = 200
"""From this number on, readings are the server's own: no agent may send them."""

BY_KEY: dict[str, Spec] = {spec.key: spec for spec in _TABLE}
BY_NUMBER: dict[int, Spec] = {spec.number: spec for spec in _TABLE}
ALL: tuple[Spec, ...] = _TABLE
