"""Key presses in INFO bodies."""

from __future__ import annotations

import pytest

from ringfence.client.digits import read_signal, write_signal
from ringfence.message import Headers, LocalError, PeerError, Request


def info(body: bytes) -> Request:
    return Request("INFO", "sip:a@b", Headers(), body)


@pytest.mark.parametrize("key", "0123456789*#ABCD")
def test_what_is_written_is_read(key: str) -> None:
    body, content_type = write_signal(key.lower())
    assert content_type == "application/dtmf-relay"
    assert read_signal(info(body)) == key


@pytest.mark.parametrize("body", [b"5", b"5\r\n", b"signal = 5\nduration=1\n", b"Duration=9\r\nSignal=5"])
def test_what_phones_send(body: bytes) -> None:
    assert read_signal(info(body)) == "5"


@pytest.mark.parametrize("body", [b"Signal=55", b"Signal=", b"\xff\xfe", b"Signal=x"])
def test_what_is_no_key(body: bytes) -> None:
    with pytest.raises(PeerError):
        read_signal(info(body))
    with pytest.raises(LocalError):
        write_signal("xx")


def test_an_info_without_body() -> None:
    assert read_signal(info(b"")) is None
