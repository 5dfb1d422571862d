"""What the configuration makes of guard, overload control and scanner; the script for the kernel; rules of check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringfence.guard.bans import BanPolicy, Bans
from ringfence.service.config import Config
from ringfence.service.control import CommandError
from ringfence.service.guard import ban_facts, make_clamd, make_guard, make_offload, new_ban
from ringfence.service.guard_checks import bodies_are_scanned, the_guard_watches
from ringfence.service.nftables import Offload
from ringfence.service.problems import ConfigError
from ringfence.store.records import Ban


def config(tmp_path: Path, **sections: Any) -> Config:
    return Config.from_values({"domain": {"name": "example.org"}, **sections}, tmp_path / "ringfence.toml")


def guard_of(loaded: Config) -> Any:
    return make_guard(loaded, Bans(BanPolicy()), lambda ban: None)


def test_it_is_on_by_default(tmp_path: Path) -> None:
    loaded = config(tmp_path)
    guard = guard_of(loaded)
    assert guard.policy.datagrams == (1000.0, 10_000.0)
    assert guard.policy.strangers == (3000.0, 3000.0)
    assert loaded.overload.enabled
    assert loaded.limits.drain_seconds == 10.0
    assert make_clamd(loaded) is None
    assert make_offload(loaded) is None
    assert not list(the_guard_watches(loaded))
    assert not list(bodies_are_scanned(loaded))


def test_where_nobody_is_challenged_nobody_can_be_told_apart(tmp_path: Path) -> None:
    assert guard_of(config(tmp_path, security={"challenge": "none"})) is None
    assert guard_of(config(tmp_path, guard={"enabled": False})) is None


def test_peers_by_address_and_the_allow_list_are_exempt(tmp_path: Path) -> None:
    loaded = config(
        tmp_path,
        guard={"allow": ["192.0.2.0/24"]},
        peer=[{"name": "carrier", "addresses": ["203.0.113.0/29"]}],
    )
    assert sorted(map(str, guard_of(loaded)._exempted)) == ["192.0.2.0/24", "203.0.113.0/29"]


def test_prefixes(tmp_path: Path) -> None:
    guard = guard_of(config(tmp_path, prefix=[{"prefix": "tel:+881", "calls_per_minute": 6.0}]))
    assert guard.policy.prefixes == (("tel:+881", (0.1, 6.0)),)


@pytest.mark.parametrize("address", ["/run/clamav/clamd.ctl", "192.0.2.8:3310", "[2001:db8::8]:3310"])
def test_where_clamd_is(tmp_path: Path, address: str) -> None:
    clamd = make_clamd(config(tmp_path, malware={"clamd": address}))
    assert clamd is not None
    assert clamd.address == (
        address if address.startswith("/") else (address.rpartition(":")[0].strip("[]"), 3310)
    )


def test_an_address_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clamd"):
        config(tmp_path, malware={"clamd": "clamd.example.org"})


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"guard": {"enabled": False}}, "nothing is limited"),
        ({"guard": {"ban": False}}, "guessed"),
        ({"guard": {"allow": ["0.0.0.0/0"]}}, "nothing is counted of"),
        ({"guard": {"allow": ["2001:db8::/32"]}}, "nothing is counted of"),
        ({"overload": {"enabled": False}}, "served late"),
        ({"limits": {"drain_seconds": 600.0}}, "may kill it"),
    ],
)
def test_what_weakens_it_is_said(tmp_path: Path, sections: dict[str, Any], words: str) -> None:
    found = list(the_guard_watches(config(tmp_path, **sections)))
    assert len(found) == 1
    assert words in str(found[0].problem)


def test_a_scanner_that_is_not_there_or_fails_open_is_said(tmp_path: Path) -> None:
    found = [
        str(each.problem)
        for each in bodies_are_scanned(
            config(tmp_path, malware={"clamd": str(tmp_path / "no.sock"), "fail_open": True})
        )
    ]
    assert "there is no socket" in found[0]
    assert "pass unscanned while" in found[1]


def test_the_script_for_the_kernel() -> None:
    offload = Offload("ringfence", [5060, 5060], [5061, 5060])
    bans = [
        Ban("192.0.2.7", "", 0.0, 400.0, "guard"),
        Ban("2001:db8::/64", "", 0.0, 0.0, "owner"),
        Ban("198.51.100.0/24", "", 0.0, 50.0, "owner"),
    ]
    lines = offload.script(bans, 100.0).splitlines()
    assert lines[:3] == [f"{verb} table inet ringfence" for verb in ("add", "delete", "add")]
    assert "add element inet ringfence banned4 { 192.0.2.7 timeout 300s }" in lines
    assert "add element inet ringfence banned6 { 2001:db8::/64 }" in lines
    assert not any("198.51.100.0" in line for line in lines)  # it has ended
    assert any("tcp dport { 5060, 5061 }" in line for line in lines)
    assert any("udp dport { 5060 }" in line for line in lines)


def test_bans_of_the_owner() -> None:
    ban = new_ban({"network": "192.0.2.9/24", "seconds": 60, "reason": "x" * 500}, 100.0)
    assert (ban.network, ban.until, len(ban.reason), ban.by) == ("192.0.2.0/24", 160.0, 200, "owner")
    assert ban_facts(new_ban({"network": "192.0.2.9"}, 100.0))["until"] is None
    for bad in (
        {"network": "x"},
        {},
        {"network": "192.0.2.9", "seconds": -1},
        {"network": "192.0.2.9", "seconds": "1"},
    ):
        with pytest.raises(CommandError):
            new_ban(bad, 100.0)
