"""Windows's own local cache of downloads: the policy by which Delivery Optimization asks a Microsoft Connected Cache first.

Source: DOCacheHost, in the reference of Delivery Optimization's policies (Microsoft): a host name or address, several with
commas; stored under the key below. Without an answer from there Windows downloads directly.
"""

from __future__ import annotations

import re

from fettle_agent.packages import Ran, running

KEY = r"HKLM\SOFTWARE\Policies\Microsoft\Windows\DeliveryOptimization"
_HOST = re.compile(r"https?://([A-Za-z0-9.-]{1,200})(?::80)?/?")


def use_cache(url: str) -> Ran:
    """Name the cache, or forget it with an empty address. Delivery Optimization speaks to it on port 80."""
    host = _HOST.fullmatch(url)
    if url and host is None:
        return Ran(False, "The address of a Connected Cache is http:// and a host; it answers on port 80.", 1)
    if host is not None:
        words: tuple[str, ...] = ("add", KEY, "/v", "DOCacheHost", "/t", "REG_SZ", "/d", host[1], "/f")
        return running.run("reg.exe", *words, timeout_s=running.QUERY_S)
    return running.run("reg.exe", "delete", KEY, "/v", "DOCacheHost", "/f", timeout_s=running.QUERY_S, accept=(0, 1))
