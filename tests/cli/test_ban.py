"""ringfence ban, on the database of a node that does not run; tests/interop/test_bans.py has one that does."""

from __future__ import annotations

import pytest

from tests.cli.running import Shell


def test_a_ban_is_listed_until_it_is_removed(domain: Shell) -> None:
    result = domain.type("ban", "add", "192.0.2.9/24", "--for", "6h", "--reason", "floods", "--json")
    assert result.code == 0
    assert result.json["network"] == "192.0.2.0/24"
    assert result.json["until"] - result.json["since"] == pytest.approx(6 * 3600)
    assert domain.type("ban", "add", "2001:db8::7").code == 0
    listed = domain.type("ban", "list", "--json").json
    assert [(each["network"], each["reason"], each["by"]) for each in listed] == [
        ("192.0.2.0/24", "floods", "owner"),
        ("2001:db8::/64", "by the owner", "owner"),
    ]
    assert "floods" in domain.type("ban", "list").out
    assert domain.type("ban", "remove", "192.0.2.0/24").code == 0
    result = domain.type("ban", "remove", "192.0.2.0/24")
    assert (result.code, "is not banned" in result.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "code"),
    [(("192.0.2.300",), 1), (("192.0.2.1", "--for", "soon"), 2), (("192.0.2.1", "--for", "0"), 2)],
)
def test_what_is_no_ban(domain: Shell, words: tuple[str, ...], code: int) -> None:
    result = domain.type("ban", "add", *words)
    assert result.code == code
    assert "write" in result.err
