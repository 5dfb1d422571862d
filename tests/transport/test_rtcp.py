"""RTCP that does not tell who sends it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.transport.rtcp import is_rtcp, without_names

SSRC = b"\1\2\3\4"
SR = b"\x80\xc8\x00\x06" + SSRC + bytes(20)


def sdes(*items: tuple[int, bytes], sources: int = 1) -> bytes:
    chunk = SSRC + b"".join(struct.pack("!BB", kind, len(text)) + text for kind, text in items)
    chunk += bytes(4 - len(chunk) % 4)
    body = chunk * sources
    return struct.pack("!BBH", 0x80 | sources, 202, len(body) // 4) + body


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Compound packets that are almost right."""
    whole = b""
    for _ in range(draw(st.integers(1, 4))):
        body = draw(st.binary(max_size=60).filter(lambda data: len(data) % 4 == 0))
        kind, count = draw(st.integers(199, 208)), draw(st.integers(0, 3))
        whole += struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body
    return whole


@pytest.mark.rfc("3550", "6.5")
def test_names_go_and_reports_stay() -> None:
    names = sdes((1, b"alice@10.0.0.7"), (2, b"Alice"), (5, b"Espoo"), (6, b"Phone 7"), sources=2)
    hidden = without_names(SR + names, b"x1")
    assert hidden == SR + sdes((1, b"x1"), sources=2)


def test_an_application_s_packet_and_a_reason_for_leaving_go() -> None:
    app = b"\x80\xcc\x00\x03" + SSRC + b"NAMEalic"
    bye = b"\x81\xcb\x00\x03" + SSRC + b"\x05alice\x00\x00"
    unknown = b"\x80\xd2\x00\x01" + SSRC
    assert without_names(SR + app + unknown + bye, b"x") == SR + b"\x81\xcb\x00\x01" + SSRC
    assert without_names(app, b"x") is None


def test_an_extension_of_a_report_goes() -> None:
    longer = b"\x80\xc8\x00\x08" + SSRC + bytes(20) + b"alice..."
    assert without_names(longer, b"x") == SR
    assert without_names(b"\x81" + SR[1:], b"x") is None  # announces a block that is not there


def test_feedback_passes() -> None:
    feedback = b"\x81\xce\x00\x02" + SSRC + SSRC
    assert without_names(SR + feedback, b"x") == SR + feedback


@pytest.mark.parametrize(
    "data",
    [SR[:-1], b"\x80\xc8\xff\xff" + bytes(24), b"\xa0" + SR[1:], b"\x40" + SR[1:], b"\x81\xca\x00\x00",
     b"\x81\xca\x00\x02" + SSRC + b"\x01\xffab", b"\x9f\xcb\x00\x01" + SSRC, b"\x82\xca\x00\x02" + SSRC + bytes(4)],
)  # fmt: skip
def test_what_is_malformed_does_not_pass(data: bytes) -> None:
    assert without_names(data, b"x") is None


def test_rtp_is_told_from_rtcp() -> None:
    assert is_rtcp(SR)
    assert not is_rtcp(b"\x80\x00" + bytes(10))
    assert not is_rtcp(b"\x16\xfe\xfd" + bytes(10))


@given(st.binary(max_size=200))
def test_any_octets(data: bytes) -> None:
    hidden = without_names(data, b"x")
    assert hidden is None or without_names(hidden, b"x") == hidden


@given(st.one_of(st.binary(max_size=300), packets()), st.binary(min_size=1, max_size=40))
def test_the_compiled_twin_does_the_same(data: bytes, cname: bytes) -> None:
    _legs = pytest.importorskip("ringfence.transport._legs", reason="there was no C compiler")
    assert _legs.rewritten(data, cname) == without_names(data, cname)
