"""SIP, SIPS, tel and other URIs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import LocalError, OtherUri, PeerError, SipUri, TelUri, parse_uri, sip_uri
from ringfence.message.uri import MAX_URI, make_aor
from tests.message.samples import status_of


@pytest.mark.rfc("3261", "19.1.3")
@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@atlanta.com",
        "sip:alice:secretword@atlanta.com;transport=tcp",
        "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sips:1212@gateway.com",
        "sip:alice@192.0.2.4",
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        "sip:alice;day=tuesday@atlanta.com",
        "sip:[2001:db8::10]:5070",
        "sip:user@[::ffff:192.0.2.2];lr",
        "sip:%00%00@h",
        "sip:a:@h",
        "SIP:h.",
        "sip:_private_host",
    ],
)
def test_a_sip_uri_keeps_its_text(text: str) -> None:
    uri = sip_uri(text)
    assert str(uri) == text
    assert sip_uri(str(uri.replace())) == uri


def test_the_parts_are_read() -> None:
    uri = sip_uri("SIPS:al%69ce:pw@EXAMPLE.org:5061;Transport=TCP;lr?subject=a%20b&x=")
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == (
        "sips",
        "al%69ce",
        "pw",
        "example.org",
        5061,
    )
    assert uri.secure
    assert uri.transport == "TCP"
    assert "lr" in uri.params
    assert uri.header_items() == [("subject", "a b"), ("x", "")]
    assert sip_uri("sip:[2001:DB8::1]").address == "2001:db8::1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip:",
        "sip:@h",
        "sip:a@",
        "sip:a b@h",
        "sip:a@h h",
        "sip: a@h",
        "sip:a@h:port",
        "sip:a@h:0",
        "sip:a@h:65536",
        "sip:a@h:99999999999",
        "sip:a@h:",
        "sip:a@h;",
        "sip:a@h;;lr",
        "sip:a@h;lr=",
        "sip:a@h;a=b=c",
        "sip:a@h;lr;LR",
        "sip:a@h?",
        "sip:a@h?x",
        "sip:a@h?=y",
        "sip:a%4@h",
        "sip:a%zz@h",
        "sip:a@b@h",
        "sip:é@h",
        "sip:a@hé",
        "sip:a@1.2.3",
        "sip:a@1.2.3.256",
        "sip:a@1.2.3.4.",
        "sip:a@-h",
        "sip:a@h-",
        "sip:a@h..org",
        "sip:a@[::1",
        "sip:a@[1:2:3]",
        "sip:a@[1::2::3]",
        "sip:a@[2001:db8:::192.0.2.1]",
        "sip:a@[12345::]",
        "sip:a@2001:db8::10",
        "<sip:a@h>",
        "noscheme",
        ":nothing",
        "tel:",
        "tel:+",
        "tel:+abc",
        "tel:12;=x",
        "tel:12;a;a",
        "tel:12;x=a@b",
        "sip:h;user=%[",
        "sip:h;other=%`",
        "tel:12;isub=",
        "urn:a b",
        "urn:a%4",
        "http://h/é",
        'im:"x"',
    ],
)
def test_a_malformed_uri_is_400(text: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse_uri(text)
    assert caught.value.status == 400


def test_other_schemes_are_kept_or_416() -> None:
    assert parse_uri("urn:service:sos") == OtherUri("urn", "service:sos")
    assert str(parse_uri("HTTP://h/p?q#f")) == "HTTP://h/p?q#f"
    assert isinstance(parse_uri("soap.beep://192.0.2.103:3002"), OtherUri)
    with pytest.raises(PeerError) as caught:
        sip_uri("urn:service:sos")
    assert caught.value.status == 416


def test_a_long_uri_is_414() -> None:
    with pytest.raises(PeerError) as caught:
        parse_uri("sip:" + "a" * MAX_URI)
    assert caught.value.status == 414


@pytest.mark.rfc("3261", "19.1.4")
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:u@[2001:db8::9:1]", "sip:u@[2001:DB8::9:01]"),
        ("sip:u@[0:0:0:0:0:FFFF:129.144.52.38]", "sip:u@[::FFFF:129.144.52.38]"),
    ],
)
def test_equivalent_uris(a: str, b: str) -> None:
    assert sip_uri(a) == sip_uri(b)
    assert hash(sip_uri(a)) == hash(sip_uri(b))


@pytest.mark.rfc("3261", "19.1.4")
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:a@h", "sips:a@h"),
        ("sip:a@h", "sip:a:pw@h"),
        ("sip:a@h", "sip:h"),
        ("sip:a%3bb@h", "sip:a;b@h"),
        ("sip:a@h;maddr=1.2.3.4", "sip:a@h"),
        ("sip:u@[::1]", "sip:u@[::2]"),
    ],
)
def test_uris_that_are_not_equivalent(a: str, b: str) -> None:
    assert sip_uri(a) != sip_uri(b)


@pytest.mark.rfc("3261", "10.3")
def test_the_address_of_record_is_canonical() -> None:
    assert sip_uri("sips:%61lice:pw@Example.ORG:5061;lr?x=y").aor == "sip:alice@example.org"
    assert sip_uri("sip:example.org;lr").aor == "sip:example.org"
    assert sip_uri("sip:null-%00-null@h").aor == "sip:null-%00-null@h"
    assert sip_uri("sip:null-%2500-null@h").aor == "sip:null-%2500-null@h"
    assert sip_uri("sip:%ff%c3%a9%40@h").aor == "sip:%FF%C3%A9%40@h"
    assert sip_uri("sip:a@[::0001]").aor == "sip:a@[::1]"


@given(st.lists(st.sampled_from(["a", "%61", "%00", "%25", "%40", "%fF", "%c3%A9", ";", "%3b"]), min_size=1))
def test_an_address_of_record_is_a_uri_and_its_own(parts: list[str]) -> None:
    aor = sip_uri(f"sip:{''.join(parts)}@h").aor
    assert sip_uri(aor).aor == aor


def test_make_aor() -> None:
    assert make_aor("bob", "Example.org") == "sip:bob@example.org"
    with pytest.raises(LocalError):
        make_aor("b b", "example.org")


@pytest.mark.rfc("3966", "5")
def test_telephone_numbers() -> None:
    uri = parse_uri("tel:+1-(201)555.0123;ext=9")
    assert isinstance(uri, TelUri)
    assert (uri.number, uri.is_global) == ("+12015550123", True)
    assert uri != parse_uri("tel:+12015550123")
    assert uri == parse_uri("TEL:+12015550123;EXT=9")
    local = parse_uri("tel:7042;phone-context=example.com")
    assert isinstance(local, TelUri)
    assert not local.is_global
    assert str(parse_uri("tel:911")) == "tel:911"
    odd = parse_uri("sip:h;Method=%x`y;transport=`;USER=%")  # tokens, not *paramchar
    assert isinstance(odd, SipUri)
    assert [odd.params.get(name) for name in ("method", "transport", "user")] == ["%x`y", "`", "%"]
    subaddress = parse_uri("tel:+1;isub=/:@&=+$,?a%20b;x=1")  # 1*uric, unlike any other parameter
    assert isinstance(subaddress, TelUri)
    assert subaddress.params.get("isub") == "/:@&=+$,?a%20b"


@given(st.text(max_size=60), st.sampled_from(["", "sip:", "sips:a@", "tel:", "urn:"]))
def test_any_text_is_a_uri_or_a_peer_error(text: str, prefix: str) -> None:
    status = status_of(parse_uri, prefix + text)
    assert status in {0, 400, 414}
    if not status:
        uri = parse_uri(prefix + text)
        assert str(uri) == prefix + text
        assert uri == parse_uri(str(uri))
        if isinstance(uri, SipUri):
            assert sip_uri(uri.aor).aor == uri.aor
