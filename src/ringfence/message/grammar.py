"""The ABNF of RFC 3261 section 25, each rule beside the regular expression that stands for it.

Every expression here is linear: no nested quantifier can match the same text in two ways, so that no
message makes us slow. They work on header values after unfolding, where LWS is only SP and HTAB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from ringfence.message.errors import PeerError

# token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" )
TOKEN_CHARS: str = r"A-Za-z0-9\-.!%*_+`'~"  # noqa: S105  (a character class, not a password)
TOKEN: str = rf"[{TOKEN_CHARS}]+"
# word = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~" / "(" / ")" / "<" / ">" /
#           ":" / "\" / DQUOTE / "/" / "[" / "]" / "?" / "{" / "}" )
WORD: str = rf'[{TOKEN_CHARS}()<>:\\"/\[\]?{{}}]+'
# quoted-string = SWS DQUOTE *(qdtext / quoted-pair ) DQUOTE;  quoted-pair = "\" (%x00-09 / %x0B-0C / %x0E-7F)
QUOTED: str = r'"[^"\\]*+(?:\\[^\r\n][^"\\]*+)*+"'
# unreserved = alphanum / mark;  mark = "-" / "_" / "." / "!" / "~" / "*" / "'" / "(" / ")"
UNRESERVED: str = r"A-Za-z0-9\-_.!~*'()"
# escaped = "%" HEXDIG HEXDIG
ESCAPED: str = r"%[0-9A-Fa-f]{2}"
# host = hostname / IPv4address / IPv6reference. Leniency: "_" in a label, which DNS service names and many
# private networks have (RFC 2181 section 11 allows it in the DNS).
LABEL: str = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]*[A-Za-z0-9_])?"
HOST: str = rf"(?:\[[0-9A-Fa-f:.]++\]|{LABEL}(?:\.{LABEL})*\.?)"

token = re.compile(TOKEN).fullmatch
quoted = re.compile(QUOTED, re.DOTALL).fullmatch
host = re.compile(HOST).fullmatch
# callid = word [ "@" word ]
callid = re.compile(rf"{WORD}(?:@{WORD})?").fullmatch
# display-name = *(token LWS)/ quoted-string. Leniency: UTF-8 letters, which people have in their names and
# some phones do not quote; nothing else can be meant by them.
display_tokens = re.compile(rf"[{TOKEN_CHARS} \t\x80-\ud7ff\ue000-\U0010ffff]*").fullmatch

_IPV4_LIKE = re.compile(r"[0-9.]+").fullmatch
_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)").fullmatch
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
# qdtext lacks these; HTAB is whitespace in it, and neither CR nor LF can be escaped.
_TO_ESCAPE: Final = re.compile(r'["\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f]')
_ESCAPED_PAIR: Final = r"\\\g<0>"
_FOLD: Final = re.compile(r"[ \t]*\r\n[ \t]+")
# One element of a comma list: commas inside quotes and inside <> do not separate (RFC 3261 section 7.3.1).
_ELEMENT: Final = re.compile(rf'(?:[^,"<]++|{QUOTED}|<[^>]*+>)*+', re.DOTALL)

MAX_VALUES = 512
"""Most values of one header field: as many as there may be header lines (see ``parser.MAX_HEADER_LINES``)."""


def unfold(text: str) -> str:
    """Replace each line folding by one SP and trim LWS at the ends (RFC 3261 section 7.3.1)."""
    if "\r\n" in text:
        text = _FOLD.sub(" ", text)
    return text.strip(" \t")


def unquote(text: str) -> str:
    """The content of a quoted-string with its quoted-pairs resolved; other text as it is."""
    if len(text) >= 2 and text[0] == '"' and text[-1] == '"':
        text = text[1:-1]
        return _QUOTED_PAIR.sub(r"\1", text) if "\\" in text else text
    return text


def quote(text: str) -> str:
    """A quoted-string with this content, control characters as quoted-pairs (RFC 3261 section 25.1)."""
    return f'"{_TO_ESCAPE.sub(_ESCAPED_PAIR, text)}"'


def unescape(text: str) -> str:
    """Resolve %HH escapes; octets that are not UTF-8 survive as surrogates."""
    if "%" not in text:
        return text
    data = _ESCAPE.sub(
        lambda m: chr(int(m[1], 16)), text.encode("utf-8", "surrogateescape").decode("latin-1")
    )
    return data.encode("latin-1").decode("utf-8", "surrogateescape")


MAX_HOST = 255
"""Longest host name in characters (RFC 1035 section 2.3.4)."""


def valid_host(text: str) -> bool:
    """Whether the text is a hostname, an IPv4 address or a bracketed IPv6 address (RFC 3261 section 25.1)."""
    return 0 < len(text) <= MAX_HOST and _valid_host(text)


@lru_cache(8192)
def _valid_host(text: str) -> bool:
    if not host(text):
        return False
    if text[0] == "[":
        return valid_ipv6(text[1:-1])
    if _IPV4_LIKE(text):  # toplabel starts with ALPHA: digits and dots must be an address
        return bool(_IPV4(text))
    return True


def valid_ipv6(text: str) -> bool:
    """Whether the text is an IPv6 address, without a zone (RFC 3261 section 25.1 as RFC 5954 corrects it)."""
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text


def split_list(text: str, header: str | None = None) -> list[str]:
    """Split a comma list into its trimmed elements; empty elements are dropped.

    Raises:
        PeerError: 400 when a quote or a bracket is not closed, or there are more than ``MAX_VALUES``.
    """
    return [part for part in list_parts(text, header) if part]


def list_parts(text: str, header: str | None = None) -> list[str]:
    """Split a comma list into its trimmed elements, the empty ones too (RFC 3261 section 7.3.1).

    Raises:
        PeerError: 400 when a quote or a bracket is not closed, or there are more than ``MAX_VALUES``.
    """
    if "," not in text:
        return [text]
    if text.count(",") >= MAX_VALUES:
        raise PeerError(400, f"more than {MAX_VALUES} values", header=header)
    if '"' not in text and "<" not in text:
        return [piece.strip(" \t") for piece in text.split(",")]
    return list(_elements(text, header))


def _elements(text: str, header: str | None) -> Iterator[str]:
    position, size = 0, len(text)
    while position <= size:
        match = _ELEMENT.match(text, position)
        assert match is not None  # the expression matches the empty text too
        end = match.end()
        if end < size and text[end] != ",":
            raise PeerError(400, f"unbalanced {text[end]} in the value", header=header)
        yield match[0].strip(" \t")
        position = end + 1
