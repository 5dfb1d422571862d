"""ringfence caller: reports, the owner's word, and what a list shows."""

from __future__ import annotations

import pytest

from tests.cli.running import Shell


@pytest.fixture
def people(domain: Shell) -> Shell:
    for name in ("alice", "bob"):
        assert domain.type("user", "add", name).code == 0
    return domain


def test_a_report_is_listed_until_it_is_forgiven(people: Shell) -> None:
    result = people.type("caller", "report", "sip:mallory@example.net", "--by", "bob", "--json")
    assert (result.code, result.json) == (
        0,
        {"caller": "uri:sip:mallory@example.net", "callee": "sip:bob@example.org", "opinion": "unwanted"},
    )
    assert (
        people.type("caller", "allow", "tel:+1 215 555 1212".replace(" ", "-"), "--reason", "my dentist").code
        == 0
    )
    listed = people.type("caller", "list", "--json").json
    assert [(each["caller"], each["callee"], each["opinion"], each["reason"]) for each in listed] == [
        ("tn:12155551212", "everybody", "wanted", "my dentist"),
        ("uri:sip:mallory@example.net", "sip:bob@example.org", "unwanted", "by the owner"),
    ]
    assert [each["callee"] for each in people.type("caller", "list", "--by", "bob", "--json").json] == [
        "sip:bob@example.org"
    ]
    assert "uri:sip:mallory@example.net" in people.type("caller", "list").out
    assert people.type("caller", "forgive", "sip:mallory@example.net").code == 0
    result = people.type("caller", "forgive", "sip:mallory@example.net")
    assert (result.code, "nobody has said anything of sip:mallory@example.net" in result.err) == (1, True)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("sips:Mallory@Example.NET", "uri:sip:mallory@example.net"),
        ("sip:example.net", "domain:example.net"),
        ("sip:+12155551212@example.net;user=phone", "tn:12155551212"),
        ("domain:example.net", "domain:example.net"),
        ("address:192.0.2.1", "address:192.0.2.1"),
        ("tn:12155551212", "tn:12155551212"),
    ],
)
def test_a_caller_may_be_written_in_many_ways(name: str, kept: str, people: Shell) -> None:
    assert people.type("caller", "report", name, "--json").json["caller"] == kept


@pytest.mark.parametrize("name", ["mallory", "domain:", "http://x", "sip:", "tel:abc xyz"])
def test_what_is_no_caller_is_refused(name: str, people: Shell) -> None:
    result = people.type("caller", "report", name)
    assert (result.code, "is no caller" in result.err) == (65, True)


def test_a_callee_is_one_of_ours(people: Shell) -> None:
    result = people.type("caller", "report", "tn:1", "--by", "bob@example.net")
    assert (result.code, "is not a domain of this node" in result.err) == (65, True)
