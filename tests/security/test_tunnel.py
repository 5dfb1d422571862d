"""Tunnelled header fields: proxies may do their work, and whatever else changes is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import Headers, Message, PeerError, Request, Response, parse
from ringfence.message.multipart import make_entity
from ringfence.message.sipfrag import Fragment, fragment_of, parse_fragment
from ringfence.security.tunnel import (
    CONFIDENTIAL,
    MODIFIABLE,
    REQUEST_URI,
    START_LINE,
    Compared,
    Comparison,
    age_flaw,
    compare,
    read_tunnelled,
    tunnelled,
)

SENT = b"""\
INVITE sip:bob@biloxi.com SIP/2.0
Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8
To: Bob <sip:bob@biloxi.com>
From: Alice <sip:alice@atlanta.com>;tag=1928301774
Call-ID: a84b4c76e66710
CSeq: 314159 INVITE
Max-Forwards: 70
Date: Thu, 21 Feb 2002 13:02:03 GMT
Contact: <sip:alice@pc33.atlanta.com>;+sip.instance="<urn:uuid:1>"
Subject: Lunch
Supported: replaces, 100rel
Allow: INVITE, ACK, BYE
User-Agent: Softphone 1.0
X-Custom: value
Content-Type: application/sdp
Content-Length: 5

v=0
""".replace(b"\n", b"\r\n")


def sent() -> Request:
    message = parse(SENT)
    assert isinstance(message, Request)
    return message


def inner() -> Fragment:
    found = read_tunnelled(tunnelled(sent()))
    assert found is not None
    assert found[1]
    return found[0]


def verdict(comparison: Comparison, name: str) -> Compared:
    return next(line.compared for line in comparison.lines if line.name == name)


def named(comparison: Comparison) -> set[str]:
    return {line.name for line in comparison.violations}


@pytest.mark.rfc("3261", "23.4.2")
def test_an_untouched_message_is_the_same_in_every_line() -> None:
    comparison = compare(inner(), sent())
    assert {line.compared for line in comparison.lines} == {Compared.SAME}
    assert [line.name for line in comparison.lines][:3] == [START_LINE, REQUEST_URI, "Via"]


def proxy_edits() -> dict[str, Callable[[Request], None]]:
    """What proxies lawfully do, each as one small change."""

    def prepend(name: str, value: str) -> Callable[[Request], None]:
        return lambda message: message.headers.prepend(name, value)

    def put(name: str, value: str) -> Callable[[Request], None]:
        return lambda message: message.headers.set(name, value)

    def drop(name: str) -> Callable[[Request], None]:
        return lambda message: message.headers.remove(name)

    def split_allow(message: Request) -> None:
        message.headers.set("Allow", "INVITE")
        message.headers.add("Allow", "ACK ,BYE")

    def retarget(message: Request) -> None:
        message.uri = "sip:bob@192.0.2.4"

    return {
        "via": prepend("Via", "SIP/2.0/TLS proxy.atlanta.com;branch=z9hG4bK77ef4c"),
        "received": put("Via", "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8;received=192.0.2.1"),
        "record-route": prepend("Record-Route", "<sip:proxy.atlanta.com;lr>"),
        "route": prepend("Route", "<sip:proxy.biloxi.com;lr>"),
        "max-forwards": put("Max-Forwards", "68"),
        "retarget": retarget,
        "asserted": put("P-Asserted-Identity", "<sip:alice@atlanta.com>"),
        "identity": put("Identity", "a.b.c;info=<https://atlanta.com/cert>"),
        "history": put("History-Info", "<sip:bob@biloxi.com>;index=1"),
        "session": put("Session-Expires", "1800;refresher=uac"),
        "proxy-auth": drop("Proxy-Authorization"),
        # Another spelling of the same: RFC 3261 sections 7.3.1 and 20.
        "fold list": put("Supported", "replaces,100REL"),
        "split list": split_allow,
        "spaces": put("To", "Bob  <sip:bob@biloxi.com>"),
        "quotes": put("From", '"Alice" <sip:alice@atlanta.com> ; tag=1928301774'),
        "host case": put("Contact", '<sip:alice@PC33.atlanta.com>;+sip.instance="<urn:uuid:1>"'),
        "cseq": put("CSeq", "314159  INVITE"),
    }  # fmt: skip


EDITS = proxy_edits()


@pytest.mark.rfc("3261", "23.4.1.1")
@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(sorted(EDITS)), max_size=8))
def test_lawful_changes_raise_no_alarm(names: list[str]) -> None:
    message = sent()
    for name in names:
        EDITS[name](message)
    arrived = parse(message.to_bytes())
    assert named(compare(inner(), arrived)) == set()


PROTECTED = [
    "To",
    "From",
    "Call-ID",
    "CSeq",
    "Date",
    "Contact",
    "Subject",
    "Supported",
    "Allow",
    "User-Agent",
    "X-Custom",
]
OTHER = {
    "To": "<sip:carol@biloxi.com>",
    "From": "Alice <sip:alice@atlanta.com>;tag=1928301775",
    "CSeq": "314160 INVITE",
    "Date": "Thu, 21 Feb 2002 13:02:04 GMT",
    "Contact": '<sip:mallory@192.0.2.66>;+sip.instance="<urn:uuid:1>"',
}


@pytest.mark.rfc("3261", "23.4.1.1")
@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(EDITS)), max_size=4),
    st.dictionaries(
        st.sampled_from(PROTECTED), st.sampled_from(["change", "remove", "repeat"]), min_size=1, max_size=4
    ),
    st.booleans(),
)
def test_unlawful_changes_are_always_named(lawful: list[str], unlawful: dict[str, str], adds: bool) -> None:
    message = sent()
    for name in lawful:
        EDITS[name](message)
    for name, how in unlawful.items():
        if how == "change":
            message.headers.set(name, OTHER.get(name, "mallory"))
        elif how == "remove":
            message.headers.remove(name)
        else:
            message.headers.add(name, OTHER.get(name, "mallory"))
    if adds:
        message.headers.add("Reply-To", "<sip:mallory@biloxi.com>")
    comparison = compare(inner(), message)
    assert named(comparison) == set(unlawful) | ({"Reply-To"} if adds else set())
    for name, how in unlawful.items():
        assert verdict(comparison, name) is (Compared.MISSING if how == "remove" else Compared.CHANGED)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(PROTECTED), st.integers(0, 200), st.characters(codec="ascii", exclude_characters="\r\n")
)
def test_a_changed_character_is_named_unless_it_means_the_same(
    name: str, position: int, character: str
) -> None:
    message = sent()
    value = message.headers.get(name) or ""
    at = position % len(value)
    changed = value[:at] + character + value[at + 1 :]
    message.headers.set(name, changed)
    line = next(line for line in compare(inner(), message).lines if line.name == name)
    if line.compared is Compared.SAME:
        # The same but for case, white space and empty elements of lists, which SIP does not tell apart there.
        assert meaning(changed) == meaning(value)


def meaning(value: str) -> list[str]:
    return [each for each in "".join(value.lower().split()).split(",") if each]


def test_a_display_name_is_not_compared_but_told() -> None:
    message = sent()
    message.headers.set("From", '"Your Bank" <sip:alice@atlanta.com>;tag=1928301774')
    comparison = compare(inner(), message)
    assert (named(comparison), verdict(comparison, "From")) == (set(), Compared.ALLOWED)
    assert comparison.shown("From") == ("Alice <sip:alice@atlanta.com>;tag=1928301774",)


def test_a_parameter_that_was_added_to_a_contact_is_named() -> None:
    message = sent()
    message.headers.set("Contact", f"{message.headers.get('Contact')};expires=0")
    assert named(compare(inner(), message)) == {"Contact"}


def test_another_method_or_status_is_named() -> None:
    message = sent()
    message.method = "MESSAGE"
    assert START_LINE in named(compare(inner(), message))
    copy = parse_fragment(b"SIP/2.0 200 OK\r\nCall-ID: 1\r\n")
    assert named(compare(copy, Response(200, "Fine", Headers([("Call-ID", "1")])))) == set()
    assert named(compare(copy, Response(486, "Busy Here", Headers([("Call-ID", "1")])))) == {START_LINE}
    assert named(compare(copy, sent())) >= {START_LINE}
    assert named(compare(parse_fragment(b"Call-ID: a84b4c76e66710\r\n"), sent())) >= {START_LINE}


# ---- encrypted copies ----


@pytest.mark.rfc("3261", "23.4.1.2")
def test_what_is_hidden_inside_is_shown_and_no_violation() -> None:
    message = sent()
    for name in CONFIDENTIAL:
        message.headers.remove(name)
    message.headers.set("From", '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1928301774')
    message.headers.remove("X-Custom")
    comparison = compare(inner(), message, encrypted=True)
    assert named(comparison) == set()
    hidden = {line.name for line in comparison.lines if line.compared is Compared.HIDDEN}
    assert hidden == {"From", "Subject", "Supported", "User-Agent", "X-Custom"}
    assert comparison.shown("Subject") == ("Lunch",)
    assert comparison.shown("From") == ("Alice <sip:alice@atlanta.com>;tag=1928301774",)
    assert named(compare(inner(), message)) == {"From", "Subject", "Supported", "User-Agent", "X-Custom"}


@pytest.mark.rfc("3261", "23.4.1.2")
@pytest.mark.parametrize("name", ["Date", "Call-ID", "CSeq", "Contact"])
def test_these_must_be_the_same_even_when_encrypted(name: str) -> None:
    message = sent()
    message.headers.set(name, OTHER.get(name, "mallory"))
    assert named(compare(inner(), message, encrypted=True)) == {name}
    message.headers.remove(name)
    assert verdict(compare(inner(), message, encrypted=True), name) is Compared.MISSING


@pytest.mark.rfc("3261", "23.4.1.2")
def test_useless_encrypted_fields_are_ignored() -> None:
    copy = parse_fragment(b"Priority: emergency\r\n")
    comparison = compare(copy, Request("INVITE", "sip:b@c", Headers()), encrypted=True, whole=False)
    assert verdict(comparison, "Priority") is Compared.ALLOWED


# ---- fragments, time, bounds ----


def test_a_fragment_judges_only_what_it_holds() -> None:
    entity = make_entity("message/sipfrag", fragment_of(sent(), ["From", "Call-ID"]).to_bytes())
    found = read_tunnelled(entity)
    assert found is not None
    copy, whole = found
    assert not whole
    comparison = compare(copy, sent(), whole=False)
    assert [(line.name, line.compared) for line in comparison.lines] == [
        ("From", Compared.SAME),
        ("Call-ID", Compared.SAME),
    ]


@pytest.mark.rfc("3893", "3")
def test_a_tag_that_came_later_is_no_violation() -> None:
    copy = parse_fragment(b"From: Alice <sip:alice@atlanta.com>\r\n")
    assert named(compare(copy, sent(), whole=False)) == set()
    other = parse_fragment(b"From: Alice <sip:alice@atlanta.com>;tag=other\r\n")
    assert named(compare(other, sent(), whole=False)) == {"From"}


@pytest.mark.rfc("3261", "23.4.2")
def test_an_old_date_is_told() -> None:
    when = 1014296523.0
    headers = sent().headers
    assert age_flaw(headers, when) is None
    assert age_flaw(headers, when + 3600) is None
    assert "old" in (age_flaw(headers, when + 3601) or "")
    assert "ahead" in (age_flaw(headers, when - 3601) or "")
    assert age_flaw(Headers(), when) == "no Date is signed"


@pytest.mark.rfc("3261", "23.4.2")
def test_the_example_of_the_rfc_has_addresses_without_scheme() -> None:
    """RFC 3261 prints ``To: Bob <bob@biloxi.com>`` inside: no URI, so it is not what arrived outside."""
    copy = inner()
    copy.headers.set("To", "Bob <bob@biloxi.com>")
    assert named(compare(copy, sent())) == {"To"}


def test_what_is_no_tunnel() -> None:
    assert read_tunnelled(make_entity("application/sdp", b"v=0\r\n")) is None
    with pytest.raises(PeerError):
        read_tunnelled(make_entity("message/sip", b"no header field\r\n"))


def test_the_tables_do_not_overlap() -> None:
    assert not set(MODIFIABLE) & (CONFIDENTIAL | set(PROTECTED) - {"Subject"})


@pytest.mark.rfc("3329", "2.3.1")
def test_the_first_hop_takes_its_agreement_off() -> None:
    message = sent()
    message.headers.add("Require", "sec-agree, 100rel")
    message.headers.add("Proxy-Require", "sec-agree")
    message.headers.add("Security-Verify", "tls;q=0.2")
    found = read_tunnelled(tunnelled(message))
    assert found is not None
    message.headers.set("Require", "100rel")
    message.headers.remove("Proxy-Require")
    message.headers.remove("Security-Verify")
    comparison = compare(found[0], message)
    assert named(comparison) == set()
    assert verdict(comparison, "Require") is Compared.ALLOWED
    message.headers.remove("Require")  # 100rel was for the other end
    assert named(compare(found[0], message)) == {"Require"}


VALUE = st.text("abcdefghij0123456789", min_size=1, max_size=12)
HOW = st.sampled_from(["add", "change", "remove"])


def edit(message: Message, name: str, how: str, value: str) -> None:
    if how == "remove":
        message.headers.remove(name)
    elif how == "change":
        message.headers.set(name, value)
    else:
        message.headers.add(name, value)


@pytest.mark.rfc("3261", "23.4.1.1")
@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(MODIFIABLE)), st.tuples(HOW, VALUE), max_size=6))
def test_whatever_a_proxy_may_touch_raises_no_alarm(edits: dict[str, tuple[str, str]]) -> None:
    """Every header field of the table, added, changed or removed, with any value."""
    message = sent()
    for name, (how, value) in edits.items():
        edit(message, name, how, value)
    assert named(compare(inner(), message)) == set()


@settings(max_examples=200, deadline=None)
@given(
    st.text("ABCDEFGHIJ-", min_size=1, max_size=8).map(lambda text: f"X-{text.strip('-') or 'A'}"),
    HOW.filter(lambda how: how != "remove"),
    VALUE,
    st.dictionaries(st.sampled_from(sorted(MODIFIABLE)), st.tuples(HOW, VALUE), max_size=3),
)
def test_a_field_that_nobody_knows_is_named_when_it_was_added(
    name: str, how: str, value: str, edits: dict[str, tuple[str, str]]
) -> None:
    message = sent()
    for each, (each_how, each_value) in edits.items():
        edit(message, each, each_how, each_value)
    edit(message, name, how, value)
    assert {each.lower() for each in named(compare(inner(), message))} == {name.lower()}
