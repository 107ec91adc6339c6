"""IP addresses as the system's settings write them: found among words, checked, and never too many.

Does not know where a system keeps them (dns, addresses_windows).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

LIMIT = 3
"""As many name servers as the C library asks; a machine with more gateways than that is no school PC."""


def among(words: Iterable[str]) -> tuple[str, ...]:
    """Those of the words that are IP addresses, each once, bounded."""
    found: dict[str, None] = {}
    for word in words:
        try:
            ipaddress.ip_address(word.partition("%")[0])
        except ValueError:
            continue
        found[word] = None
    return tuple(found)[:LIMIT]
