"""Folding, quoting, escapes, hosts, comma lists, parameters."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import LocalError, PeerError, grammar, parse_address, parse_params, parse_uri
from ringfence.message.fields.via import parse_via
from ringfence.message.names import canonical_name
from ringfence.message.params import MAX_PARAMS, Params
from tests.message.samples import status_of


def test_unfolding_leaves_one_space() -> None:
    assert grammar.unfold(" a \t\r\n \t b ") == "a b"
    assert grammar.unfold("\r\n ") == ""


@given(st.text())
def test_quoting_is_undone(text: str) -> None:
    assert grammar.unquote(grammar.quote(text)) == text
    assert grammar.quoted(grammar.quote(text)) or "\n" in text or "\r" in text
    assert not re.search(r"(?<!\\)[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", grammar.quote(text).replace("\\\\", ""))


@pytest.mark.parametrize("text", ["a", '"a', 'a"', '"', ""])
def test_what_is_not_quoted_stays(text: str) -> None:
    assert grammar.unquote(text) == text


def test_escapes() -> None:
    assert grammar.unescape("a%20b%c3%A9%00%zz%ff") == "a bé\x00%zz\udcff"


@pytest.mark.rfc("5954", "4.1")
@pytest.mark.parametrize(
    "text",
    [
        "::",
        "::1",
        "1::",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:1.2.3.4",
        "::ffff:192.0.2.1",
        "1::8",
        "1:2:3:4:5:6:7::",
    ],
)
def test_ipv6_addresses(text: str) -> None:
    assert grammar.valid_ipv6(text)
    assert grammar.valid_host(f"[{text}]")


@pytest.mark.parametrize(
    "text",
    ["", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "::g", "::12345", "::1.2.3", "1.2.3.4::",
     "::1.2.3.4:5", "zzzz::1", "٣::", "1:2:3:4:5:6:7:8::", "2001:db8:::192.0.2.1"],
)  # fmt: skip
def test_what_is_no_ipv6_address(text: str) -> None:
    assert not grammar.valid_ipv6(text)


@pytest.mark.rfc("3261", "7.3.1")
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("a", ["a"]),
        ("a, b ,c", ["a", "b", "c"]),
        ('"a, b" <sip:x,y@h>;p="1,2", c', ['"a, b" <sip:x,y@h>;p="1,2"', "c"]),
        ('"a\\"," <sip:h>,d', ['"a\\"," <sip:h>', "d"]),
        (",a,,", ["a"]),
    ],
)
def test_comma_lists(text: str, parts: list[str]) -> None:
    assert grammar.split_list(text) == parts


@pytest.mark.parametrize("text", ['a, "b', "a, <b", 'a, "b\\', "," * 600])
def test_broken_lists(text: str) -> None:
    with pytest.raises(PeerError) as caught:
        grammar.split_list(text, "Contact")
    assert (caught.value.status, caught.value.header) == (400, "Contact")


def test_parameters() -> None:
    params = parse_params(' ; Tag = "a;\\"b" ;lr;ip=[::1]; x=1.2/3 ')
    assert params.get("tag") == 'a;"b'
    assert params.raw("tag") == '"a;\\"b"'
    assert params.get("lr") == ""
    assert params.raw("lr") is None
    assert params.get("none") is None
    assert "ip" in params
    assert len(params) == 4
    assert str(params) == ';Tag="a;\\"b";lr;ip=[::1];x=1.2/3'
    assert str(params.with_("LR", "on").without("tag", "x").with_("new", None)) == ";lr=on;ip=[::1];new"
    assert parse_params(str(params)) == params


@pytest.mark.parametrize(
    "text",
    [
        "x",
        ";",
        ";;",
        ";a=",
        ';a="',
        ';a="b"c',
        ";a b",
        ";a=b c",
        ";=b",
        ";a=1;A=2",
        ";a=<",
        ";(a)",
        ";a=b,c",
        ";é=1",
    ],
)
def test_broken_parameters(text: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse_params(text, "Via")
    assert (caught.value.status, caught.value.header) == (400, "Via")


def test_too_many_parameters() -> None:
    assert len(parse_params("".join(f";p{i}" for i in range(MAX_PARAMS)))) == MAX_PARAMS
    with pytest.raises(PeerError):
        parse_params("".join(f";p{i}" for i in range(MAX_PARAMS + 1)))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.text("xyz019-", min_size=1)), max_size=6))
def test_parameters_are_written_as_read(items: list[tuple[str, str | None]]) -> None:
    params = Params(tuple(dict(items).items()))
    assert parse_params(str(params)) == params


def test_names() -> None:
    assert canonical_name("cAlL-iD \t") == "Call-ID"
    assert canonical_name("V") == "Via"
    assert canonical_name("x-fOO-bar") == "X-Foo-Bar"
    for wrong in ("", "a b", "a:b", "é", "a\x00"):
        with pytest.raises(PeerError):
            canonical_name(wrong)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (parse_address, " " * 60_000),
        (parse_address, '"' + "a" * 60_000),
        (parse_address, '"' + "\\a" * 30_000),
        (parse_address, "a " * 30_000),
        (parse_address, "<" * 60_000),
        (parse_address, "<sip:a@b>" + ";a" * 30_000),
        (parse_address, "<sip:a@b>" + " " * 60_000 + "x"),
        (parse_params, ";a=" + "a" * 60_000 + "<"),
        (parse_params, ";" + " " * 60_000 + "="),
        (parse_params, ";a" + " " * 60_000 + "="),
        (parse_via, "SIP/2.0/UDP " + "a-" * 30_000),
        (parse_via, "SIP/2.0/UDP " + "a." * 30_000 + "!"),
        (parse_via, "SIP" + " " * 60_000 + "/2.0"),
        (parse_via, "SIP/2.0/UDP h" + ";a=b" * 15_000 + "("),
        (parse_via, "SIP/2.0/UDP" + " " * 60_000),
        (parse_uri, "sip:" + "a" * 4000 + "%"),
        (parse_uri, "sip:a@" + "a-" * 2000),
        (parse_uri, "sip:a@h" + ";a" * 2000),
        (parse_uri, "tel:" + "1" * 4000 + ";" * 50),
        (grammar.split_list, '"' * 60_001),
        (grammar.split_list, ",<" * 500),
        (grammar.unfold, "\r\n " * 20_000),
        (grammar.unfold, " " * 60_000 + "a"),
        (grammar.unfold, (" " * 1000 + "a\r\n ") * 50),
    ],
)
def test_no_text_makes_us_slow(read: Callable[[str], object], text: str) -> None:
    begin = time.process_time()
    assert status_of(read, text) in {0, 400, 414}
    assert time.process_time() - begin < 0.2


def test_our_own_misuse_is_a_local_error() -> None:
    assert issubclass(LocalError, ValueError)
