"""Bans: found by address, longer each time, never of a friend."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from ringfence.guard.bans import MAX_BANS, REMEMBERED_SECONDS, BanPolicy, Bans, network_of, parse_network
from ringfence.message import LocalError
from ringfence.store.records import Ban

POLICY = BanPolicy(300.0, 6.0, 86_400.0)


def test_each_is_longer_than_the_one_before() -> None:
    bans = Bans(POLICY)
    now, lengths = 1000.0, []
    for _ in range(6):
        ban = bans.next_for("192.0.2.7", "guessing", now)
        assert ban is not None
        lengths.append(ban.until - ban.since)
        bans.add(ban)
        assert bans.find("192.0.2.7", now) is ban
        now = ban.until + 60.0
        assert bans.find("192.0.2.7", now) is None
    assert lengths == [300.0, 1800.0, 10_800.0, 64_800.0, 86_400.0, 86_400.0]
    later = bans.next_for("192.0.2.7", "guessing", now + REMEMBERED_SECONDS)
    assert later is not None
    assert (later.times, later.until - later.since) == (1, 300.0)


def test_an_ipv6_site_is_banned_as_a_whole() -> None:
    bans = Bans(POLICY)
    ban = bans.next_for("2001:db8:1:2::9", "guessing", 0.0)
    assert ban is not None
    assert ban.network == "2001:db8:1:2::/64"
    bans.add(ban)
    assert bans.find("2001:db8:1:2:ffff::1", 1.0) is ban
    assert bans.find("2001:db8:1:3::1", 1.0) is None


def test_a_network_of_the_owner() -> None:
    bans = Bans(POLICY)
    forever = Ban("198.51.100.0/24", "no", 0.0, 0.0, "owner")
    bans.add(forever)
    assert bans.find("198.51.100.200", 1e12) is forever
    assert bans.find("::ffff:198.51.100.200", 1e12) is forever
    assert bans.find("198.51.101.1", 0.0) is None
    bans.hold([])
    assert bans.find("198.51.100.200", 0.0) is None


def test_who_is_allowed_is_never_banned() -> None:
    bans = Bans(POLICY, [ip_network("192.0.2.0/24")])
    assert bans.next_for("192.0.2.7", "guessing", 0.0) is None
    bans.add(Ban("192.0.0.0/16", "all of them", 0.0, 0.0, "owner"))
    assert bans.find("192.0.2.7", 0.0) is None
    assert bans.find("192.0.3.7", 0.0) is not None


def test_there_are_not_more_than_a_table_can_hold() -> None:
    bans = Bans(POLICY)
    for number in range(MAX_BANS + 10):
        ban = bans.next_for(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "botnet", 0.0)
        if ban is not None:
            bans.add(ban)
    assert len(bans) == MAX_BANS


@pytest.mark.parametrize(
    ("written", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("2001:db8::7", "2001:db8::/64"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_how_networks_are_written(written: str, network: str) -> None:
    assert parse_network(written) == network


@pytest.mark.parametrize("text", ["", "example.org", "192.0.2.300", "192.0.2.0/33"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(LocalError):
        parse_network(text)


def test_the_network_of_an_address() -> None:
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"
