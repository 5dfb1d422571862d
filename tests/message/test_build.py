"""Messages made from messages."""

from __future__ import annotations

import pytest

from ringfence.message import (
    Headers,
    Request,
    Response,
    ack_for,
    cancel_for,
    parse,
    reason_phrase,
    response_to,
)
from tests.message.samples import invite_bytes


def invite(*extra: str, to: str = "Bob <sip:bob@example.net>") -> Request:
    request = parse(invite_bytes({"To": to}, extra=extra))
    assert isinstance(request, Request)
    return request


@pytest.mark.rfc("3261", "8.2.6.2")
def test_a_response_copies_what_the_rfc_names() -> None:
    request = invite("Via: SIP/2.0/UDP b;branch=z9hG4bK2", "Record-Route: <sip:p;lr>", "Timestamp: 54")
    response = response_to(request, 404, to_tag="xyz")
    assert (response.status, response.reason) == (404, "Not Found")
    assert response.headers.names == ["Via", "To", "From", "Call-ID", "CSeq", "Via", "Content-Length"]
    assert response.to.tag == "xyz"
    assert response.headers.get("CSeq") == "314159 INVITE"
    assert parse(response.to_bytes()).to_bytes() == response.to_bytes()


@pytest.mark.rfc("3261", "12.1.1")
def test_record_route_is_copied_where_a_dialog_may_begin() -> None:
    request = invite("Record-Route: <sip:p;lr>")
    assert "Record-Route" in response_to(request, 180, to_tag="1").headers
    assert "Record-Route" in response_to(request, 200, to_tag="1").headers
    assert "Record-Route" not in response_to(request, 100).headers
    assert "Record-Route" not in response_to(request, 486, to_tag="1").headers


@pytest.mark.rfc("3261", "8.2.6.1")
def test_100_has_the_timestamp_and_no_tag() -> None:
    response = response_to(invite("Timestamp: 54"), 100, to_tag="x")
    assert response.headers.get("Timestamp") == "54"
    assert response.to.tag is None


@pytest.mark.parametrize(
    ("to", "written"),
    [
        ("sip:b@h", "sip:b@h;tag=T"),
        ("<sip:b@h>", "<sip:b@h>;tag=T"),
        ("<sip:b@h>;x=y", "<sip:b@h>;x=y;tag=T"),
        ("<sip:b@h>;tag=old", "<sip:b@h>;tag=old"),
        ("B\r\n <sip:b@h>", '"B" <sip:b@h>;tag=T'),
        ('"B <sip:b@h>', '"B <sip:b@h>'),
    ],
)
def test_the_tag_is_added_once_and_only_to_what_can_be_read(to: str, written: str) -> None:
    assert response_to(invite(to=to), 400, to_tag="T").headers.get("To") == written


@pytest.mark.rfc("3261", "17.1.1.3")
def test_ack_for_a_failure() -> None:
    request = invite("Via: SIP/2.0/UDP b;branch=z9hG4bK2", "Route: <sip:p;lr>")
    ack = ack_for(request, response_to(request, 486, to_tag="T"))
    assert (ack.method, ack.uri) == ("ACK", "sip:bob@example.net")
    assert ack.headers.all("Via") == ["SIP/2.0/UDP pc33.example.org;branch=z9hG4bK776asdhds"]
    assert ack.headers.get("To") == "Bob <sip:bob@example.net>;tag=T"
    assert ack.headers.get("CSeq") == "314159 ACK"
    assert ack.headers.get("Route") == "<sip:p;lr>"
    assert isinstance(parse(ack.to_bytes()), Request)


@pytest.mark.rfc("3261", "9.1")
def test_cancel_is_on_the_same_branch() -> None:
    request = invite("Route: <sip:p;lr>", "Require: x")
    cancel = cancel_for(request)
    assert cancel.via == request.via
    assert cancel.headers.get("CSeq") == "314159 CANCEL"
    assert cancel.headers.get("To") == request.headers.get("To")
    assert cancel.headers.get("From") == request.headers.get("From")
    assert "Require" not in cancel.headers
    assert cancel.body == b""


def test_reason_phrases() -> None:
    assert reason_phrase(606) == "Not Acceptable"
    assert reason_phrase(499) == "Request Failure"
    assert reason_phrase(999) == ""
    assert Response(200, None, Headers()).reason == "OK"


def test_the_body_brings_its_length() -> None:
    response = response_to(invite(), 200, to_tag="1")
    response.set_body(b"hello", "text/plain")
    assert response.headers.get("Content-Length") == "5"
    response.set_body(b"")
    assert "Content-Type" not in response.headers
    assert response.copy().to_bytes() == response.to_bytes()
