"""Compound packets of RTCP."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.client.media import rtcp
from ringfence.client.media.rtp import Report

REPORT = Report(0xCAFEBABE, 12, -3, 0x1FFFF, 99, 0x01020304, 65_536)
INFO = rtcp.SenderInfo(rtcp.ntp(1_700_000_000.5), 160, 2, 320)


@pytest.mark.rfc("3550", "6.1")
@pytest.mark.parametrize(
    "compound",
    [
        rtcp.Compound(1),
        rtcp.Compound(1, cname="abc"),
        rtcp.Compound(1, INFO, [REPORT], "f" * 24),
        rtcp.Compound(1, None, [REPORT, REPORT._replace(lost=5)], "x", bye=True),
    ],
)
def test_what_is_packed_is_unpacked(compound: rtcp.Compound) -> None:
    data = rtcp.pack(compound)
    assert len(data) % 4 == 0
    assert rtcp.unpack(data) == compound


@pytest.mark.rfc("3550", "6.4.1")
def test_a_sender_report_as_bytes() -> None:
    data = rtcp.pack(rtcp.Compound(0xCAFEBABE, rtcp.SenderInfo(0x0102030405060708, 160, 2, 320), cname="ab"))
    report = "80c80006 cafebabe 01020304 05060708 000000a0 00000002 00000140"
    assert data == bytes.fromhex(report + "81ca0003 cafebabe 01026162 00000000")


@pytest.mark.rfc("3550", "A.2")
@pytest.mark.parametrize(
    "data", ["", "80c9", "80c90001", "40c9000100000001", "80c9000200000001", "80c900010000000100"]
)
def test_malformed_packets_are_refused(data: str) -> None:
    assert rtcp.unpack(bytes.fromhex(data)) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80) | st.binary(max_size=60).map(rtcp.pack(rtcp.Compound(1, INFO)).__add__))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    compound = rtcp.unpack(data)
    assert compound is None or len(compound.reports) <= 31 * len(data) // 24


@pytest.mark.rfc("3550", "6.4.1")
def test_the_example_of_a_round_trip() -> None:
    """Figure 2: A receives at 0xb710:8000 what left it at 0xb705:2000 and waited 5.25 s."""
    report = REPORT._replace(last_sr=0xB7052000, delay=0x00054000)
    now = 0xB44DB710 + 0x8000 / 65_536 - rtcp.NTP_EPOCH
    assert rtcp.round_trip(report, now) == pytest.approx(6.125, abs=1e-4)
    assert rtcp.round_trip(report._replace(last_sr=0), now) is None
    assert (
        rtcp.round_trip(report._replace(delay=0x10000000), now) is None
    )  # less than nothing: a false report


@pytest.mark.rfc("3550", "6.3.1")
def test_intervals_are_spread() -> None:
    assert [rtcp.interval(random) for random in (0.0, 0.5, 1.0)] == [2.5, 5.0, 7.5]
    assert rtcp.interval(1.0, first=True) == 3.75
