"""STUN Binding Requests: the vectors of RFC 5769, and everything that is not one."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.transport.stun import COOKIE, MAX_REQUEST, answer, binding_request, mapped_address

TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")


def request(attributes: bytes = b"", *, kind: int = 1, cookie: int = COOKIE) -> bytes:
    return struct.pack("!HHI", kind, len(attributes), cookie) + TRANSACTION + attributes


def with_fingerprint(attributes: bytes, change: int = 0) -> bytes:
    head = struct.pack("!HHI", 1, len(attributes) + 8, COOKIE) + TRANSACTION + attributes
    return head + struct.pack("!HHI", 0x8028, 4, zlib.crc32(head) ^ 0x5354554E ^ change)


@pytest.mark.rfc("5389", "15.2")
def test_the_mapped_address_of_the_published_ipv4_response() -> None:
    # RFC 5769 section 2.2: 192.0.2.1 port 32853
    response = answer(request(), "192.0.2.1", 32853)
    assert response is not None
    assert response[:20] == struct.pack("!HHI", 0x0101, 12, COOKIE) + TRANSACTION
    assert response[20:].hex() == "002000080001a147e112a643"


@pytest.mark.rfc("5389", "15.2")
def test_the_mapped_address_of_the_published_ipv6_response() -> None:
    # RFC 5769 section 2.3: 2001:db8:1234:5678:11:2233:4455:6677 port 32853
    response = answer(request(), "2001:db8:1234:5678:11:2233:4455:6677%eth0", 32853)
    assert response is not None
    assert response[20:].hex() == "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"


@pytest.mark.rfc("5389", "15.5")
def test_a_fingerprint_must_hold() -> None:
    software = struct.pack("!HH", 0x8022, 3) + b"abc\0"
    assert answer(with_fingerprint(software), "192.0.2.1", 1) is not None
    assert answer(with_fingerprint(software, change=1), "192.0.2.1", 1) is None


@pytest.mark.rfc("5389", "7.3.1")
def test_unknown_required_attributes_are_named() -> None:
    response = answer(request(struct.pack("!HHI", 0x0003, 4, 2)), "192.0.2.1", 1)  # CHANGE-REQUEST
    assert response is not None
    assert response[:2] == b"\x01\x11"
    assert response[20:28] == struct.pack("!HHHBB", 9, 4, 0, 4, 20)
    assert response[28:] == struct.pack("!HHHxx", 0x000A, 2, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        request()[:19],
        request(kind=0x0011),
        request(kind=0x0101),
        request(cookie=1),
        request() + b"x",
        request(b"\x80\x22\x00\xff"),
        request(bytes(MAX_REQUEST)),
    ],
)
def test_anything_else_gets_no_answer(data: bytes) -> None:
    assert answer(data, "192.0.2.1", 1) is None


@pytest.mark.parametrize("address", [("192.0.2.1", 5060), ("2001:db8::1", 65535)])
def test_our_own_question_and_answer_fit(address: tuple[str, int]) -> None:
    response = answer(binding_request(TRANSACTION), *address)
    assert response is not None
    assert mapped_address(response) == address
    software = struct.pack("!HH", 0x8022, 1) + b"a\0\0\0"
    longer = struct.pack("!HH", 0x0101, len(response) - 20 + len(software)) + response[4:20] + software
    assert mapped_address(longer + response[20:]) == address
    assert mapped_address(response[:-1]) is None
    assert mapped_address(binding_request(TRANSACTION)) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_attributes_are_survived(attributes: bytes) -> None:
    answer(request(attributes), "192.0.2.1", 5060)
    mapped_address(request(attributes, kind=0x0101))
