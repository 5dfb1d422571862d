"""name-addr and addr-spec."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import NameAddr, PeerError, parse_address, parse_uri, sip_uri
from ringfence.message.params import parse_params
from ringfence.message.uri import MAX_CACHED


@pytest.mark.rfc("3261", "20.10")
@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ("sip:a@h", "", "sip:a@h", ""),
        ("<sip:a@h>", "", "sip:a@h", ""),
        (
            '"Mr. Watson" <sip:watson@h>;q=0.7; expires=3600',
            "Mr. Watson",
            "sip:watson@h",
            ";q=0.7;expires=3600",
        ),
        ("caller<sip:caller@example.com>;tag=323", "caller", "sip:caller@example.com", ";tag=323"),
        ("Bob  T. Smith <sip:b@h>", "Bob T. Smith", "sip:b@h", ""),
        ('"J \\\\\\"" <sip:j@h>', 'J \\"', "sip:j@h", ""),
        ("sip:+1@gw;unknownparam", "", "sip:+1@gw", ";unknownparam"),
        ("<sip:+1@gw;unknownparam>", "", "sip:+1@gw;unknownparam", ""),
        ("<sip:u@h?Route=%3Csip:h%3E>", "", "sip:u@h?Route=%3Csip:h%3E", ""),
        ("sip:h ;   tag    = 1", "", "sip:h", ";tag=1"),
        ("José <sip:j@h>", "José", "sip:j@h", ""),
        ("<tel:+123>;tag=x", "", "tel:+123", ";tag=x"),
    ],
)
def test_addresses(text: str, display: str, uri: str, params: str) -> None:
    address = parse_address(text)
    assert (address.display, str(address.uri), str(address.params)) == (display, uri, params)
    assert str(address) == text


@pytest.mark.rfc("3261", "25.1")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "<>",
        "Bob",
        "Bob <sip:b@h",
        "Bob sip:b@h>",
        '"Bob <sip:b@h>',
        'Bob" <sip:b@h>',
        '"Bob" "T" <sip:b@h>',
        "Bell, Alexander <sip:b@h>",
        "(Bob) <sip:b@h>",
        "< sip:b@h >",
        "<sip:b@h> x",
        "<sip:b@h>;;",
        "<<sip:b@h>>",
        "sip:b@h?x=y",
        "sip:a,b@h",
        "sip:b@h <sip:c@h>",
        "\udcff <sip:b@h>",
        "*",
    ],
)
def test_malformed_addresses(text: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse_address(text)
    assert caught.value.status == 400


def test_another_scheme_is_416_when_sip_is_needed() -> None:
    with pytest.raises(PeerError) as caught:
        _ = parse_address("<tel:123>").sip
    assert caught.value.status == 416


@given(
    st.text(max_size=20).filter(lambda t: not set(t) & {"\r", "\n"}),
    st.sampled_from(["", ";tag=1", ";a;b=2"]),
)
def test_an_address_is_written_as_it_is_read(display: str, params: str) -> None:
    address = NameAddr(sip_uri("sip:a@h"), display, parse_params(params))
    again = parse_address(str(address))
    assert again.display == display
    assert again.with_param("x", "y").params.get("x") == "y"
    assert again == address


def test_long_texts_do_not_stay_in_memory() -> None:
    short, long = "<sip:a@h>", f'"{"a" * MAX_CACHED}" <sip:a@h>'
    assert parse_address(short) is parse_address(short)
    assert parse_address(long) is not parse_address(long)
    assert parse_uri("sip:a@h") is parse_uri("sip:a@h")
    assert parse_uri(f"sip:{'a' * MAX_CACHED}@h") is not parse_uri(f"sip:{'a' * MAX_CACHED}@h")
