"""Settings of an account, right and wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringfence.client import UserAgent
from ringfence.client.account import make_account
from ringfence.message import LocalError


def test_what_follows_from_an_address() -> None:
    account = make_account("sips:alice%40home@example.org", password="x")
    assert (account.username, account.domain, account.secure) == ("alice@home", "example.org", True)
    assert str(account.home()) == "sips:example.org"
    assert account.tls().system_trust


def test_a_bare_address_is_sip() -> None:
    assert str(make_account("alice@example.org").aor) == "sip:alice@example.org"


def test_without_credentials_or_proxy_there_is_no_home() -> None:
    assert make_account("sip:alice@127.0.0.1").home() is None


@pytest.mark.parametrize(
    ("settings", "home"),
    [
        ({"proxy": "127.0.0.1:5070"}, "sip:127.0.0.1:5070"),
        ({"proxy": "sips:edge.example.org", "password": "x"}, "sips:edge.example.org"),
        ({"password": "x", "transport": "tcp"}, "sip:example.org;transport=tcp"),
        ({"ha1": {"SHA-256": "00" * 32}}, "sip:example.org"),
    ],
)
def test_where_everything_goes_first(settings: dict[str, Any], home: str) -> None:
    assert str(make_account("sip:alice@example.org", **settings).home()) == home


def test_roots_that_are_named_take_the_place_of_the_systems() -> None:
    tls = make_account("sips:alice@example.org", trust="ca.pem").tls()
    assert (tls.trust, tls.system_trust) == ((Path("ca.pem"),), False)


@pytest.mark.parametrize(
    ("address", "settings", "reason"),
    [
        ("sip:example.org", {}, "not the address of a user"),
        ("sip:alice@", {}, "no address"),
        ("sip:alice@example.org?x=y", {}, "not the address of a user"),
        ("tel:+358123", {}, "no address"),
        ("sip:alice@example.org", {"transport": "sctp"}, "no such transport"),
        ("sips:alice@example.org", {"transport": "tcp"}, "needs TLS"),
        ("sips:alice@example.org", {"proxy": "sip:127.0.0.1"}, "needs TLS"),
        ("sip:alice@example.org", {"proxy": "sip:"}, "no proxy"),
    ],
)
def test_settings_that_make_no_sense(address: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalError, match=reason):
        make_account(address, **settings)


def test_secrets_do_not_show() -> None:
    account = make_account("sip:alice@example.org", password="hunter2", ha1={"MD5": "c0ffee"})
    assert "hunter2" not in repr(account)
    assert "c0ffee" not in repr(account)


def test_an_agent_takes_an_account() -> None:
    account = make_account("sip:alice@example.org", password="x")
    assert UserAgent(account).account is account
