"""Descriptions for another place: nothing of the old one is left, all else is."""

import pytest

from ringfence.message import sdp
from ringfence.message.errors import LocalError
from ringfence.message.relocate import relocate

OFFER = """\
v=0
o=alice 1 1 IN IP4 10.0.0.7
s=-
c=IN IP4 10.0.0.7
t=0 0
a=ice-lite
a=tool:x
m=audio 4000/2 RTP/SAVP 0
c=IN IP4 10.0.0.8
a=rtcp:4007 IN IP4 10.0.0.8
a=candidate:1 1 UDP 2130706431 10.0.0.8 4000 typ host
a=ice-ufrag:8hhY
a=ice-pwd:asd88fgpdd777uzjYhagZg
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj
a=X-odd: kept
m=video 5000 RTP/AVP 31
m=video 0 RTP/AVP 32
""".replace("\n", "\r\n")


def test_nothing_of_the_old_place_is_left_and_all_else_is() -> None:
    before = sdp.parse(OFFER)
    moved = relocate(before, [("192.0.2.1", 6000), ("192.0.2.1", 6002), None], origin="192.0.2.1")
    assert "10.0.0" not in str(moved)
    assert (
        str(moved)
        == """\
v=0
o=alice 1 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
a=tool:x
m=audio 6000 RTP/SAVP 0
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj
a=X-odd: kept
m=video 6002 RTP/AVP 31
m=video 0 RTP/AVP 32
""".replace("\n", "\r\n")
    )
    assert str(before) == OFFER


def test_streams_at_two_places() -> None:
    moved = relocate(sdp.parse(OFFER), [("192.0.2.1", 6000), ("2001:db8::1", 6002), None])
    assert [moved.address_of(media) for media in moved.media] == [
        ("192.0.2.1", 6000),
        ("2001:db8::1", 6002),
        None,
    ]
    assert "c=IN IP6 2001:db8::1" in str(moved)
    assert moved.origin.address == "10.0.0.7"


def test_a_stream_may_stay_where_it_is() -> None:
    moved = relocate(sdp.parse(OFFER), [("192.0.2.1", 6000), None, None])
    assert [moved.address_of(media) for media in moved.media] == [
        ("192.0.2.1", 6000),
        ("10.0.0.7", 5000),
        None,
    ]


@pytest.mark.rfc("3264", "8.4")
def test_a_stream_on_hold_by_address_stays_on_hold() -> None:
    text = OFFER.replace("10.0.0.8", "0.0.0.0")
    moved = relocate(sdp.parse(text), [("192.0.2.1", 6000), ("192.0.2.1", 6002), None])
    assert [moved.address_of(media) for media in moved.media[:2]] == [None, ("192.0.2.1", 6002)]


def test_an_address_that_no_stream_uses_goes_too() -> None:
    text = OFFER.replace("4000/2", "0").replace("5000", "0")
    assert "10.0.0" not in str(relocate(sdp.parse(text), [None] * 3, origin="192.0.2.1"))


def test_a_place_for_each_stream() -> None:
    with pytest.raises(LocalError):
        relocate(sdp.parse(OFFER), [])
    empty = sdp.parse("v=0\no=- 1 1 IN IP4 h\ns=-\nt=0 0\n")
    assert relocate(empty, []) == empty
