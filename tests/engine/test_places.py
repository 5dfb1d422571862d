"""Which addresses mean something in one network only."""

from __future__ import annotations

import pytest

from ringfence.engine.places import is_private


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "172.31.255.1",
        "192.168.1.10",
        "100.64.0.1",
        "169.254.1.1",
        "fd00::1",
        "fe80::1%eth0",
        "fec0::1",
    ],
)
def test_private(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize(
    "host",
    ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "8.8.8.8", "172.32.0.1", "127.0.0.1", "::1", "",
     "example.org"],
)  # fmt: skip
def test_not_private(host: str) -> None:
    assert not is_private(host)
