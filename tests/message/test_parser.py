"""Bytes to messages: what is checked at once, what is answered, and that nothing else comes out."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ringfence.message import PeerError, Request, Response, parse
from ringfence.message.parser import MAX_HEAD, MAX_HEADER_LINES, MAX_METHOD
from tests.message.samples import SDP, invite_bytes, messages, status_of


def fault(data: bytes) -> PeerError:
    with pytest.raises(PeerError) as caught:
        parse(data)
    return caught.value


def test_a_request_is_read() -> None:
    request = parse(invite_bytes())
    assert isinstance(request, Request)
    assert (request.method, request.uri) == ("INVITE", "sip:bob@example.net")
    assert request.via.branch == "z9hG4bK776asdhds"
    assert request.cseq == (314159, "INVITE")
    assert request.from_.tag == "1928301774"
    assert request.to.tag is None
    assert request.call_id == "a84b4c76e66710@pc33.example.org"
    assert request.body == SDP
    assert request.to_bytes() == invite_bytes()


def test_a_response_is_read() -> None:
    response = parse(invite_bytes(start="SIP/2.0 486 Busy Here"))
    assert isinstance(response, Response)
    assert (response.status, response.reason) == (486, "Busy Here")


@given(messages())
@settings(max_examples=200)
def test_what_is_written_is_read_again(message: Request | Response) -> None:
    data = message.to_bytes()
    again = parse(data)
    assert again.to_bytes() == data
    assert type(again) is type(message)
    assert list(again.headers) == list(message.headers)
    assert again.body == message.body


@given(st.binary(max_size=400))
@example(b"\r\n\r\n")
@example(b"SIP/2.0 \r\n\r\n")
@example(b" \r\n\t\r\n\r\n")
@example(b"\x00\r\n\r\n")
def test_any_bytes_are_a_message_or_a_peer_error(data: bytes) -> None:
    for candidate in (data, data + b"\r\n\r\n", b"INVITE sip:a@b SIP/2.0\r\n" + data + b"\r\n\r\n"):
        assert status_of(parse, candidate) in {0, 400, 505, 513}


@given(st.integers(0, 600), st.binary(min_size=1, max_size=3))
def test_a_changed_message_is_a_message_or_a_peer_error(place: int, octets: bytes) -> None:
    data = invite_bytes()
    place %= len(data)
    changed = data[:place] + octets + data[place + len(octets) :]
    status = status_of(parse, changed)
    assert status in {0, 400, 505, 513}
    if not status:
        written = parse(changed).to_bytes()
        assert parse(written).to_bytes() == written


@pytest.mark.rfc("3261", "7.3.1")
def test_folded_lines_are_one_value_and_are_kept_as_received() -> None:
    data = invite_bytes(extra=("Subject: I know you're there,", "   pick up the phone", "\tand talk"))
    request = parse(data)
    assert request.headers.get("Subject") == "I know you're there, pick up the phone and talk"
    assert request.to_bytes() == data


@pytest.mark.rfc("3261", "7.3.3")
def test_compact_forms_and_any_case_are_known() -> None:
    request = parse(
        invite_bytes({"Via": None, "Call-ID": None}, extra=("v: SIP/2.0/UDP h;branch=z9hG4bK1", "I : 7"))
    )
    assert request.headers.names[-3:] == ["Via", "Call-ID", "Content-Length"]
    assert request.call_id == "7"


@pytest.mark.rfc("3261", "18.3")
def test_content_length_cuts_or_is_refused() -> None:
    assert parse(invite_bytes(length="3")).body == SDP[:3]
    assert parse(invite_bytes(length="0")).body == b""
    assert parse(invite_bytes(length=None)).body == SDP
    assert fault(invite_bytes(length="9999")).header == "Content-Length"
    for wrong in ("-1", "+3", "0x10", "", "1 2", "1,1", "٣", "9" * 30, "9" * 5000):
        error = fault(invite_bytes(length=wrong))
        assert (error.status, error.header) == (400, "Content-Length"), wrong


@pytest.mark.rfc("3261", "8.1.1")
@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_missing_mandatory_field_is_named(name: str) -> None:
    error = fault(invite_bytes({name: None}))
    assert (error.status, error.header, error.reason) == (400, name, "missing")


@pytest.mark.rfc("3261", "7.3.1")
@pytest.mark.parametrize("line", ["From: <sip:x@y>;tag=1", "t: <sip:x@y>", "i: 1", "cseq: 1 INVITE", "l: 0"])
def test_a_repeated_single_field_is_named(line: str) -> None:
    error = fault(invite_bytes(extra=(line,)))
    assert error.status == 400
    assert error.reason == "stands more than once"
    assert error.header in {"From", "To", "Call-ID", "CSeq", "Content-Length"}


@pytest.mark.rfc("3261", "8.1.1.5")
@pytest.mark.parametrize(
    "cseq",
    [
        "1 OPTIONS",
        "INVITE 1",
        "1",
        "",
        "-1 INVITE",
        "1 INVITE x",
        "2147483648 INVITE",
        "٣ INVITE",
        "1 INV(TE",
    ],
)
def test_a_wrong_cseq_is_refused(cseq: str) -> None:
    error = fault(invite_bytes({"CSeq": cseq}))
    assert (error.status, error.header) == (400, "CSeq")


@pytest.mark.rfc("3261", "25.1")
@pytest.mark.parametrize(
    "start",
    [
        "INVITE  sip:bob@example.net SIP/2.0",
        " INVITE sip:bob@example.net SIP/2.0",
        "INVITE sip:bob@example.net SIP/2.0 ",
        "INVITE sip:bob@example.net",
        "INVITE sip:bob@example.net SIP/2.0 x",
        "INVITE\tsip:bob@example.net\tSIP/2.0",
        "INV(ITE sip:bob@example.net SIP/2.0",
        "INVITE sip:bob@example.net HTTP/1.1",
        "INVITE sip:bob@example.net SIP/2.",
        "",
        "A" * (MAX_METHOD + 1) + " sip:bob@example.net SIP/2.0",
        "SIP/2.0 99 Low",
        "SIP/2.0 700 High",
        "SIP/2.0 4294967301 Very high",
        "SIP/2.0 -200 Negative",
        "SIP/2.0 2x0 Odd",
        "SIP/2.0 20 0",
        "SIP/2.0",
        "SIP/2.0  200 OK",
    ],
)
def test_a_malformed_start_line_is_refused(start: str) -> None:
    error = fault(invite_bytes(start=start))
    assert error.status == 400
    assert error.header is None


@pytest.mark.rfc("3261", "8.2.2")
@pytest.mark.parametrize(
    "start", ["INVITE sip:bob@example.net SIP/3.0", "SIP/7.0 200 OK", "INVITE sip:b@c SIP/2.00"]
)
def test_another_version_is_505(start: str) -> None:
    assert fault(invite_bytes(start=start)).status == 505


@pytest.mark.rfc("3261", "7.1")
def test_the_version_has_no_case() -> None:
    assert (
        parse(invite_bytes(start="INVITE sip:b@c sip/2.0"))
        .to_bytes()
        .startswith(b"INVITE sip:b@c SIP/2.0\r\n")
    )
    assert isinstance(parse(invite_bytes(start="sip/2.0 200 OK")), Response)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"Subject: a\nb", "LF alone"),
        (b"Subject: a\rb", "CR without"),
        (b"Subject: a\x00b", "control character"),
        (b"Subject: a\x7fb", "control character"),
        (b"No colon here", "no colon"),
        (b"Bad name: x", "not a header field name"),
        (b": x", "not a header field name"),
        (b"S\xc3\xbcbject: x", "not a header field name"),
    ],
)
def test_a_malformed_header_line_is_refused(bad: bytes, reason: str) -> None:
    error = fault(invite_bytes().replace(b"Max-Forwards: 70", bad))
    assert error.status == 400
    assert reason in error.reason


def test_a_fold_before_the_first_header_is_refused() -> None:
    assert fault(invite_bytes().replace(b"\r\nVia", b"\r\n Via", 1)).status == 400


@pytest.mark.parametrize("dirt", ["\0", "\r", "\n", "\x7f"])
@pytest.mark.parametrize("place", ["Subject", "From", "Call-ID"])
def test_what_has_control_characters_is_answered_without_them(place: str, dirt: str) -> None:
    data = invite_bytes({"Subject": "x"}).replace(f"{place}: ".encode(), f"{place}: {dirt}".encode())
    error = fault(data)
    assert (error.status, error.header) == (400, place)
    assert isinstance(error.message, Request)
    assert error.message.via.branch == "z9hG4bK776asdhds"
    assert place not in error.message.headers.names
    assert dirt.encode() not in error.message.to_bytes().replace(b"\r\n", b"")


@pytest.mark.rfc("3261", "21.4.1")
@pytest.mark.parametrize("dirt", ["\0", "\x1b[2J", "\r", "\n", "\x7f"])
def test_a_start_line_with_control_characters_can_be_answered(dirt: str) -> None:
    for start in (
        f"INV{dirt}ITE sip:a@b SIP/2.0",
        f"INVITE sip:a{dirt}@b SIP/2.0",
        f"INVITE sip:a@b SIP/{dirt}2.0",
    ):
        error = fault(invite_bytes(start=start))
        assert (error.status, error.header) == (400, None)
        assert error.message is not None
        assert error.message.via.branch == "z9hG4bK776asdhds"
        assert dirt.encode() not in error.message.to_bytes().replace(b"\r\n", b"")
    error = fault(invite_bytes(start=f"ACK sip:a{dirt}@b SIP/2.0"))
    assert isinstance(error.message, Request)
    assert error.message.method == "ACK"


@pytest.mark.rfc("3261", "21.4.1")
def test_lines_that_end_with_lf_alone_are_refused_and_can_be_answered() -> None:
    for data in (invite_bytes().replace(b"\r\n", b"\n"), invite_bytes().replace(b"\r\n\r\n", b"\n\n", 1)):
        error = fault(data)
        assert (error.status, error.reason) == (400, "a line ends with LF alone, not CRLF")
        assert error.message is not None
        assert error.message.call_id == "a84b4c76e66710@pc33.example.org"
    assert fault(b"INVITE sip:a@b SIP/2.0\nVia: x\n").message is None


@pytest.mark.rfc("3261", "21.4.1")
def test_a_message_of_too_many_lines_can_be_answered() -> None:
    error = fault(invite_bytes(extra=("X: 1",) * 10_000))
    assert error.message is not None
    assert error.message.cseq.number == 314159
    assert len(error.message.headers.names) <= MAX_HEADER_LINES


@pytest.mark.rfc("3261", "25.1")
def test_control_characters_may_stand_in_quoted_pairs() -> None:
    data = invite_bytes({"To": '"BEL:\\\x07 NUL:\\\x00" <sip:b@example.net>'})
    request = parse(data)
    assert request.to.display == "BEL:\x07 NUL:\x00"
    assert request.to_bytes() == data
    assert fault(invite_bytes({"To": '"\\\\\x07" <sip:b@example.net>'})).status == 400  # the pair is "\\"


def test_octets_that_are_no_utf8_survive() -> None:
    data = invite_bytes().replace(b"Max-Forwards: 70", b"Subject: caf\xe9 \xff")
    assert parse(data).to_bytes() == data


def test_the_limits_are_held() -> None:
    assert fault(b"INVITE sip:a@b SIP/2.0\r\nX: " + b"a" * MAX_HEAD + b"\r\n\r\n").status == 513
    assert fault(invite_bytes(extra=("X: 1",) * MAX_HEADER_LINES)).status == 400
    assert fault(b"INVITE sip:a@b SIP/2.0\r\nVia: x\r\n").reason.startswith("the header block does not end")


def test_the_error_carries_what_is_needed_to_answer() -> None:
    error = fault(invite_bytes(length="9999"))
    assert isinstance(error.message, Request)
    assert error.message.call_id == "a84b4c76e66710@pc33.example.org"
    error = fault(invite_bytes(start="INVITE sip:bob@example.net SIP/7.0"))
    assert isinstance(error.message, Request)
    assert error.message.via.host == "pc33.example.org"
    assert fault(b"hello\r\n\r\n").message is not None


@pytest.mark.rfc("3261", "7.5")
def test_empty_lines_before_the_start_line_are_ignored() -> None:
    assert parse(b"\r\n\r\n" + invite_bytes()).to_bytes() == invite_bytes()


def test_a_control_character_beyond_the_limit_on_lines_is_a_fault_like_any_other() -> None:
    head, _, body = invite_bytes().partition(b"\r\n\r\n")
    many = b"\r\nX: 1" * (MAX_HEADER_LINES + 5)
    error = fault(head + many + b"\r\nY: a\x00b\r\n\r\n" + body)
    assert (error.status, error.header) == (400, None)
