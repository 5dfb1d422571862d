"""The compiled accelerator and its pure twin: one outcome for every message.

Where nothing was compiled the twin is compared with itself, so that the properties hold there too.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import PeerError, Request, Response, parse, parser
from ringfence.message.fields import CONTENT_LENGTH, CSEQ, VIA
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
        headers.first(CONTENT_LENGTH), headers.get("Max-Forwards"),
    )  # fmt: skip


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
