"""Days to full for each volume, and bad sectors that come: from days of free space and of SMART's counts. Pure."""

from __future__ import annotations

from fettle_protocol import catalogue

from fettle_server.proactive.forecasts import trend
from fettle_server.proactive.forecasts.outlooks import NEVER, Days, Outlook, instances, many, series, span

FILLS = "disk-will-fill"
SECTORS = "sectors-growing"
WINDOW_DAYS = 60
LEAST_DAYS = 13
LEAST_POINTS = 8
_FREE = catalogue.BY_KEY["disk.free_bytes"].number
_PERCENT = catalogue.BY_KEY["disk.free_percent"].number
_REALLOCATED = catalogue.BY_KEY["disk.smart_reallocated"].number
_PENDING = catalogue.BY_KEY["disk.smart_pending"].number
_JUMP_SHARE = 0.02
_UNEVEN = 4.0
"""Where the far end lies so many times beyond the likely day (and a fortnight), no day is told."""
_MATTERS_PERCENT = 60.0
_MOVES, _HARDLY_MOVES = 0.004, 0.0005
_LEAST_NOISE_GB = 0.001
_GB = 1e9


def fills(days: Days) -> list[Outlook]:
    """One outlook for each volume that the newest day has."""
    return [_fills(days, volume) for volume in instances(days, _FREE)]


def _fills(days: Days, volume: str) -> Outlook:
    recent = [(day, readings) for day, readings in days if day > days[-1][0] - WINDOW_DAYS]
    points = [(day, value / _GB) for day, value in series(recent, _FREE, volume, "low")]
    shares = series(recent, _PERCENT, volume, "low")
    if len(points) < LEAST_POINTS or span(points) < LEAST_DAYS or not shares:
        return _cannot(volume, points, f"only {many(span(points) + 1, 'day')} of history are there, and 14 are needed")
    size = max(points[-1][1] * 100 / max(shares[-1][1], 0.5), points[-1][1])
    if _rests(points, shares[-1][1]):
        return _steady(volume, points)
    jump = size * _JUMP_SHARE
    line = _since_change(points, jump)
    if line is None:
        return _cannot(volume, points, "it changes by jumps")
    reach = trend.reach(line, 0.0)
    if reach is None:
        falls = line.slope < 0 and line.level / -line.slope <= trend.HORIZON_DAYS
        return _cannot(volume, points, "it fills too unevenly") if falls else _steady(volume, points)
    if reach.high > max(_UNEVEN * reach.days, reach.days + 14):
        return _cannot(volume, points, "it fills too unevenly")
    told = f"between {reach.low:.0f} and {many(reach.high, 'day')}, {reach.sure_percent} % sure"
    return Outlook(
        FILLS, volume, reach.days, f"Disk {volume} will be full in {many(max(reach.days, 1), 'day')} ({told})",
        reach.low, reach.high, reach.sure_percent, reach.days, tuple(points), "GB", 0.0,
    )  # fmt: skip


def _rests(points: list[tuple[int, float]], free_percent: float) -> bool:
    """True where a look at both ends suffices: it gives up so little that it would last for years."""
    third = len(points) // 3
    before = sum(value for _, value in points[:third]) / third
    after = sum(value for _, value in points[-third:]) / third
    gone = (before - after) / (span(points) * 2 / 3)
    return gone < points[-1][1] * (_MOVES if free_percent > _MATTERS_PERCENT else _HARDLY_MOVES)


def _since_change(points: list[tuple[int, float]], jump: float) -> trend.Fit | None:
    """The line of the longest history (60, 30 or 14 days) whose drift differs from the last fortnight's only by chance."""
    newest = points[-1][0]
    recent = trend.fit([point for point in points if point[0] > newest - 15], jump=jump, least_noise=_LEAST_NOISE_GB)
    for window in (WINDOW_DAYS, 30):
        part = [point for point in points if point[0] > newest - window]
        line = trend.fit(part, jump=jump, least_noise=_LEAST_NOISE_GB)
        if recent is None or (line and abs(line.slope - recent.slope) <= 3 * recent.slope_variance**0.5):
            return line
    return recent


def _cannot(volume: str, points: list[tuple[int, float]], why: str) -> Outlook:
    return Outlook(FILLS, volume, None, f"Nobody can say when disk {volume} will be full: {why}", past=tuple(points), unit="GB")


def _steady(volume: str, points: list[tuple[int, float]]) -> Outlook:
    free = points[-1][1]
    return Outlook(
        FILLS, volume, NEVER, f"Disk {volume} is not filling up: {free:.0f} GB are free", past=tuple(points), unit="GB"
    )


def sectors(days: Days) -> list[Outlook]:
    """One outlook for each disk that tells its bad sectors: how many came in a week, those replaced and those that wait."""
    disks = sorted({*instances(days, _REALLOCATED), *instances(days, _PENDING)})
    return [one for disk in disks if (one := _sectors(days, disk)) is not None]


def _sectors(days: Days, disk: str) -> Outlook | None:
    counts: dict[int, float] = {}
    for number in (_REALLOCATED, _PENDING):
        for day, value in series(days, number, disk, "high"):
            counts[day] = counts.get(day, 0.0) + value
    points = sorted(counts.items())
    newest = points[-1][0]
    older = [point for point in points if newest - 35 <= point[0] <= newest - 7]
    if not older:
        return None
    day, before = older[-1]
    came = max(0.0, (points[-1][1] - before) * 7 / (newest - day))
    sentence = f"Disk {disk} got {many(came, 'bad sector')} in a week, {points[-1][1]:.0f} in all"
    if came == 0:
        sentence = f"Disk {disk} gets no more bad sectors"
    return Outlook(SECTORS, disk, came, sentence, past=tuple(points[-60:]), unit="sectors")
