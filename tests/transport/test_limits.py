"""How connections are counted."""

import pytest

from ringfence.transport.limits import Census, Limits, source_of


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002::/64"),
        ("2001:db8:1:2::9%eth0", "20010db800010002::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_an_ipv6_site_is_one_source(host: str, source: str) -> None:
    assert source_of(host) == source


def test_each_limit_refuses_with_its_reason() -> None:
    census = Census(Limits(connections=3, connections_per_source=2, handshakes=2))
    for _ in range(2):
        census.enter("192.0.2.1")
        census.settle("192.0.2.1")
    assert "2 connections from 192.0.2.1" in (census.refusal("192.0.2.1") or "")
    assert census.refusal("192.0.2.2") is None
    census.handshakes = 2
    assert "handshakes" in (census.refusal("192.0.2.2") or "")
    census.handshakes = 0
    census.enter(None)
    census.settle(None)
    assert "3 connections" in (census.refusal("192.0.2.2") or "")


def test_what_leaves_is_forgotten() -> None:
    census = Census(Limits())
    for host in ("192.0.2.1", None, "2001:db8::1"):
        census.enter(host)
        census.settle(host)
        census.leave(host)
    assert census.total == 0
    assert census.handshakes == 0
    assert census._by_source == census._shaking == {}


def test_one_source_can_not_have_all_handshakes() -> None:
    census = Census(Limits(handshakes_per_source=2))
    census.enter("192.0.2.1")
    census.enter("192.0.2.1")
    assert "handshakes at once from 192.0.2.1" in (census.refusal("192.0.2.1") or "")
    assert census.refusal("192.0.2.2") is None
    census.settle("192.0.2.1")
    assert census.refusal("192.0.2.1") is None
