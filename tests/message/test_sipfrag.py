"""message/sipfrag (RFC 3420): the examples of the RFC, valid and invalid."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import PeerError, Request, parse
from ringfence.message.sipfrag import Fragment, RequestLine, StatusLine, fragment_of, parse_fragment

IDENTITY = (
    b"From: Alice <sip:alice@atlanta.com>\r\n"
    b"To: Bob <sip:bob@biloxi.com>\r\n"
    b"Contact: <sip:alice@pc33.atlanta.com>\r\n"
    b"Date: Thu, 21 Feb 2002 13:02:03 GMT\r\n"
    b"Call-ID: a84b4c76e66710\r\n"
    b"Cseq: 314159 INVITE\r\n"
)


@pytest.mark.rfc("3420", "3.1")
@pytest.mark.parametrize(
    ("data", "start", "names", "body"),
    [
        (b"INVITE sip:alice@atlanta.com SIP/2.0", RequestLine("INVITE", "sip:alice@atlanta.com"), [], b""),
        (b"SIP/2.0 603 Declined\r\n", StatusLine(603, "Declined"), [], b""),
        (
            b"REGISTER sip:atlanta.com SIP/2.0\r\nTo: sip:alice@atlanta.com\r\n"
            b"Contact: <sip:alicepc@atlanta.com>;q=0.9,\r\n         <sip:alicemobile@atlanta.com>;q=0.1\r\n",
            RequestLine("REGISTER", "sip:atlanta.com"),
            ["To", "Contact"],
            b"",
        ),
        (
            b'SIP/2.0 400 Bad Request\r\nWarning: 399 atlanta.com "Your Event header field was malformed"\r\n',
            StatusLine(400, "Bad Request"),
            ["Warning"],
            b"",
        ),
        (IDENTITY, None, ["From", "To", "Contact", "Date", "Call-ID", "CSeq"], b""),
        (
            b"Content-Type: text/plain\r\nContent-Length: 11\r\n\r\nHi There!\r\n",
            None,
            ["Content-Type", "Content-Length"],
            b"Hi There!\r\n",
        ),
    ],
)
def test_valid_fragments(data: bytes, start: object, names: list[str], body: bytes) -> None:
    fragment = parse_fragment(data)
    assert (fragment.start, fragment.headers.names, fragment.body) == (start, names, body)


@pytest.mark.rfc("3420", "3.2")
@pytest.mark.parametrize(
    "data",
    [
        b"INVITE",
        b"INVITE sip:alice@atlanta.com SIP/1.09",
        b"SIP/2.0",
        b"404 Not Found",
        b"INVITE sip:alice@atlanta.com SIP/2.0\r\nVia: SIP/2.0/UDP ;branch=z9hG4bK29342a\r\n",
        b"To: <>;tag=39234\r\n",
        b"Call-ID: this is invalid\r\n",
        b"From: <sip:bob@biloxi.com>;tag=z9hG4bK2912;tag=z9hG4bK99234\r\n",
        b"MESSAGE sip:alice@atlanta.com SIP/2.0\r\n\r\nHi There!\r\n",
        b"MESSAGE sip:alice@atlanta.com SIP/2.0\r\nHi There!\r\n",
    ],
)
def test_invalid_fragments(data: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        parse_fragment(data)
    assert caught.value.status == 400


def test_a_fragment_is_written_as_it_is_read() -> None:
    fragment = parse_fragment(IDENTITY)
    assert parse_fragment(fragment.to_bytes()).headers.lines == fragment.headers.lines
    whole = Fragment(StatusLine(200, "OK"), parse_fragment(b"Content-Type: text/plain\r\n").headers, b"Hi")
    assert whole.to_bytes() == b"SIP/2.0 200 OK\r\nContent-Type: text/plain\r\n\r\nHi"
    assert parse_fragment(whole.to_bytes())[::2] == (StatusLine(200, "OK"), b"Hi")


def test_a_fragment_of_a_message() -> None:
    message = parse(
        b"INVITE sip:bob@biloxi.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n" + IDENTITY + b"\r\n"
    )
    assert isinstance(message, Request)
    fragment = fragment_of(message, ["Call-ID", "From"], start=True)
    assert fragment.start == RequestLine("INVITE", "sip:bob@biloxi.com")
    assert fragment.headers.lines == ["Call-ID: a84b4c76e66710", "From: Alice <sip:alice@atlanta.com>"]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_octets_are_a_fragment_or_a_peer_error(data: bytes) -> None:
    try:
        fragment = parse_fragment(data)
    except PeerError:
        return
    parse_fragment(fragment.to_bytes())
