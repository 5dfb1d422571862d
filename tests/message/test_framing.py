"""Streams cut into messages: any split gives the same result, and every limit holds."""

import contextlib
import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import Request
from ringfence.message.framing import MAX_BODY, PING, PONG, Framer, FramingError, Mark
from ringfence.message.parser import MAX_HEAD

HEAD = (
    "Via: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK1",
    "From: <sip:a@example.org>;tag=1",
    "To: <sip:b@example.org>",
    "Call-ID: 1@192.0.2.1",
    "CSeq: 1 OPTIONS",
)


def message(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join(("OPTIONS sip:b@example.org SIP/2.0", *HEAD, *lines, "", "")).encode() + body


def framed(*pieces: bytes) -> list[bytes | Mark]:
    framer = Framer()
    return [item for piece in pieces for item in framer.feed(piece)]


def refused(data: bytes) -> FramingError:
    with pytest.raises(FramingError) as caught:
        Framer().feed(data)
    return caught.value


PLAIN = message("Content-Length: 4", body=b"body")
COMPACT = message("l:0")
BINARY = message("content-length \t: 6", body=b"\r\n\r\n\0\xff")
FOLDED = message("CONTENT-LENGTH:\r\n  3", body=b"abc")


@pytest.mark.rfc("3261", "18.3")
@pytest.mark.parametrize("data", [PLAIN, COMPACT, BINARY, FOLDED])
def test_one_message(data: bytes) -> None:
    framer = Framer()
    assert framer.feed(data) == [data]
    assert not framer.pending


@pytest.mark.rfc("3261", "7.5")
def test_crlf_before_the_start_line_is_ignored() -> None:
    assert framed(b"\r\n" + PLAIN) == [PLAIN]
    assert framed(PLAIN + b"\r\n" + COMPACT) == [PLAIN, COMPACT]


@pytest.mark.rfc("5626", "4.4.1")
def test_ping_is_told_even_when_it_comes_in_pieces() -> None:
    assert framed(b"\r\n\r\n") == [PING]
    assert framed(b"\r", b"\n", b"\r", b"\n") == [PING]
    assert framed(PLAIN + b"\r\n", b"\r\n" + COMPACT) == [PLAIN, PING, COMPACT]
    assert framed(b"\r\n\r\n\r\n\r\n") == [PING, PING]


@pytest.mark.rfc("5626", "3.5.1")
def test_pong_is_told_only_when_one_is_due() -> None:
    framer = Framer()
    assert framer.feed(b"\r\n") == []
    framer.feed(b"\r\n")
    framer.pongs_due = 1
    assert framer.feed(b"\r\n") == [PONG]
    assert framer.pongs_due == 0
    assert framer.feed(b"\r\n\r\n") == [PING]


def test_pending_is_between_the_first_and_the_last_byte_of_a_message() -> None:
    framer = Framer()
    states = []
    for byte in b"\r\n" + PLAIN:
        framer.feed(bytes([byte]))
        states.append(framer.pending)
    assert states == [False, False] + [True] * (len(PLAIN) - 1) + [False]


STREAM = [PLAIN, b"\r\n\r\n", COMPACT, BINARY, b"\r\n", FOLDED]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, len(b"".join(STREAM))), max_size=40))
def test_any_split_gives_the_same_messages(cuts: list[int]) -> None:
    whole = b"".join(STREAM)
    edges = sorted({0, len(whole), *cuts})
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
    assert framed(*pieces) == [PLAIN, PING, COMPACT, BINARY, FOLDED]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes_give_items_or_a_framing_error(pieces: list[bytes]) -> None:
    framer = Framer()
    with contextlib.suppress(FramingError):
        for piece in pieces:
            framer.feed(piece)


@pytest.mark.rfc("3261", "18.3")
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((), 400),
        (("Content-Length:",), 400),
        (("Content-Length: -1",), 400),
        (("Content-Length: +1",), 400),
        (("Content-Length: 0x10",), 400),
        (("Content-Length: 4, 4",), 400),
        (("Content-Length: 1\r\n 2",), 400),
        (("Content-Length: 4", "l: 5"), 400),
        (("l: 4", "X-Pad: 1", "CONTENT-LENGTH : 5"), 400),
        (("Content-Length: 4\t\r\n 4",), 400),
        (("Content-Length: " + "9" * 4000,), 413),
        (("Content-Length: 99999999999",), 413),
        ((f"Content-Length: {MAX_BODY + 1}",), 413),
    ],
)
def test_a_bad_content_length_names_itself_and_the_request(lines: tuple[str, ...], status: int) -> None:
    error = refused(message(*lines))
    assert (error.status, error.header) == (status, "Content-Length")
    assert isinstance(error.message, Request)
    assert error.message.call_id == "1@192.0.2.1"


def test_a_length_with_leading_zeros() -> None:
    data = message("Content-Length: " + "0" * 40 + "4", body=b"body")
    assert framed(data + PLAIN) == [data, PLAIN]


def test_repeated_lengths_that_agree_are_left_to_the_parser() -> None:
    data = message("Content-Length: 4", "l: 4", body=b"body")
    assert framed(data) == [data]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_head_of_bare_lines_is_refused_at_its_end(size: int) -> None:
    bare = PLAIN.replace(b"\r\n", b"\n")
    for before, data in ((b"", bare), (PLAIN, bare + PLAIN)):
        framer = Framer()
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        assert framer.feed(before) == ([before] if before else [])
        with pytest.raises(FramingError, match="400 a line ends with LF alone, not CRLF") as caught:
            [framer.feed(piece) for piece in pieces]
        assert caught.value.complete == []
        assert isinstance(caught.value.message, Request)
        assert caught.value.message.call_id == "1@192.0.2.1"


def test_messages_before_the_fault_are_kept() -> None:
    assert refused(PLAIN + message()).complete == [PLAIN]


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00", b"\0", b" INVITE", b"\n", b"\rX", b"(x)"])
def test_what_cannot_be_sip_is_refused_at_its_first_byte(data: bytes) -> None:
    assert refused(data).status == 400


def test_a_head_without_end_is_bounded() -> None:
    framer = Framer()
    framer.feed(b"OPTIONS " + b"x" * (MAX_HEAD - 8))
    assert framer.pending
    with pytest.raises(FramingError, match="513"):
        framer.feed(b"x")
    assert len(framer._buffer) <= MAX_HEAD + 2000


def test_who_wrote_an_endless_head_is_told() -> None:
    error = refused(PLAIN.partition(b"\r\n\r\n")[0] + b"\r\nX: " + b"x" * MAX_HEAD)
    assert error.status == 513
    assert isinstance(error.message, Request)
    assert error.message.call_id == "1@192.0.2.1"


def test_slow_drip_costs_linear_time() -> None:
    """Four times the bytes, one at a time, take about four times as long, not sixteen."""

    def cost(size: int) -> float:
        framer = Framer()
        start = time.process_time()
        for _ in range(size):
            framer.feed(b"x")
        return time.process_time() - start

    short = min(cost(4_000) for _ in range(3))
    assert min(cost(16_000) for _ in range(3)) < short * 9
