"""The values of the SDP lines that are not attributes or media: origin, connection, bandwidth, times, key.

Each type reads the text after ``x=`` with ``parse`` and writes it with ``str``; ``parse`` raises ValueError
with a reason, to which ``Lines``, the cursor that all reading goes through, adds the number of the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, TypeVar

from ringfence.message.errors import PeerError
from ringfence.message.ip import ip_address
from ringfence.message.sdp_attributes import TOKEN, digits

__all__ = [
    "Attribute",
    "Bandwidth",
    "Connection",
    "EncryptionKey",
    "Lines",
    "Origin",
    "Repeat",
    "Timing",
    "ZoneAdjustment",
    "read_zone",
    "seconds",
]

MAX_BYTES = 65_535
"""A description travels in one SIP message, and no datagram holds more."""
MAX_LINE = 8_192
"""The longest lines are key management data with certificates, of a few kilobytes."""
MAX_LINES = 2_048
"""Full ICE over several streams takes some hundreds of lines."""

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_TYPED_TIME = re.compile(r"\d{1,20}[dhms]?", re.ASCII)
_T = TypeVar("_T")


def seconds(typed_time: str) -> int:
    """The seconds that a typed time such as ``7d`` or ``-1h`` stands for (RFC 4566 section 5.10)."""
    number = typed_time.rstrip("dhms")
    return int(number) * _UNITS[typed_time[len(number) :] or "s"]


def _fields(value: str) -> list[str]:
    fields = value.removesuffix(" ").split(" ")
    if "" in fields:
        raise ValueError("has an empty field: one space separates fields")
    return fields


def _typed_time(text: str) -> str:
    if not _TYPED_TIME.fullmatch(text):
        raise ValueError(f"{text[:30]!r} is not a time such as 3600 or 7d")
    return text


class Attribute(NamedTuple):
    """One ``a=`` line: a property, or a value when there is a colon (RFC 4566 section 5.13)."""

    name: str
    value: str | None = None

    @classmethod
    def parse(cls, text: str) -> Attribute:
        name, colon, value = text.partition(":")
        if not name:
            raise ValueError("names no attribute")
        return cls(name, value if colon else None)

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"


@dataclass(slots=True)
class Origin:
    """Who describes which session, in which version (RFC 4566 section 5.2)."""

    username: str
    session_id: int
    version: int
    address: str
    addrtype: str = "IP4"
    nettype: str = "IN"

    @classmethod
    def parse(cls, text: str) -> Origin:
        fields = _fields(text)
        if len(fields) != 6:
            raise ValueError(f"has {len(fields)} fields, not 6")
        username, session_id, version, nettype, addrtype, address = fields
        return cls(username, digits(session_id), digits(version), address, addrtype, nettype)

    def __str__(self) -> str:
        fields = self.username, self.session_id, self.version, self.nettype, self.addrtype, self.address
        return " ".join(map(str, fields))


@dataclass(slots=True)
class Connection:
    """Where media goes (RFC 4566 section 5.7). ``address`` is the whole text, with TTL and count."""

    address: str
    addrtype: str = "IP4"
    nettype: str = "IN"

    @classmethod
    def parse(cls, text: str) -> Connection:
        fields = _fields(text)
        if len(fields) != 3:
            raise ValueError(f"has {len(fields)} fields, not 3")
        for suffix in fields[2].split("/")[1:]:
            digits(suffix)
        return cls(fields[2], fields[1], fields[0])

    @classmethod
    def to(cls, host: str) -> Connection:
        """The connection to a host, given as an address or a name."""
        return cls(host, "IP6" if ":" in host else "IP4")

    @property
    def host(self) -> str:
        """The address or name alone."""
        return self.address.partition("/")[0]

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        """The address when it is one; None for a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def unspecified(self) -> bool:
        """0.0.0.0 or ::, which asks that nothing be sent (RFC 3264 section 8.4)."""
        ip = self.ip
        return ip is not None and ip.is_unspecified

    @property
    def multicast(self) -> bool:
        """The address is that of a group."""
        ip = self.ip
        return ip is not None and ip.is_multicast

    def __str__(self) -> str:
        return f"{self.nettype} {self.addrtype} {self.address}"


class Bandwidth(NamedTuple):
    """A proposed bandwidth (RFC 4566 section 5.8), in kilobits a second unless the type says otherwise."""

    type: str
    value: int

    @classmethod
    def parse(cls, text: str) -> Bandwidth:
        kind, colon, value = text.removesuffix(" ").partition(":")
        if not colon or not TOKEN.fullmatch(kind):
            raise ValueError("reads <type>:<bandwidth>")
        return cls(kind, digits(value))

    def __str__(self) -> str:
        return f"{self.type}:{self.value}"


@dataclass(slots=True)
class Repeat:
    """When a session is repeated (RFC 4566 section 5.10). Typed times, for ``seconds`` to read."""

    interval: str
    duration: str
    offsets: list[str]

    @classmethod
    def parse(cls, text: str) -> Repeat:
        interval, *rest = [_typed_time(item) for item in _fields(text)]
        if len(rest) < 2:
            raise ValueError("needs an interval, a duration and an offset")
        return cls(interval, rest[0], rest[1:])

    def __str__(self) -> str:
        return " ".join((self.interval, self.duration, *self.offsets))


class ZoneAdjustment(NamedTuple):
    """From this time on, repeats are shifted by ``offset`` (RFC 4566 section 5.11)."""

    time: int
    offset: str


@dataclass(slots=True)
class Timing:
    """When the session is active, in NTP seconds; 0 is no bound (RFC 4566 sections 5.9 to 5.11).

    RFC 4566 has one ``z=`` after all times, RFC 8866 one after the repeats of each: both keep their place.
    """

    start: int = 0
    stop: int = 0
    repeats: list[Repeat] = field(default_factory=list)
    zone: list[ZoneAdjustment] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> Timing:
        fields = _fields(text.removeprefix(" "))
        if len(fields) != 2:
            raise ValueError(f"has {len(fields)} fields, not 2")
        return cls(digits(fields[0]), digits(fields[1]))

    def copy(self) -> Timing:
        """One that can be changed without changing this one."""
        repeats = [Repeat(each.interval, each.duration, each.offsets.copy()) for each in self.repeats]
        return Timing(self.start, self.stop, repeats, self.zone.copy())

    def lines(self) -> list[str]:
        lines = [f"t={self.start} {self.stop}", *(f"r={repeat}" for repeat in self.repeats)]
        if self.zone:
            lines.append("z=" + " ".join(f"{time} {offset}" for time, offset in self.zone))
        return lines


def read_zone(text: str) -> list[ZoneAdjustment]:
    """The adjustments of a ``z=`` line."""
    fields = _fields(text)
    if len(fields) % 2:
        raise ValueError("has a time without an offset")
    for offset in fields[1::2]:
        _typed_time(offset.removeprefix("-"))
    return [
        ZoneAdjustment(digits(time), offset) for time, offset in zip(fields[::2], fields[1::2], strict=True)
    ]


class EncryptionKey(NamedTuple):
    """A ``k=`` line (RFC 4566 section 5.12). RFC 8866 forbids its use: it is kept only to be passed on."""

    method: str
    value: str | None = None

    @classmethod
    def parse(cls, text: str) -> EncryptionKey:
        method, colon, value = text.partition(":")
        if not TOKEN.fullmatch(method):
            raise ValueError("names no method")
        return cls(method, value if colon else None)

    def __str__(self) -> str:
        return self.method if self.value is None else f"{self.method}:{self.value}"


class Lines:
    """A cursor over the lines of a description."""

    __slots__ = ("at", "lines", "status")

    def __init__(self, data: str | bytes, status: int) -> None:
        self.status = status
        self.at = 0
        self.lines: list[str] = []
        if len(data) > MAX_BYTES:
            raise PeerError(status, f"SDP: longer than {MAX_BYTES} bytes")
        # Other charsets than UTF-8 (a=charset) are octets to us, kept as surrogates (RFC 4566 section 6).
        text = data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        for self.at, line in enumerate(lines[: MAX_LINES + 1]):
            if "\r" in line or "\0" in line:
                raise self.error("CR and NUL are not allowed inside a line")
            if len(line) > MAX_LINE or self.at == MAX_LINES:
                raise self.error(f"over the limit of {MAX_LINE} bytes a line and {MAX_LINES} lines")
        self.at = 0
        self.lines = lines

    def error(self, reason: str) -> PeerError:
        """The error to raise for the line under the cursor."""
        return PeerError(self.status, f"SDP line {self.at + 1}: {reason}")

    def maybe(self, letter: str, read: Callable[[str], _T]) -> _T | None:
        """The next line when it has this type."""
        if self.at == len(self.lines) or not self.lines[self.at].startswith(letter + "="):
            return None
        try:
            value = read(self.lines[self.at][2:])
        except ValueError as error:
            raise self.error(f"{letter}= {error}") from None
        self.at += 1
        return value

    def need(self, letter: str, read: Callable[[str], _T]) -> _T:
        """The next line, which must have this type."""
        value = self.maybe(letter, read)
        if value is None:
            found = repr(self.lines[self.at][:2]) if self.at < len(self.lines) else "the end"
            raise self.error(f"{letter}= is required here, found {found}")
        return value

    def every(self, letter: str, read: Callable[[str], _T]) -> list[_T]:
        """All next lines that have this type."""
        values = []
        while (value := self.maybe(letter, read)) is not None:
            values.append(value)
        return values
