"""Telephone events."""

import pytest

from ringfence.client.media.dtmf import KEYS, EventReader, event_payloads
from ringfence.message import LocalError


@pytest.mark.rfc("4733", "2.5.1.4")
def test_a_press_grows_and_ends_three_times() -> None:
    payloads = [payload.hex() for payload in event_payloads("#", milliseconds=60)]
    assert payloads == ["0b0a00a0", "0b0a0140", "0b8a01e0", "0b8a01e0", "0b8a01e0"]


def test_only_keys_can_be_pressed() -> None:
    assert next(event_payloads("d"))[0] == 15
    for text in ("", "E", "12"):
        with pytest.raises(LocalError):
            next(event_payloads(text))


@pytest.mark.rfc("4733", "2.5.2.2")
def test_each_press_is_told_once() -> None:
    reader = EventReader()
    heard = []
    for timestamp, key in ((2**32 - 160, "1"), (1000, "1"), (3000, "*")):
        heard += [reader.receive(timestamp, payload) for payload in event_payloads(key)]
    heard.append(reader.receive(1000, next(event_payloads("1"))))  # late
    heard += [
        reader.receive(9000, b"\x10\x0a\x00\xa0"),
        reader.receive(9000, b"\x01\x0a"),
    ]  # a flash; cut short
    assert [key for key in heard if key] == ["1", "1", "*"]
    assert len(KEYS) == 16
