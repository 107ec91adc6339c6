"""Windows: where the agent keeps its things, what the machine is called, and how secrets are kept.

A secret is sealed by DPAPI in machine scope, so that a copy of the file is worth nothing on another machine, and the state
folder's access list admits SYSTEM, administrators and the account that made it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from fettle_agent import restarts

if sys.platform == "win32":
    import ctypes
    import msvcrt
    import subprocess
    import time
    import winreg
    from ctypes import wintypes

    _DESCRIPTION = "Fettle agent"
    _LOCAL_MACHINE = 0x4
    _NO_PROMPT = 0x1
    _SM_SHUTTINGDOWN = 0x2000
    _HUNDRED_NS = 1e7
    _DEVICE_NOTIFY_CALLBACK = 2
    _PBT_APMSUSPEND = 0x4

    def system() -> str:
        """The name in the policy."""
        return "windows"

    def default_state() -> Path:
        """Data of a service belongs under ProgramData."""
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "Fettle Agent"

    def os_version() -> str:
        """Product, edition and release as the registry has them; Windows 11 still calls itself 10 there."""
        key = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
        product, release = _registry(key, "ProductName"), _registry(key, "DisplayVersion")
        if int(_registry(key, "CurrentBuildNumber") or 0) >= 22000:
            product = product.replace("Windows 10", "Windows 11")
        return f"{product} {release}".strip() or "Windows"

    def machine_marks() -> list[str]:
        """The firmware's UUID."""
        return [_firmware_uuid()]

    def installation_mark() -> str:
        """The id that Windows gave itself."""
        return _registry(r"SOFTWARE\Microsoft\Cryptography", "MachineGuid")

    def boot_id() -> str:
        """Windows counts its starts; where the count cannot be read, the time of the start in ten-second steps."""
        key = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"
        return _registry(key, "BootId") or f"since-{round((time.time() - boot_s()) / 10)}"

    def boot_s() -> float:
        """Interrupt time counts on through sleep."""
        return _kernel_time("QueryInterruptTime")

    def slept_s() -> float:
        """What interrupt time has more than unbiased interrupt time, which stops in sleep."""
        return boot_s() - _kernel_time("QueryUnbiasedInterruptTime")

    def stop_signals() -> tuple[signal.Signals, ...]:
        """CTRL_C from a console, CTRL_BREAK from whoever started the agent as a process group."""
        return signal.SIGINT, signal.SIGBREAK

    def shutting_down() -> bool:
        """The session is ending."""
        return bool(ctypes.windll.user32.GetSystemMetrics(_SM_SHUTTINGDOWN))

    def restarting() -> bool:
        """The newest word of the system log (event 1074, written when a shutdown is asked for) is that it is a restart.

        Source: https://kb.eventtracker.com/evtpass/evtpages/EventId_1074_User32_46330.asp
        """
        query = "*[System[Provider[@Name='User32'] and EventID=1074 and TimeCreated[timediff(@SystemTime) <= 600000]]]"
        command = ["wevtutil", "qe", "System", f"/q:{query}", "/c:1", "/rd:true", "/f:xml"]
        try:
            asked = subprocess.run(command, capture_output=True, timeout=1.5, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return restarts.in_event(asked.stdout.decode("utf-8", "replace"))

    def before_sleep(tell: Callable[[], None]) -> None:
        """A callback of the power manager, which waits for it for a moment.

        Source: https://learn.microsoft.com/en-us/windows/win32/api/powrprof/nc-powrprof-device_notify_callback_routine
        """

        def heard(_context: object, kind: int, _setting: object) -> int:
            if kind == _PBT_APMSUSPEND:
                tell()
            return 0

        wanted, handle = _Notify(_Heard(heard), None), ctypes.c_void_p()
        register = ctypes.WinDLL("powrprof").PowerRegisterSuspendResumeNotification
        if register(_DEVICE_NOTIFY_CALLBACK, ctypes.byref(wanted), ctypes.byref(handle)) == 0:
            _registered.append(wanted)  # Windows calls it for as long as the process lives

    _Heard = ctypes.WINFUNCTYPE(wintypes.ULONG, ctypes.c_void_p, wintypes.ULONG, ctypes.c_void_p)

    class _Notify(ctypes.Structure):
        _fields_ = (("callback", _Heard), ("context", ctypes.c_void_p))

    _registered: list[_Notify] = []

    def service_ready() -> None:
        """The service wrapper tells the service control manager itself."""

    def write_secret(path: Path, content: bytes) -> None:
        """Sealed for this machine, written beside, flushed, renamed."""
        beside = path.with_name(path.name + ".new")
        with beside.open("wb") as file:
            file.write(_sealed(content, "CryptProtectData", _LOCAL_MACHINE | _NO_PROMPT))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def read_secret(path: Path) -> bytes:
        """Opened on the machine that sealed it."""
        return _sealed(path.read_bytes(), "CryptUnprotectData", _NO_PROMPT)

    def private_folder(path: Path) -> None:
        """Nothing is inherited; SYSTEM (S-1-5-18), administrators (S-1-5-32-544) and this account may do all."""
        if path.is_dir():
            return
        path.mkdir(parents=True)
        who = ("*S-1-5-18", "*S-1-5-32-544", os.environ.get("USERNAME", ""))
        grants = [part for account in who if account for part in ("/grant", f"{account}:(OI)(CI)F")]
        subprocess.run(["icacls", str(path), "/inheritance:r", *grants], capture_output=True, timeout=20, check=False)

    def take_lock(path: Path) -> FileIO | None:
        """A lock on the file's first byte; Windows lets it go when the process ends."""
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT), "r+")
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            file.close()
            return None
        return file

    def is_locked(path: Path) -> bool:
        """Tried and let go at once."""
        if not path.exists():
            return False
        held = take_lock(path)
        if held is None:
            return True
        held.close()
        return False

    class _Blob(ctypes.Structure):
        _fields_ = (("size", wintypes.DWORD), ("data", ctypes.POINTER(ctypes.c_char)))

    def _sealed(content: bytes, function: str, flags: int) -> bytes:
        buffer = ctypes.create_string_buffer(content, len(content))
        given, taken = _Blob(len(content), ctypes.cast(buffer, ctypes.POINTER(ctypes.c_char))), _Blob()
        name = _DESCRIPTION if function == "CryptProtectData" else None
        call = getattr(ctypes.windll.crypt32, function)
        if not call(ctypes.byref(given), name, None, None, None, flags, ctypes.byref(taken)):
            raise ctypes.WinError()
        try:
            return ctypes.string_at(taken.data, taken.size)
        finally:
            ctypes.windll.kernel32.LocalFree(taken.data)

    def _kernel_time(function: str) -> float:
        ticks = ctypes.c_ulonglong()
        getattr(ctypes.WinDLL("kernelbase"), function)(ctypes.byref(ticks))
        return ticks.value / _HUNDRED_NS

    def _registry(key: str, name: str) -> str:
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, winreg.KEY_READ | winreg.KEY_WOW64_64KEY) as opened:
                return str(winreg.QueryValueEx(opened, name)[0])
        except OSError:
            return ""

    def _firmware_uuid() -> str:
        """The UUID of the SMBIOS system table (type 1), straight from the firmware: no WMI, which may be broken."""
        provider = int.from_bytes(b"RSMB", "big")
        read = ctypes.windll.kernel32.GetSystemFirmwareTable
        size = read(provider, 0, None, 0)
        if size <= 8:
            return ""
        buffer = ctypes.create_string_buffer(size)
        read(provider, 0, buffer, size)
        table, at = buffer.raw[8:], 0
        while at + 4 <= len(table):
            kind, length = table[at], table[at + 1]
            if kind == 1 and length >= 24:
                return table[at + 8 : at + 24].hex()
            end = table.find(b"\0\0", at + length)
            if end < 0 or length < 4:
                return ""
            at = end + 2
        return ""
