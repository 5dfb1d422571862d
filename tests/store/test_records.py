from __future__ import annotations

from dataclasses import replace

import pytest

from ringfence.store import HA1_LENGTHS, Account, Administrator, Rights
from ringfence.store import records as module

from .samples import account, binding


@pytest.mark.parametrize(
    "aor",
    [
        "alice@example.org",
        "sips:alice@example.org",
        "tel:+358401234567",
        "sip:example.org",
        "sip:@example.org",
        "sip:alice@",
        "sip:alice@Example.org",
    ],
)
def test_account_wants_a_canonical_address_of_record(aor: str) -> None:
    with pytest.raises(ValueError, match="address-of-record"):
        Account(aor, "alice", "example.org")


def test_account_takes_the_domain_from_behind_the_last_at() -> None:
    assert account(aor="sip:a@b@example.org").domain == "example.org"


@pytest.mark.parametrize(("user", "realm"), [("", "example.org"), ("alice", "")])
def test_account_needs_what_digest_needs(user: str, realm: str) -> None:
    with pytest.raises(ValueError, match="needs a user and a realm"):
        Account("sip:alice@example.org", user, realm)


@pytest.mark.rfc("8760", "2.3")
def test_account_takes_an_ha1_of_each_algorithm() -> None:
    credentials = {algorithm: "a" * length for algorithm, length in HA1_LENGTHS.items()}
    assert account(credentials=credentials).credentials == credentials
    assert list(HA1_LENGTHS) == ["SHA-512-256", "SHA-256", "MD5"]


@pytest.mark.parametrize(
    "credentials", [{"SHA-1": "a" * 40}, {"MD5": "a" * 64}, {"SHA-256": "A" * 64}, {"SHA-256": "g" * 64}]
)
def test_account_refuses_what_is_no_ha1(credentials: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"credential|HA1"):
        account(credentials=credentials)


def test_account_owns_its_address_and_aliases_only() -> None:
    alice = account(aliases=("sip:sales@example.org", "tel:+358401234567"))
    assert alice.owns("sip:alice@example.org")
    assert alice.owns("tel:+358401234567")
    assert not alice.owns("sip:bob@example.org")


def test_secrets_stay_out_of_repr() -> None:
    assert "5" * 64 not in repr(account())
    assert "scrypt$" not in repr(Administrator("root", "scrypt$1$2$3$4$5"))


def test_an_account_calls_addresses_but_no_numbers_unless_told() -> None:
    assert Rights().permits("sip:bob@example.net")
    assert Rights().permits("sips:bob@example.net")
    assert not Rights().permits("tel:+358401234567")
    assert not Rights().permits("http://example.net/")


@pytest.mark.parametrize(
    ("destination", "permitted"),
    [
        ("tel:+358401234567", True),
        ("tel:+358600555", False),  # premium rate: the longer deny wins
        ("tel:+3586001", True),  # an exception within it: the longer allow wins
        ("tel:+46401234567", False),
        ("sip:x@example.net", False),  # a tie: deny wins
    ],
)
def test_the_longest_prefix_decides(destination: str, permitted: bool) -> None:
    rights = Rights(
        allow=("tel:+358", "tel:+3586001", "sip:x@example.net"), deny=("tel:+358600", "sip:x@example.net")
    )
    assert rights.permits(destination) is permitted


def test_limits_are_not_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        Rights(max_calls=-1)
    with pytest.raises(ValueError, match="negative"):
        Rights(max_registrations=-1)
    assert Rights(max_calls=0, max_registrations=0).max_calls == 0


def test_an_administrator_needs_a_name() -> None:
    with pytest.raises(ValueError, match="name"):
        Administrator("", "")


def test_bindings_of_one_kind_of_phone_share_its_texts() -> None:
    first = binding(user_agent="".join(["Phone ", "1"]), path=("".join(["<sip:edge", ";lr>"]),))
    second = binding(user_agent="".join(["Phone ", "1"]), path=("".join(["<sip:edge", ";lr>"]),))
    assert first.user_agent is second.user_agent
    assert first.path[0] is second.path[0]
    assert replace(first, cseq=2).user_agent is first.user_agent


def test_texts_of_peers_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARED_TEXTS_LIMIT", 50)
    for number in range(500):
        binding(user_agent=f"scanner {number}")
    assert len(module._shared_texts) <= 50 + 3
