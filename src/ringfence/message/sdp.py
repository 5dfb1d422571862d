"""Session descriptions: SDP by RFC 4566, and by RFC 8866 where the two differ.

A description is read in one walk over its lines, in the order of the grammar (RFC 4566 section 9): each rule
is one statement of ``parse``, and a line that no rule wanted is out of place. Attributes, unknown ones too,
stay text in the order of arrival; the typed views read that text when asked and skip what is malformed,
because a receiver ignores an attribute that it does not understand (section 5.13). So what we do not change
is written as it was read.

Leniencies, each seen from real phones: LF alone ends a line (section 5 asks for that), empty lines at the
end, one trailing space, one space before the times (RFC 3204 prints ``t= 2873397496 2873404696``), empty free
text (RFC 3264 prints ``s=``), ``c=`` and ``b=`` after ``t=`` (RFC 3264 figure 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ringfence.message.errors import LocalError
from ringfence.message.sdp_attributes import (
    STATIC_FORMATS,
    TOKEN,
    Candidate,
    Crypto,
    Direction,
    Fingerprint,
    Format,
    Group,
    Rtcp,
    Rtpmap,
    digits,
)
from ringfence.message.sdp_lines import (
    Attribute,
    Bandwidth,
    Connection,
    EncryptionKey,
    Lines,
    Origin,
    Repeat,
    Timing,
    ZoneAdjustment,
    read_zone,
    seconds,
)

__all__ = [
    "Attribute",
    "Bandwidth",
    "Connection",
    "EncryptionKey",
    "Media",
    "Origin",
    "Repeat",
    "Session",
    "Timing",
    "ZoneAdjustment",
    "parse",
    "seconds",
]

MAX_MEDIA = 64
"""Real calls have under ten streams; each one costs an answer sockets or a rejection."""

_DIRECTIONS = {direction.value: direction for direction in Direction}
_T = TypeVar("_T")


def _optional(letter: str, value: object) -> list[str]:
    return [] if value is None else [f"{letter}={value}"]


class _Section:
    """What the session level and each media level share: a list of attributes, and views of it."""

    __slots__ = ()

    attributes: list[Attribute]

    def attribute(self, name: str) -> str | None:
        """The value of the first attribute of this name, "" for a property; None when there is none."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute.value or ""
        return None

    def has(self, name: str) -> bool:
        """There is such an attribute, with a value or without."""
        return any(attribute.name == name for attribute in self.attributes)

    def add(self, name: str, value: object = None) -> None:
        """Append an attribute; the value is written with ``str``."""
        self.attributes.append(Attribute(name, None if value is None else str(value)))

    def replace(self, name: str, value: object = None) -> None:
        """Put one attribute in the place of those of this name; append when there is none."""
        fresh = Attribute(name, None if value is None else str(value))
        for index, attribute in enumerate(self.attributes):
            if attribute.name == name:
                rest = [item for item in self.attributes[index + 1 :] if item.name != name]
                self.attributes[index:] = [fresh, *rest]
                return
        self.attributes.append(fresh)

    def remove(self, *names: str) -> None:
        """Drop all attributes of these names."""
        self.attributes[:] = [attribute for attribute in self.attributes if attribute.name not in names]

    def typed(self, name: str, read: Callable[[str], _T]) -> list[_T]:
        """The values of this name that ``read`` understands, in order; the others are skipped."""
        values = []
        for attribute in self.attributes:
            if attribute.name == name and attribute.value is not None:
                try:
                    values.append(read(attribute.value))
                except ValueError:
                    continue
        return values

    @property
    def direction(self) -> Direction | None:
        """The direction that is written here, None when none is."""
        for attribute in self.attributes:
            if attribute.name in _DIRECTIONS:
                return _DIRECTIONS[attribute.name]
        return None

    @direction.setter
    def direction(self, direction: Direction | None) -> None:
        if direction is self.direction:
            return
        self.remove(*Direction)
        if direction is not None:
            self.add(direction)

    @property
    def fingerprints(self) -> list[Fingerprint]:
        """Certificate hashes for DTLS (RFC 8122)."""
        return self.typed("fingerprint", Fingerprint.parse)

    @property
    def setup(self) -> str | None:
        """active, passive, actpass or holdconn (RFC 4145 section 4)."""
        return self.attribute("setup")


@dataclass(slots=True)
class Media(_Section):
    """One ``m=`` line with what belongs to it (RFC 4566 section 5.14)."""

    media: str
    port: int
    protocol: str
    formats: list[str]
    port_count: int | None = None
    information: str | None = None
    connections: list[Connection] = field(default_factory=list)
    bandwidths: list[Bandwidth] = field(default_factory=list)
    key: EncryptionKey | None = None
    attributes: list[Attribute] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> Media:
        """Read the ``m=`` line alone."""
        fields = text.removesuffix(" ").split(" ")
        if len(fields) < 4 or "" in fields:
            raise ValueError("reads <media> <port> <proto> <fmt> ...")
        media, ports, protocol, *formats = fields
        if not TOKEN.fullmatch(media) or not all(map(TOKEN.fullmatch, protocol.split("/"))):
            raise ValueError("names no media or protocol that is a token")
        port, slash, count = ports.partition("/")
        return cls(media, digits(port, 65_535), protocol, formats, digits(count, 65_535) if slash else None)

    @property
    def rejected(self) -> bool:
        """Port zero: the stream is not wanted (RFC 3264 sections 5.1 and 6)."""
        return self.port == 0

    @property
    def secure(self) -> bool:
        """The transport is SRTP, keyed by SDES or by DTLS."""
        return "SAVP" in self.protocol.split("/")[-1]

    @property
    def codecs(self) -> list[Format]:
        """The RTP formats in order of preference, without those whose meaning is unknown."""
        maps: dict[int, Rtpmap] = {}
        for rtpmap in self.typed("rtpmap", Rtpmap.parse):
            maps.setdefault(rtpmap.payload_type, rtpmap)
        described = {line.partition(" ")[0]: line.partition(" ")[2] for line in self.typed("fmtp", str)}
        formats = []
        for text in self.formats:
            number = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else 128
            if number in maps:
                _, encoding, rate, parameters = maps[number]
                channels = int(parameters) if parameters and re.fullmatch("[0-9]{1,3}", parameters) else 1
            elif number in STATIC_FORMATS:
                encoding, rate, channels = STATIC_FORMATS[number]
            else:
                continue
            formats.append(Format(number, encoding, rate, channels, described.get(text)))
        return formats

    @property
    def ptime(self) -> int | None:
        """The packet time that this side would like to receive, in ms (RFC 3264 section 5.1)."""
        values = self.typed("ptime", digits)
        return values[0] if values and values[0] else None

    @property
    def rtcp(self) -> Rtcp | None:
        """Where RTCP goes when that is given (RFC 3605)."""
        values = self.typed("rtcp", Rtcp.parse)
        return values[0] if values else None

    @property
    def cryptos(self) -> list[Crypto]:
        """SDES suites and keys, preferred first (RFC 4568)."""
        return self.typed("crypto", Crypto.parse)

    @property
    def candidates(self) -> list[Candidate]:
        """ICE candidates (RFC 8839)."""
        return self.typed("candidate", Candidate.parse)

    @property
    def mid(self) -> str | None:
        """The identification of this stream in groups (RFC 5888)."""
        return self.attribute("mid")

    def copy(self) -> Media:
        """One that can be changed without changing this one."""
        return replace(
            self,
            formats=self.formats.copy(),
            connections=[copy(connection) for connection in self.connections],
            bandwidths=self.bandwidths.copy(),
            attributes=self.attributes.copy(),
        )

    def _lines(self) -> list[str]:
        ports = f"{self.port}" if self.port_count is None else f"{self.port}/{self.port_count}"
        lines = [f"m={self.media} {ports} {self.protocol} {' '.join(self.formats)}"]
        lines += _optional("i", self.information)
        lines.extend(f"c={connection}" for connection in self.connections)
        lines.extend(f"b={bandwidth}" for bandwidth in self.bandwidths)
        lines += _optional("k", self.key)
        lines.extend(f"a={attribute}" for attribute in self.attributes)
        return lines


@dataclass(slots=True)
class Session(_Section):
    """A whole description; ``str`` and ``to_bytes`` write it."""

    origin: Origin
    name: str = "-"
    information: str | None = None
    uri: str | None = None
    emails: list[str] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)
    connection: Connection | None = None
    bandwidths: list[Bandwidth] = field(default_factory=list)
    times: list[Timing] = field(default_factory=lambda: [Timing()])
    key: EncryptionKey | None = None
    attributes: list[Attribute] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)

    @property
    def groups(self) -> list[Group]:
        """Streams that belong together (RFC 5888)."""
        return self.typed("group", Group.parse)

    def connection_of(self, media: Media) -> Connection | None:
        """Where this stream goes: its own ``c=``, else that of the session (RFC 4566 section 5.7)."""
        return media.connections[0] if media.connections else self.connection

    def direction_of(self, media: Media) -> Direction:
        """Its own direction, else that of the session, else sendrecv (RFC 4566 section 6)."""
        return media.direction or self.direction or Direction.SENDRECV

    def address_of(self, media: Media) -> tuple[str, int] | None:
        """Host and port that media for this stream is sent to; None when nothing is to be sent."""
        connection = self.connection_of(media)
        if media.rejected or connection is None or connection.unspecified:
            return None
        return connection.host, media.port

    def rtcp_address_of(self, media: Media) -> tuple[str, int] | None:
        """Host and port that RTCP is sent to: the next port, or as ``a=rtcp`` says (RFC 3605)."""
        address = self.address_of(media)
        if address is None:
            return None
        host, port = address
        rtcp = media.rtcp
        if rtcp is not None:
            return (rtcp.address or host, rtcp.port) if rtcp.port else None
        return (host, port + 1) if port < 65_535 else None

    def copy(self) -> Session:
        """One that can be changed without changing this one."""
        return replace(
            self,
            origin=copy(self.origin),
            emails=self.emails.copy(),
            phones=self.phones.copy(),
            connection=copy(self.connection),
            bandwidths=self.bandwidths.copy(),
            times=[timing.copy() for timing in self.times],
            attributes=self.attributes.copy(),
            media=[media.copy() for media in self.media],
        )

    def to_bytes(self) -> bytes:
        """The description as a message body."""
        return str(self).encode("utf-8", "surrogateescape")

    def __str__(self) -> str:
        lines = ["v=0", f"o={self.origin}", f"s={self.name}"]
        lines += _optional("i", self.information) + _optional("u", self.uri)
        lines.extend(f"e={email}" for email in self.emails)
        lines.extend(f"p={phone}" for phone in self.phones)
        lines += _optional("c", self.connection)
        lines.extend(f"b={bandwidth}" for bandwidth in self.bandwidths)
        lines.extend(line for timing in self.times for line in timing.lines())
        lines += _optional("k", self.key)
        lines.extend(f"a={attribute}" for attribute in self.attributes)
        lines.extend(line for media in self.media for line in media._lines())
        text = "\r\n".join(lines)
        # A value with a line break would add lines of its choice: whoever set it must not.
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
            raise LocalError("a value of the session description holds CR, LF or NUL")
        return text + "\r\n"


def parse(data: str | bytes, *, status: int = 400) -> Session:
    """Read one description.

    Raises:
        PeerError: It breaks the grammar; the reason names the line. ``status`` is the answer that fits the
            caller's message: 400 for a request that carries it, 488 or 406 where those fit.
    """
    lines = Lines(data, status)
    if lines.need("v", str) != "0":
        lines.at = 0
        raise lines.error("v= the only version is 0")
    session = Session(
        origin=lines.need("o", Origin.parse),
        name=lines.need("s", str),
        information=lines.maybe("i", str),
        uri=lines.maybe("u", str),
        emails=lines.every("e", str),
        phones=lines.every("p", str),
        connection=lines.maybe("c", Connection.parse),
        bandwidths=lines.every("b", Bandwidth.parse),
        times=_times(lines),
    )
    if session.connection is None:
        session.connection = lines.maybe("c", Connection.parse)
    session.bandwidths += lines.every("b", Bandwidth.parse)
    session.key = lines.maybe("k", EncryptionKey.parse)
    session.attributes = lines.every("a", Attribute.parse)
    while (media := lines.maybe("m", Media.parse)) is not None:
        if len(session.media) == MAX_MEDIA:
            raise lines.error(f"more than {MAX_MEDIA} media")
        _read_media(lines, media, session)
        session.media.append(media)
    if lines.at < len(lines.lines):
        raise lines.error(f"{lines.lines[lines.at][:2]!r} is unknown or out of order")
    return session


def _times(lines: Lines) -> list[Timing]:
    times = []
    timing: Timing | None = lines.need("t", Timing.parse)
    while timing is not None:
        timing.repeats = lines.every("r", Repeat.parse)
        timing.zone = lines.maybe("z", read_zone) or []
        times.append(timing)
        timing = lines.maybe("t", Timing.parse)
    return times


def _read_media(lines: Lines, media: Media, session: Session) -> None:
    start = lines.at - 1
    media.information = lines.maybe("i", str)
    media.connections = lines.every("c", Connection.parse)
    media.bandwidths = lines.every("b", Bandwidth.parse)
    media.key = lines.maybe("k", EncryptionKey.parse)
    media.attributes = lines.every("a", Attribute.parse)
    # RFC 4566 section 5.7. A rejected stream goes nowhere, so it may lack one.
    if session.connection is None and not media.connections and not media.rejected:
        lines.at = start
        raise lines.error("neither this stream nor the session has c=")
