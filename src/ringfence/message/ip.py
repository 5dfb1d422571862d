"""IP addresses as text, each read once: a call names the same few addresses a dozen times."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

KEPT = 4096
"""Addresses that are remembered: those of the calls that are being set up. Others are read anew."""


@lru_cache(KEPT)
def ip_address(text: str) -> IPv4Address | IPv6Address:
    """The address. Raises ValueError for text that is none."""
    return ipaddress.ip_address(text)
