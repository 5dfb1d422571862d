"""Bodies: the session description or the text in them, or a refusal."""

from __future__ import annotations

import pytest

from ringfence.client.body import check_body, sdp_of, text_of
from ringfence.message import Headers, PeerError, Request
from tests.client.stranger import SDP


def message(content_type: str, body: bytes, **headers: str) -> Request:
    more = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Request("MESSAGE", "sip:a@b", Headers([("Content-Type", content_type), *more]), body)


MIXED = (
    b"--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    b"--x\r\nContent-Type: application/sdp\r\n\r\n" + SDP.format(port=9).encode() + b"\r\n--x--\r\n"
)


def test_a_description_is_found_in_a_multipart() -> None:
    found = sdp_of(message("multipart/mixed;boundary=x", MIXED))
    assert found is not None
    assert found.media[0].port == 9
    assert sdp_of(message("text/plain", b"x")) is None
    assert sdp_of(Request("INVITE", "sip:a@b", Headers())) is None


def test_texts() -> None:
    assert text_of(message("text/plain;charset=iso-8859-1", b"\xe4")) == ("text/plain", "ä")
    assert text_of(message("text/plain;charset=klingon", b"a\xff")) == ("text/plain", "a\ufffd")
    assert text_of(message("multipart/mixed;boundary=x", MIXED)) == ("text/plain", "hello")


@pytest.mark.rfc("3261", "8.2.3")
def test_every_part_has_to_be_understood() -> None:
    accepted = {"application/sdp", "text/plain"}
    check_body(message("multipart/mixed;boundary=x", MIXED), accepted)
    with pytest.raises(PeerError) as caught:
        check_body(message("multipart/mixed;boundary=x", MIXED), {"application/sdp"})
    assert caught.value.status == 415
    check_body(message("image/png", b"x", Content_Disposition="icon;handling=optional"), accepted)
    with pytest.raises(PeerError):
        check_body(message("text/plain", b"x", Content_Encoding="gzip"), accepted)


@pytest.mark.rfc("5621", "6.1")
def test_of_alternatives_one_has_to_be_understood() -> None:
    body = message("multipart/alternative;boundary=x", MIXED)
    check_body(body, {"application/sdp"})
    found = sdp_of(body)
    assert found is not None
    assert found.media[0].port == 9
    with pytest.raises(PeerError) as caught:
        check_body(body, {"image/png"})
    assert caught.value.status == 415
