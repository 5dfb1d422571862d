"""What is fuzzed: each target takes any bytes, and fails on anything but a value or a ``PeerError``.

A target also holds what must be true of a value that was read: written and read again it is the same, and how the
bytes came in pieces makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable

from ringfence.message import Headers, PeerError, Request, Response, parse, sdp
from ringfence.message.fields import REGISTRY
from ringfence.message.framing import Framer, FramingError, Mark
from ringfence.message.multipart import Entity
from ringfence.message.validate import validate

FIELDS = sorted(REGISTRY)


def message(data: bytes) -> None:
    """A datagram: parsed, judged, each header field read, written, parsed again."""
    try:
        read = parse(data)
    except PeerError as error:
        check(error)
        return
    for error in validate(read):
        check(error)
    written = read.to_bytes()
    again = parse(written)
    assert again.to_bytes() == written
    assert again.headers.names == read.headers.names
    for edit in (Headers.set_top, Headers.set):
        edit(read.headers, "Via", "SIP/2.0/UDP h;branch=z9hG4bK1")
    assert parse(read.to_bytes()).via.host == "h"


def field(data: bytes) -> None:
    """One header field: the first octet says which, the rest is the value."""
    if not data:
        return
    chosen = REGISTRY[FIELDS[data[0] % len(FIELDS)]]
    text = data[1:].decode("utf-8", "surrogateescape").replace("\r", "").replace("\n", "")
    headers = Headers([(chosen.name, text)])
    for read in (headers.first, headers.every):
        try:
            read(chosen)
        except PeerError as error:
            check(error)


def session(data: bytes) -> None:
    """A session description: read, written, read again."""
    try:
        read = sdp.parse(data)
    except PeerError as error:
        check(error)
        return
    written = read.to_bytes()
    assert sdp.parse(written).to_bytes() == written
    for media in read.media:
        _ = media.codecs, media.cryptos, media.candidates, media.rtcp, media.ptime, read.address_of(media)


def body(data: bytes) -> None:
    """A body: the first octet says how long its Content-Type is."""
    if not data:
        return
    text = data[1 : 1 + data[0]].decode("utf-8", "surrogateescape").replace("\r", "").replace("\n", "")
    try:
        for leaf in Entity(Headers([("Content-Type", text)]), data[1 + data[0] :]).leaves():
            leaf.content()
    except PeerError as error:
        check(error)


def stream(data: bytes) -> None:
    """A stream: the same messages whether it comes at once or in pieces as long as its octets say."""
    assert _framed([data]) == _framed(_pieces(data))


def check(error: PeerError) -> None:
    """A ``PeerError`` that can be answered and shown, with what was read of the message."""
    assert error.message is None or error.message.to_bytes()
    assert 400 <= error.status <= 699
    assert error.reason
    assert str(error)


def _pieces(data: bytes) -> list[bytes]:
    pieces, start = [], 0
    while start < len(data):
        size = data[start] + 1
        pieces.append(data[start : start + size])
        start += size
    return pieces


def _framed(pieces: list[bytes]) -> tuple[list[bytes], bool]:
    framer, found = Framer(), []
    for piece in pieces:
        try:
            items = framer.feed(piece)
        except FramingError as error:
            check(error)
            return found + [item for item in error.complete if not isinstance(item, Mark)], True
        found += [item for item in items if not isinstance(item, Mark)]
    return found, False


TARGETS: dict[str, Callable[[bytes], None]] = {
    "message": message,
    "field": field,
    "session": session,
    "body": body,
    "stream": stream,
}


def seeds(name: str, messages: list[Request | Response], raw: list[bytes]) -> list[bytes]:
    """Inputs to begin with, in the form that the target takes."""
    if name == "session":
        return [each.body for each in messages if each.body]
    if name == "body":
        kinds = [(each.headers.get("Content-Type") or "").encode()[:255] for each in messages]
        return [
            bytes([len(kind)]) + kind + each.body for kind, each in zip(kinds, messages, strict=True) if kind
        ]
    if name == "field":
        return [
            bytes([FIELDS.index(key)]) + text.encode("utf-8", "surrogateescape")
            for each in messages
            for key, text in each.headers
            if key in REGISTRY
        ]
    return raw
