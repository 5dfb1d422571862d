"""The compiled accelerator and its pure twin: one outcome for every message.

Where nothing was compiled the twin is compared with itself, so that the properties hold there too.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import Field, Headers, NameAddr, PeerError, Request, Response, parse, parser
from ringfence.message.fields import CALL_ID, CONTENT_LENGTH, CSEQ, FROM, MAX_FORWARDS, TO, VIA
from ringfence.message.message import write, write_pure
from ringfence.message.names import MARKED
from ringfence.message.params import Params, parse_params, plain_params, plain_params_pure
from tests.message.samples import TOKEN, invite_bytes, messages
from tests.torture.judge import HERE
from tests.torture.malformed import cases

Outcome = tuple[object, ...]


def outcome(data: bytes) -> Outcome:
    """Everything that can be seen of a message, or of its error."""
    try:
        message = parse(data)
    except PeerError as error:
        return (error.status, error.reason, error.header, error.message and error.message.to_bytes())
    headers = message.headers
    return (
        repr(message), headers.names, headers.lines, message.body, headers.first(CSEQ), str(headers.first(VIA)),
        message.via.branch, headers.first(CONTENT_LENGTH), headers.get("Max-Forwards"),
        *(seen(headers, each) for each in (FROM, TO, CALL_ID, MAX_FORWARDS)),
        [headers.has(name) for name in MARKED], message.to_bytes(),
    )  # fmt: skip


def seen(headers: Headers, field: Field[object]) -> object:
    """A value and all its parts, or what is wrong with it."""
    try:
        value = headers.first(field)
    except PeerError as error:
        return (error.status, error.reason, error.header)
    if isinstance(value, NameAddr):
        return (str(value), value.display, str(value.uri), value.params, value.tag)
    return value


def both(data: bytes) -> tuple[Outcome, Outcome]:
    """The outcome with the accelerator and without."""
    with pytest.MonkeyPatch.context() as patch:
        fast = outcome(data)
        patch.setattr(parser, "scan", None)
        return fast, outcome(data)


def alike(data: bytes) -> None:
    fast, slow = both(data)
    assert fast == slow


@pytest.mark.parametrize("path", sorted(HERE.glob("rfc*/*.dat")), ids=lambda path: path.stem)
def test_torture_messages(path: object) -> None:
    assert hasattr(path, "read_bytes")
    alike(path.read_bytes())


def test_malformed_messages() -> None:
    for case in cases():
        alike(case.data)


@given(messages())
def test_our_own_messages(message: Request | Response) -> None:
    alike(message.to_bytes())


@settings(max_examples=300)
@given(st.integers(0, 700), st.integers(0, 4), st.binary(max_size=4))
def test_messages_with_a_spot_of_dirt(at: int, cut: int, octets: bytes) -> None:
    data = invite_bytes(extra=("X-Foo: 1", "l: 5"), length=None)
    alike(data[:at] + octets + data[at + cut :])


@pytest.mark.parametrize(
    "change",
    [
        (b"CSeq: 314159 INVITE", b"CSeq:314159 INVITE"),
        (b"CSeq: 314159 INVITE", b"CSeq:   314159 INVITE  "),
        (b"CSeq: 314159 INVITE", b"CSeq: 0000314159 INVITE"),
        (b"CSeq: 314159 INVITE", b"CSeq: 999999999 INVITE"),
        (b"CSeq: 314159 INVITE", b"CSeq: 2147483647 INVITE"),
        (b"CSeq: 314159 INVITE", b"CSeq: 2147483648 INVITE"),
        (b"CSeq: 314159 INVITE", b"CSeq: 1\tINVITE"),
        (b"CSeq: 314159 INVITE", b"CSeq: 1"),
        (b"CSeq: 314159 INVITE", b"CSeq:"),
        (b"Max-Forwards: 70", b"Content-Length: 3"),
        (b"Max-Forwards: 70", b"Content-Length: 3 "),
        (b"Max-Forwards: 70", b"Content-Length: 9999"),
        (b"Max-Forwards: 70", b"Content-Length: 99999999999999999999"),
        (b"Max-Forwards: 70", b"Content-Length:"),
        (b"Max-Forwards: 70", b"Content-Length: -1"),
        (b"Max-Forwards: 70", b"X\xc3\xa9: 1"),
        (b"Max-Forwards: 70", b"X-" + b"a" * 100 + b": 1"),
        (b"Max-Forwards: 70", b"Subject: \xff\xfe"),
        (b"Max-Forwards: 70", b"Subject : 1"),
        (b"Max-Forwards: 70", b"Subject: a\r\n b"),
        (b"Max-Forwards: 70", b"\tSubject: a"),
        (b"Max-Forwards: 70", b"Via:"),
        (b"INVITE sip", b"\r\n\r\nINVITE sip"),
        (b"\r\n\r\n", b"\n\n"),
        (b"\r\n\r\n", b"\r\n"),
        (b"\r\n\r\n", b"\r\n\r"),
    ],
)
def test_edges(change: tuple[bytes, bytes]) -> None:
    data = invite_bytes(length=None)
    assert change[0] in data
    alike(data.replace(*change, 1))


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\r\n", b"\r\n\r\n", b":", b"a\r\n\r\n", b"a\r\n:\r\n\r\n", bytes(3)]
)
def test_fragments(data: bytes) -> None:
    alike(data)


@given(
    st.lists(
        st.tuples(st.text(TOKEN, max_size=6), st.none() | st.text(TOKEN + ":[]", max_size=8)), max_size=20
    )
)
def test_plain_parameters(items: list[tuple[str, str | None]]) -> None:
    text = str(Params(tuple(items)))
    assert plain_params(text) == plain_params_pure(text)


@given(st.text(';=,"abAB:[] \té\x00', max_size=20))
def test_any_parameters(text: str) -> None:
    plain = plain_params(text)
    assert plain == plain_params_pure(text)
    if plain is not None:
        assert parse_params(text) == Params(plain)


def test_new_spellings_of_names_are_learnt_within_bounds() -> None:
    for number in range(6000):
        name = f"x-spelt-{number}"
        message = parse(invite_bytes(extra=(f"{name}: 1",)))
        assert message.headers.names[-2] == f"X-Spelt-{number}"


VIA_VALUES = st.sampled_from(
    [
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport",
        'SIP/2.0/TCP proxy.example.org;branch=z9hG4bK2;oc;oc-algo="loss,rate"',
        "SIP/2.0/TLS [2001:db8::1]:5061;BRANCH=z9hG4bK3;received=2001:db8::2",
        "sip / 2.0 / udp 192.0.2.3",
        'SIP/2.0/UDP 192.0.2.4;branch="z9hG4bK4"',
        r'SIP/2.0/UDP 192.0.2.5;x="a\"b,c";branch=z9hG4bK5',
        'SIP/2.0/UDP 192.0.2.6;x="',
        "SIP/2.0/UDP 192.0.2.7;branch=a;Branch=b",
        "SIP/2.0/UDP 192.0.2.8;branch",
        "SIP/2.0/UDP 192.0.2.9 ;branch=z9hG4bK9 ; x",
        "SIP/2.0/UDP <192.0.2.10>",
        "SIP/3.0/UDP 192.0.2.11",
        "",
        " ",
    ]
)


@settings(max_examples=300)
@given(
    st.lists(VIA_VALUES, min_size=1, max_size=4), st.sampled_from([",", ", ", " ,\t", ",,"]), st.booleans()
)
def test_lists_of_vias(values: list[str], comma: str, response: bool) -> None:
    via = f"Via: {comma.join(values)}".encode()
    data = invite_bytes(length=None).replace(b"Max-Forwards: 70", via)
    alike(data)
    lines = data.split(b"\r\n")
    first = next(place for place, line in enumerate(lines) if line.startswith(b"Via"))
    lines[first] = via
    alike(b"\r\n".join([b"SIP/2.0 200 OK" if response else lines[0], *lines[1:]]))


@pytest.mark.parametrize(
    "start",
    [
        "SIP/2.0 200 OK",
        "SIP/2.0 200 ",
        "SIP/2.0 200",
        "SIP/2.0 20",
        "SIP/2.0 2000 OK",
        "SIP/2.0 099 No",
        "SIP/2.0 699 \u00e4",
        "SIP/2.0 700 No",
        "SIP/2.0  200 OK",
        "sip/2.0 200 OK",
        "SIP/2.1 200 OK",
        "INVITE sip:bob@example.org SIP/2.0",
        "INVITE  sip:bob@example.org SIP/2.0",
        "INVITE sip:bob@example.org  SIP/2.0",
        "INVITE sip:bob@example.org SIP/2.0 ",
        "INVITE sip:b ob@example.org SIP/2.0",
        "INVITE sip:b\tob@example.org SIP/2.0",
        "INVITE sip:b\u00f6b@example.org SIP/2.0",
        "INVITE  SIP/2.0",
        " sip:bob@example.org SIP/2.0",
        "invite sip:bob@example.org SIP/2.0",
        "BYE sip:bob@example.org SIP/2.0",
        "INVITE sip:bob@example.org sip/2.0",
        "INVITE sip:bob@example.org SIP/3.0",
        "INVITE sip:bob@example.org",
    ],
)
def test_start_lines(start: str) -> None:
    lines = invite_bytes(length=None).split(b"\r\n")
    alike(b"\r\n".join([start.encode(), *lines[1:]]))


ENDS = st.sampled_from(
    [
        "<sip:alice@example.org>",
        "<sip:alice@example.org>;tag=1928301774",
        "<sip:alice@example.org> ;tag=1928301774",
        "<sip:alice@example.org>;tag=",
        "<sip:alice@example.org>;tag=a;tag=b",
        "<sip:alice@example.org>;tag=a b",
        "<sip:alice@example.org>;x=1;tag=a",
        '"A. <b>" <sip:alice@example.org>;tag=a',
        '"A;tag=b>" <sip:alice@example.org>',
        "Alice <sip:alice@example.org>;tag=a",
        "A,lice <sip:alice@example.org>;tag=a",
        "sip:alice@example.org;tag=a",
        "<sip:alice@example.org;tag=b>",
        "<tel:+358>;tag=a",
        "<sip:alice@exa mple.org>;tag=a",
        "<>;tag=a",
        ">;tag=a",
        "\u00c4 <sip:alice@example.org>;tag=a",
        "",
    ]
)


@settings(max_examples=300)
@given(
    ENDS,
    ENDS,
    st.text('a@.<"\\ \t[]{}:/?,;=\u00e4', max_size=6),
    st.sampled_from(["70", "0", "256", "", "1 ", "a"]),
)
def test_what_every_request_is_asked_for(from_: str, to: str, call_id: str, hops: str) -> None:
    data = (
        "MESSAGE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
        f"From: {from_}\r\nTo:{to}\r\nCall-ID: {call_id}\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: {hops}\r\n\r\n"
    )
    alike(data.encode("utf-8", "surrogateescape"))


@given(
    st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=9), max_size=5),
    st.binary(max_size=9),
)
def test_writing(lines: list[str], body: bytes) -> None:
    assert write("START", lines, body) == write_pure("START", lines, body)


@settings(max_examples=300)
@given(st.lists(VIA_VALUES, min_size=1, max_size=4), st.sampled_from([",", ", ", " ,\t"]))
def test_what_is_behind_the_first_value(values: list[str], comma: str) -> None:
    headers = Headers.received(["Via"], [f"Via: {comma.join(values)}"])
    behind = Headers.received(["Via"], [f"Via: {comma.join(values)}"])
    try:
        expected = [str(via) for via in headers.every(VIA)][1:]
    except PeerError:
        return  # what can't be read goes no further
    behind.remove_top("Via")
    assert [str(via) for via in behind.every(VIA)] == expected
