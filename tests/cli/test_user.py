"""ringfence user: accounts."""

import asyncio
from typing import Any

import pytest

from ringfence.cli.accounts import ALPHABET, generate_password
from ringfence.security.digest import Algorithm, make_ha1
from ringfence.store.database import Database
from ringfence.store.records import Account
from tests.cli.running import Shell


def stored(shell: Shell, aor: str) -> Account | None:
    async def find() -> Account | None:
        database = await Database.open(f"sqlite:///{shell.directory}/data/ringfence.db")
        try:
            return database.accounts.by_aor(aor)
        finally:
            await database.close()

    return asyncio.run(find())


def listed(shell: Shell) -> dict[str, Any]:
    return {each["aor"]: each for each in shell.type("user", "list", "--json").json}


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "alice@example.org",
        "sip:alice@example.org",
        "sips:alice@EXAMPLE.org",
        "SIP:alice@example.org",
    ],
)
def test_an_address_is_taken_as_people_write_it(domain: Shell, text: str) -> None:
    assert domain.type("user", "add", text, "--json").json["aor"] == "sip:alice@example.org"
    assert list(listed(domain)) == ["sip:alice@example.org"]


def test_an_alias_of_the_domain_has_the_same_users(domain: Shell) -> None:
    path = domain.directory / "ringfence.toml"
    text = path.read_text().replace(
        'name = "example.org"', 'name = "example.org"\naliases = ["example.com"]', 1
    )
    path.write_text(text)
    assert domain.type("user", "add", "alice@example.com", "--json").json["aor"] == "sip:alice@example.org"
    assert domain.type("user", "add", "alice@example.org").code == 1


def test_the_password_is_shown_once_and_only_its_digests_are_kept(domain: Shell) -> None:
    shown = domain.type("user", "add", "alice", "--json").json
    account = stored(domain, "sip:alice@example.org")
    assert account is not None
    assert account.credentials == {
        str(algorithm): make_ha1("alice", "example.org", shown["password"], algorithm)
        for algorithm in (Algorithm.SHA_512_256, Algorithm.SHA_256)
    }
    assert shown["password"] not in domain.type("user", "list", "--json").out
    assert "HA1" not in domain.type("user", "list").out


def test_md5_is_kept_only_where_it_is_asked_for(domain: Shell) -> None:
    result = domain.type(
        "user", "add", "old", "--password", "-", "--allow-md5", stdin="a long enough secret\n"
    )
    assert "MD5 is not offered" in result.err
    account = stored(domain, "sip:old@example.org")
    assert account is not None
    assert account.credentials["MD5"] == make_ha1("old", "example.org", "a long enough secret", Algorithm.MD5)
    domain.type("user", "passwd", "old")
    account = stored(domain, "sip:old@example.org")
    assert account is not None
    assert "MD5" not in account.credentials


def test_a_password_is_read_from_standard_input_and_not_shown(domain: Shell) -> None:
    result = domain.type(
        "user", "add", "alice", "--password", "-", stdin="correct horse battery\nnext line\n"
    )
    assert result.code == 0
    assert "correct horse" not in result.out + result.err
    account = stored(domain, "sip:alice@example.org")
    assert account is not None
    assert account.credentials["SHA-256"] == make_ha1(
        "alice", "example.org", "correct horse battery", Algorithm.SHA_256
    )


def test_a_short_password_is_remarked_on(domain: Shell) -> None:
    result = domain.type("user", "add", "alice", "--password", "-", stdin="secret\n")
    assert result.code == 0
    assert "shorter than 12" in result.err


def test_a_password_on_the_command_line_is_refused_and_not_repeated(domain: Shell) -> None:
    result = domain.type("user", "add", "alice", "--password", "hunter2hunter2")
    assert result.code == 2
    assert "can be seen by every user" in result.err
    assert "hunter2" not in result.err
    assert listed(domain) == {}


def test_an_empty_password_is_refused(domain: Shell) -> None:
    assert domain.type("user", "add", "alice", "--password", "-").code == 65


def test_a_prompt_needs_a_terminal(domain: Shell) -> None:
    assert domain.type("user", "add", "alice", "--password", "prompt").code == 2


def test_an_account_is_added_once(domain: Shell) -> None:
    assert domain.type("user", "add", "alice").code == 0
    result = domain.type("user", "add", "alice")
    assert result.code == 1
    assert "alice@example.org" in result.err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("alice@example.net", "example.net is not a domain of this node; domains here: example.org"),
        ("@example.org", "is no"),
        ("alice@", "is no"),
        ("alice@example.org;transport=tls", "is not the address of a user"),
        ("alice@example.org:5060", "is not the address of a user"),
        ("", "is no"),
        ("a b@example.org", "is no address"),
        ("alice:secret@example.org", "is not the address of a user"),
    ],
)
def test_what_is_no_address_here_is_refused(domain: Shell, text: str, reason: str) -> None:
    result = domain.type("user", "add", text)
    assert result.code == 65
    assert reason in result.err


def test_rights_are_given_shown_and_changed(domain: Shell) -> None:
    added = domain.type(
        "user", "add", "alice", "--display-name", "Alice", "--alias", "a.liddell", "--allow", "sip:", "--allow",
        "tel:+358", "--deny", "tel:+358700", "--max-calls", "2",
    )  # fmt: skip
    assert added.code == 0
    facts = listed(domain)["sip:alice@example.org"]
    assert facts["aliases"] == ["sip:a.liddell@example.org"]
    assert (facts["allow"], facts["deny"], facts["max_calls"]) == (["sip:", "tel:+358"], ["tel:+358700"], 2)
    changed = domain.type("user", "limit", "alice", "--max-registrations", "0", "--disable", "--json").json
    assert (changed["max_registrations"], changed["disabled"], changed["max_calls"]) == (0, True, 2)
    assert domain.type("user", "limit", "alice", "--enable", "--json").json["disabled"] is False
    assert listed(domain)["sip:alice@example.org"] == changed | {"disabled": False, "phones": 0}


def test_showing_limits_changes_nothing(domain: Shell) -> None:
    domain.type("user", "add", "alice")
    before = stored(domain, "sip:alice@example.org")
    assert domain.type("user", "limit", "alice").code == 0
    assert stored(domain, "sip:alice@example.org") == before


def test_an_account_is_removed(domain: Shell) -> None:
    domain.type("user", "add", "alice")
    assert domain.type("user", "remove", "alice", "--json").json == {
        "aor": "sip:alice@example.org",
        "removed": True,
    }
    assert listed(domain) == {}
    assert domain.type("user", "remove", "alice").code == 1


@pytest.mark.parametrize("command", ["passwd", "limit"])
def test_an_account_that_is_not_there(domain: Shell, command: str) -> None:
    result = domain.type("user", command, "nobody")
    assert result.code == 1
    assert "there is no account sip:nobody@example.org" in result.err


def test_a_domain_without_database_says_what_to_run(domain: Shell) -> None:
    (domain.directory / "data/ringfence.db").unlink()
    result = domain.type("user", "list")
    assert result.code == 69
    assert "run ringfence init" in result.err
    assert not (domain.directory / "data/ringfence.db").exists()


def test_generated_passwords_differ_and_can_be_typed() -> None:
    found = {generate_password() for _ in range(100)}
    assert len(found) == 100
    for password in found:
        assert [len(group) for group in password.split("-")] == [5, 5, 5, 5]
        assert set(password) <= set(ALPHABET + "-")
