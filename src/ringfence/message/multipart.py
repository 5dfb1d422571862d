"""MIME entities: a body with the fields that describe it, whole or in parts (RFC 2046, RFC 5621).

An ``Entity`` is a span of bytes, kept exactly as it was received: a signature covers those bytes and no
others (RFC 1847 section 2.1), so nothing here rewrites, and building joins spans. ``parts`` cuts a multipart
at its delimiters in one pass of ``bytes.find``; a line that only begins like a delimiter is content. Parts
nest to a limit, and a body that lacks its closing delimiter is refused: a part that was cut off must not
pass for a whole one.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence

from ringfence.message import grammar
from ringfence.message.errors import LocalError, PeerError
from ringfence.message.headers import Headers
from ringfence.message.media_type import Disposition, MediaType, parse_disposition, parse_media_type
from ringfence.message.names import canonical_name
from ringfence.message.params import Params

__all__ = ["Entity", "join", "make_entity", "split", "split_entity"]

MAX_PARTS = 64
"""Real bodies have under ten parts; each costs its readers a look."""
MAX_DEPTH = 8
"""Signed in encrypted in mixed in related is four. Each level reads its bytes again."""
MAX_HEAD = 16_384
"""The fields of a part, in bytes: a Content-Type, a disposition and an identifier take some hundreds."""
MAX_FIELDS = 64
"""The fields of a part: MIME defines under ten."""

# boundary := 0*69<bchars> bcharsnospace; bchars := bcharsnospace / " "   (RFC 2046 section 5.1.1)
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_ALLOWED = bytes([9, *range(32, 127), *range(128, 256)])
# transport-padding := *LWSP-char, at the end of a delimiter line
_PADDING = re.compile(rb"[ \t]*(?:\r\n|\Z)")

TEXT = MediaType("text", "plain")


class Entity:
    """A body and its fields. ``raw`` is both as they stand in the message, from first field to last octet.

    For the body of a whole SIP message, the fields are those of the message and ``raw`` is the body alone.
    """

    __slots__ = ("_start", "depth", "headers", "raw")

    def __init__(self, headers: Headers, raw: bytes, start: int = 0, depth: int = 0) -> None:
        self.headers = headers
        self.raw = raw
        self._start = start  # where the body begins in raw
        self.depth = depth  # 0: the body of a message, 1: a part of it, and so on

    @property
    def body(self) -> bytes:
        """The content as it was transferred."""
        return self.raw[self._start :]

    @property
    def media_type(self) -> MediaType:
        """What this is; text/plain when it does not say (RFC 2046 section 5.1).

        Raises:
            PeerError: 400 when Content-Type is malformed.
        """
        text = self.headers.get("Content-Type")
        return parse_media_type(text) if text is not None else TEXT

    @property
    def disposition(self) -> Disposition:
        """What it is for: by default a session description sets a session up, and all else is rendered.

        RFC 3261 section 20.11. Raises PeerError 400 when Content-Disposition is malformed.
        """
        text = self.headers.get("Content-Disposition")
        if text is not None:
            return parse_disposition(text)
        return Disposition("session" if self.media_type.essence == "application/sdp" else "render")

    def content(self) -> bytes:
        """The body with its transfer encoding undone (RFC 2045 section 6).

        Raises:
            PeerError: 400 when it is not in that encoding, 415 when we do not know the encoding.
        """
        encoding = (self.headers.get("Content-Transfer-Encoding") or "binary").lower()
        if encoding in ("binary", "8bit", "7bit"):
            return self.body
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        if encoding == "base64":
            try:
                return base64.b64decode(self.body.translate(None, b" \t\r\n"), validate=True)
            except binascii.Error as error:
                raise PeerError(400, f"not base64: {error}", header="Content-Transfer-Encoding") from None
        raise PeerError(415, f"unknown encoding {encoding[:40]!r}", header="Content-Transfer-Encoding")

    def parts(self) -> list[Entity]:
        """The parts of a multipart; none for anything else.

        Raises:
            PeerError: 400 when the boundary is missing or malformed, a part is, or the closing delimiter
            lacks.
        """
        media_type = self.media_type
        if media_type.type != "multipart":
            return []
        if self.depth == MAX_DEPTH:
            raise PeerError(400, f"parts nest deeper than {MAX_DEPTH}", header="Content-Type")
        boundary = media_type.params.get("boundary")
        if boundary is None or not _BOUNDARY.fullmatch(boundary):
            raise PeerError(
                400, "a multipart needs a boundary of at most 70 characters", header="Content-Type"
            )
        return [split_entity(span, self.depth + 1) for span in split(self.body, boundary)]

    def leaves(self) -> Iterator[Entity]:
        """Every entity in it that is not a multipart, in order; itself when it has no parts.

        Raises:
            PeerError: 400 as for ``parts``, or when there are more than 64 entities in all, multiparts
            included.
        """
        left = [self]
        seen = 0
        while left:
            entity = left.pop()
            seen += 1
            if seen > MAX_PARTS:
                raise PeerError(400, f"more than {MAX_PARTS} parts", header="Content-Type")
            if entity.media_type.type == "multipart":
                left.extend(reversed(entity.parts()))
            else:
                yield entity

    def find(self, essence: str) -> Entity | None:
        """The entity of this media type (``application/sdp``) to act on.

        In a multipart/alternative the last one counts, since the richest stands last (RFC 5621 section 6.1);
        else the first. Raises PeerError 400 as ``leaves`` does.
        """
        media_type = self.media_type
        if media_type.essence == essence:
            return self
        parts = self.parts()
        if media_type.subtype == "alternative":
            parts.reverse()
        for part in parts:
            found = part.find(essence)
            if found is not None:
                return found
        return None


def split(body: bytes, boundary: str) -> list[bytes]:
    """The raw parts of a multipart body, in order, without their delimiters.

    Raises:
        PeerError: 400 when there is no part, too many, or no closing delimiter.
    """
    dash = b"--" + boundary.encode("ascii")
    delimiter = b"\r\n" + dash
    spans: list[bytes] = []
    start: int | None = None  # of the part that is open
    # The first delimiter may stand at the very start, without the CRLF that otherwise belongs to it.
    at, after = (0, len(dash)) if body.startswith(dash) else _find(body, delimiter, 0)
    while at >= 0:
        closing = body.startswith(b"--", after)
        line = _PADDING.match(body, after + 2 if closing else after)
        if line is not None and (closing or line[0].endswith(b"\n")):
            if start is not None:
                spans.append(body[start:at])
            if closing:
                break
            if len(spans) == MAX_PARTS:
                raise PeerError(400, f"more than {MAX_PARTS} parts", header="Content-Type")
            start = after = line.end()
        at, after = _find(body, delimiter, after)
    if at < 0 or not spans:
        raise PeerError(400, "the multipart body has no part, or no closing delimiter")
    return spans


def _find(body: bytes, delimiter: bytes, start: int) -> tuple[int, int]:
    at = body.find(delimiter, start)
    return at, at + len(delimiter)


def split_entity(raw: bytes, depth: int = 1) -> Entity:
    """One part: its fields, an empty line, its body. Either may be absent (RFC 2046 section 5.1).

    Raises:
        PeerError: 400 when a field is malformed or there are too many.
    """
    if raw.startswith(b"\r\n"):
        return Entity(Headers(), raw, 2, depth)
    end = raw.find(b"\r\n\r\n")
    head, start = (raw, len(raw)) if end < 0 else (raw[:end], end + 4)
    if len(head) > MAX_HEAD:
        raise PeerError(400, f"the fields of a part take over {MAX_HEAD} bytes")
    lines = head.removesuffix(b"\r\n").decode("utf-8", "surrogateescape").split("\r\n") if head else []
    if head.translate(None, _ALLOWED).replace(b"\r\n", b"") or len(lines) > MAX_FIELDS:
        raise PeerError(400, f"a control character in the fields of a part, or over {MAX_FIELDS} lines")
    return Entity(_fields(lines), raw, start, depth)


def _fields(lines: Sequence[str]) -> Headers:
    names: list[str] = []
    kept: list[str] = []
    for line in lines:
        name, colon, _ = line.partition(":")
        if line[:1] in (" ", "\t") and kept:
            kept[-1] += "\r\n" + line
        elif colon:
            names.append(canonical_name(name))
            kept.append(line)
        else:
            raise PeerError(400, f"the line {line[:40]!r} of a part is no field")
    return Headers.received(names, kept)


def make_entity(content_type: str, body: bytes, *fields: tuple[str, str]) -> Entity:
    """A part with this content, in binary (RFC 5621 section 3.2), and more fields in order."""
    headers = Headers([("Content-Type", content_type), *fields])
    head = "\r\n".join(headers.lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n"
    return Entity(headers, head + body, len(head), 1)


def join(
    parts: Sequence[Entity], boundary: str, subtype: str = "mixed", params: Params | None = None
) -> Entity:
    """A multipart of these parts; its ``media_type`` and ``body`` are what a message needs.

    ``boundary`` is the caller's, random enough that no part holds it. ``params`` are more parameters, such
    as the ``protocol`` of multipart/signed.

    Raises:
        LocalError: The boundary is malformed or in a part, or there is no part.
    """
    dash = b"--" + boundary.encode("ascii")
    if not parts or not _BOUNDARY.fullmatch(boundary) or any(dash in part.raw for part in parts):
        raise LocalError(
            "a multipart needs parts, and a boundary of 1 to 70 characters that is in none of them"
        )
    more = params or Params()
    content_type = MediaType("multipart", subtype, more.with_("boundary", grammar.quote(boundary)))
    body = b"".join(b"%b\r\n%b\r\n" % (dash, part.raw) for part in parts) + dash + b"--\r\n"
    return make_entity(str(content_type), body)
