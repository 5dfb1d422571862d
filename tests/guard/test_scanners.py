"""Programs that say what they are."""

from __future__ import annotations

import pytest

from ringfence.guard.scanners import SCANNERS, make_matcher

REQUEST = b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 1.1.1.1;branch=z9hG4bK1\r\n%b\r\n\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"User-Agent: friendly-scanner",
        b"User-Agent:friendly-scanner",
        b"user-agent : Friendly-Scanner/1.2",
        b"User-Agent: sipcli/v1.8",
        b"User-Agent: pplsip",
        b"User-Agent: sundayddr",
        b'From: "sipvicious"<sip:100@1.1.1.1>;tag=1',
        b"f: sipvicious <sip:100@1.1.1.1>",
    ],
)
def test_they_are_known(line: bytes) -> None:
    assert make_matcher(SCANNERS)(REQUEST % line)


@pytest.mark.parametrize(
    "line",
    [
        b"User-Agent: SIPp",
        b"User-Agent: baresip v1.0.0 (x86_64/linux)",
        b"User-Agent: Linphone/5.0",
        b"User-Agent: smapper telephone",
        b"From: <sip:sipvicious@example.org>;tag=1",
        b"Subject: friendly-scanner",
    ],
)
def test_others_are_not(line: bytes) -> None:
    assert not make_matcher(SCANNERS)(REQUEST % line)


def test_an_empty_list_knows_nobody() -> None:
    assert not make_matcher(())(REQUEST % b"User-Agent: friendly-scanner")
