"""URIs: SIP and SIPS by RFC 3261 section 19.1, tel by RFC 3966, any other scheme kept as text.

Values are immutable and cached: the same callee, contact and route come again and again, and a cache hit
costs a twentieth of a parse. The cache is bounded, since its keys are what peers send.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import LocalError, PeerError
from ringfence.message.params import MAX_PARAMS, NO_PARAMS, Params, checked_params

MAX_URI = 4096
"""Longest URI in characters. No deployed one comes near; a longer one is answered 414."""

CACHE_SIZE = 8192
"""URIs kept parsed; at about 500 bytes each this is 4 MB."""

MAX_CACHED = 256
"""Longest text that is kept parsed, so that nobody fills memory with long ones: 8192 of these are 8 MB."""

# SIP-URI = "sip:" [ userinfo ] hostport uri-parameters [ headers ]
# user = 1*( unreserved / escaped / user-unreserved )
# user-unreserved = "&" / "=" / "+" / "$" / "," / ";" / "?" / "/"
# password = *( unreserved / escaped / "&" / "=" / "+" / "$" / "," )
_SIP: Final = re.compile(
    rf"(sips?):(?:((?:[{grammar.UNRESERVED}&=+$,;?/]++|{grammar.ESCAPED})++)"
    rf"(?::((?:[{grammar.UNRESERVED}&=+$,]++|{grammar.ESCAPED})*+))?+@)?+"
    rf"({grammar.HOST})(?::([0-9]{{1,10}}))?"
    rf"((?:;[^;?]*+)*+)(?:\?(.*))?",
    re.IGNORECASE | re.DOTALL,
).fullmatch
# uri-parameter = pname [ "=" pvalue ];  paramchar = param-unreserved / unreserved / escaped
# param-unreserved = "[" / "]" / "/" / ":" / "&" / "+" / "$"
_PARAM: Final = re.compile(
    rf"((?:[{grammar.UNRESERVED}\[\]/:&+$]++|{grammar.ESCAPED})++)"
    rf"(?:=((?:[{grammar.UNRESERVED}\[\]/:&+$]++|{grammar.ESCAPED})++))?+"
).fullmatch
# transport-param = "transport=" ( ... / token ); user-param and method-param likewise: "%" and "`" need no escape.
_TOKEN_PARAM: Final = re.compile(rf"(transport|user|method)=({grammar.TOKEN})", re.IGNORECASE).fullmatch
# headers = "?" header *( "&" header );  hnv-unreserved = "[" / "]" / "/" / "?" / ":" / "+" / "$"
_HEADER: Final = re.compile(
    rf"((?:[{grammar.UNRESERVED}\[\]/?:+$]++|{grammar.ESCAPED})++)"
    rf"=((?:[{grammar.UNRESERVED}\[\]/?:+$]++|{grammar.ESCAPED})*+)"
).fullmatch
# RFC 3966 section 3: "+" with digits, or local digits (HEXDIG / "*" / "#"), visual separators between them;
# then ";" parameters. Leniency: a local number without phone-context, as every telephone sends 112.
_TEL: Final = re.compile(r"tel:(\+[0-9\-.()]+|[0-9A-Fa-f*#\-.()]+)((?:;[^;]+)*+)", re.IGNORECASE).fullmatch
# absoluteURI = scheme ":" ( hier-part / opaque-part ), of reserved, unreserved and escaped; and "[", "]" and
# "#", which RFC 3986 has too.
_OTHER: Final = re.compile(
    rf"([A-Za-z][A-Za-z0-9+.\-]*+):((?:[{grammar.UNRESERVED};/?:@&=+$,\[\]#]++|{grammar.ESCAPED})++)"
).fullmatch
_VISUAL: Final = str.maketrans("", "", "-.()")
_TEL_PARAM: Final = re.compile(
    rf"([A-Za-z0-9\-]++)(?:=((?:[{grammar.UNRESERVED}\[\]/:&+$]++|{grammar.ESCAPED})++))?+"
).fullmatch
# isdn-subaddress = ";isub=" 1*uric: every reserved character too (RFC 3966 section 3). A ";" ends it here, as it does
# for every reader.
_ISDN_SUBADDRESS: Final = re.compile(
    rf"(isub)=((?:[{grammar.UNRESERVED}\[\]/:&+$?@=,]++|{grammar.ESCAPED})++)", re.IGNORECASE
).fullmatch
_NOT_IN_USER: Final = re.compile(rf"[^{grammar.UNRESERVED}&=+$,;?/]")
_RESERVED_ESCAPE: Final = re.compile(
    r"%(?:2[46BCFbcf]|3[ABDFabdf]|40|25|0[0-9A-Fa-f]|1[0-9A-Fa-f]|7[Ff]|2[0235]|[89A-Fa-f][0-9A-Fa-f])"
)


class SipUri:
    """A ``sip:`` or ``sips:`` URI (RFC 3261 section 19.1). ``user`` and ``password`` keep their escapes."""

    __slots__ = ("_text", "headers", "host", "params", "password", "port", "scheme", "user")

    def __init__(
        self,
        scheme: str,
        user: str | None,
        host: str,
        port: int | None = None,
        params: Params = NO_PARAMS,
        *,
        password: str | None = None,
        headers: str = "",
        text: str | None = None,
    ) -> None:
        self.scheme = scheme
        self.user = user
        self.password = password
        self.host = host  # lower case; IPv6 with its brackets
        self.port = port
        self.params = params
        self.headers = headers
        self._text = text

    @property
    def secure(self) -> bool:
        """Whether every hop must be TLS (RFC 5630)."""
        return self.scheme == "sips"

    @property
    def address(self) -> str:
        """The host without the brackets of an IPv6 reference."""
        return self.host[1:-1] if self.host[0] == "[" else self.host

    @property
    def aor(self) -> str:
        """The address-of-record of RFC 3261 section 10.3 step 5: canonical, no parameters, scheme ``sip``.

        Every escape is resolved whose character may stand in a user part as it is. What may not (NUL, ``@``,
        "%", octets that are no UTF-8) stays escaped, so that the text is a URI again, no two users share one,
        and it is safe to store and print.
        """
        host = _same_host(self.host)
        return f"sip:{_canonical_user(self.user)}@{host}" if self.user else f"sip:{host}"

    @property
    def transport(self) -> str | None:
        """The ``transport`` parameter in upper case, or None."""
        value = self.params.get("transport")
        return value.upper() if value else None

    def replace(
        self,
        *,
        scheme: str | None = None,
        host: str | None = None,
        port: int | None = None,
        params: Params | None = None,
        headers: str | None = None,
    ) -> SipUri:
        """A copy with some parts replaced; ``port`` None keeps the port."""
        return SipUri(
            scheme or self.scheme,
            self.user,
            host or self.host,
            port if port is not None else self.port,
            self.params if params is None else params,
            password=self.password,
            headers=self.headers if headers is None else headers,
        )

    def header_items(self) -> list[tuple[str, str]]:
        """The ``?name=value`` headers, escapes resolved."""
        pairs = (item.partition("=") for item in self.headers.split("&") if item)
        return [(grammar.unescape(name), grammar.unescape(value)) for name, _, value in pairs]

    def __str__(self) -> str:
        if self._text is None:
            userinfo = ""
            if self.user is not None:
                userinfo = self.user + (f":{self.password}" if self.password is not None else "") + "@"
            port = f":{self.port}" if self.port is not None else ""
            query = f"?{self.headers}" if self.headers else ""
            self._text = f"{self.scheme}:{userinfo}{self.host}{port}{self.params}{query}"
        return self._text

    def __eq__(self, other: object) -> bool:
        """Equivalence of RFC 3261 section 19.1.4 (not an equality of text)."""
        return self is other or (isinstance(other, SipUri) and _equivalent(self, other))

    def __hash__(self) -> int:
        return hash((self.scheme, _same_host(self.host), self.port, _normal(self.user)))

    def __repr__(self) -> str:
        return f"SipUri({str(self)!r})"


class TelUri:
    """A telephone number (RFC 3966). ``number`` has no visual separators."""

    __slots__ = ("_text", "number", "params")
    scheme = "tel"

    def __init__(self, number: str, params: Params = NO_PARAMS, text: str | None = None) -> None:
        self.number = number
        self.params = params
        self._text = text

    @property
    def is_global(self) -> bool:
        """Whether the number is in the international form, with a leading ``+``."""
        return self.number.startswith("+")

    def __str__(self) -> str:
        return self._text if self._text is not None else f"tel:{self.number}{self.params}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TelUri) or self.number.lower() != other.number.lower():
            return False
        mine = {key.lower(): (value or "").lower() for key, value in self.params}
        return mine == {key.lower(): (value or "").lower() for key, value in other.params}

    def __hash__(self) -> int:
        return hash(self.number.lower())

    def __repr__(self) -> str:
        return f"TelUri({str(self)!r})"


class OtherUri:
    """A URI of a scheme that we do not route, such as ``im:`` or ``urn:``; kept as text."""

    __slots__ = ("_text", "rest", "scheme")

    def __init__(self, scheme: str, rest: str, text: str | None = None) -> None:
        self.scheme = scheme
        self.rest = rest
        self._text = text

    def __str__(self) -> str:
        return self._text if self._text is not None else f"{self.scheme}:{self.rest}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OtherUri) and (self.scheme, self.rest) == (other.scheme, other.rest)

    def __hash__(self) -> int:
        return hash((self.scheme, self.rest))

    def __repr__(self) -> str:
        return f"OtherUri({str(self)!r})"


Uri = SipUri | TelUri | OtherUri


def parse_uri(text: str) -> Uri:
    """Read a URI of any scheme.

    Raises:
        PeerError: 414 when it is too long, 400 when it is malformed.
    """
    return _known(text) if len(text) <= MAX_CACHED else _read(text)


def _read(text: str) -> Uri:
    if len(text) > MAX_URI:
        raise PeerError(414, f"the URI is longer than {MAX_URI} characters")
    match = _SIP(text)
    if match is not None:
        return _sip_uri(match, text)
    match = _OTHER(text)
    if match is None:
        raise PeerError(400, f"not a URI: {text[:80]!r}")
    scheme = match[1].lower()
    if scheme in {"sip", "sips"}:
        raise PeerError(400, f"malformed {scheme} URI: {text[:80]!r}")
    if scheme == "tel":
        return _tel_uri(text)
    return OtherUri(scheme, match[2], text)


_known = lru_cache(CACHE_SIZE)(_read)


def _sip_uri(match: re.Match[str], text: str) -> SipUri:
    scheme, user, password, host, port, params, headers = match.groups()
    if not grammar.valid_host(host):
        raise PeerError(400, f"not a host: {host[:80]!r}")
    number = int(port) if port else None
    if number is not None and not 0 < number < 65536:
        raise PeerError(400, f"port {port} is out of range")
    if headers is not None and not all(_HEADER(item) for item in headers.split("&")):
        raise PeerError(400, f"malformed headers in the URI: {headers[:80]!r}")
    return SipUri(
        scheme.lower(),
        user,
        host.lower(),
        number,
        _uri_params(params) if params else NO_PARAMS,
        password=password,
        headers=headers or "",
        text=text,
    )


def _uri_params(text: str) -> Params:
    items: list[tuple[str, str | None]] = []
    for piece in text[1:].split(";", MAX_PARAMS):
        match = _PARAM(piece) or _TOKEN_PARAM(piece)
        if match is None:
            raise PeerError(400, f"malformed URI parameter: {piece[:80]!r}")
        items.append((match[1], match[2]))
    return checked_params(items)


def _tel_uri(text: str) -> TelUri:
    match = _TEL(text)
    number = match[1].translate(_VISUAL) if match else ""
    if match is None or not number.strip("+"):
        raise PeerError(400, f"malformed tel URI: {text[:80]!r}")
    items: list[tuple[str, str | None]] = []
    for piece in match[2].split(";", MAX_PARAMS + 1)[1:]:
        found = _TEL_PARAM(piece) or _ISDN_SUBADDRESS(piece)
        if found is None:
            raise PeerError(400, f"malformed tel URI parameter: {piece[:80]!r}")
        items.append((found[1], found[2]))
    return TelUri(number, checked_params(items), text)


def sip_uri(text: str) -> SipUri:
    """Read a URI that must be ``sip:`` or ``sips:``.

    Raises:
        PeerError: 416 for another scheme (RFC 3261 section 8.2.2.1), 400 or 414 for a malformed one.
    """
    uri = parse_uri(text)
    if not isinstance(uri, SipUri):
        raise PeerError(416, f"the URI scheme {uri.scheme} is not supported")
    return uri


def make_aor(user: str, host: str) -> str:
    """The address-of-record text for a user and a domain.

    Raises:
        LocalError: when the two do not make a valid SIP URI.
    """
    try:
        return sip_uri(f"sip:{user}@{host}").aor
    except PeerError as error:
        raise LocalError(f"{user}@{host} is no SIP address: {error.reason}") from None


def _same_host(host: str) -> str:
    """A host as it is compared: an IPv6 address by its value (RFC 5954 section 4.2)."""
    return f"[{IPv6Address(host[1:-1])}]" if host[0] == "[" else host


def _canonical_user(user: str) -> str:
    if "%" not in user:
        return user
    return _NOT_IN_USER.sub(_escaped, grammar.unescape(user))


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in found[0].encode("utf-8", "surrogateescape"))


def _normal(text: str | None) -> str | None:
    """A component with the escapes of unreserved characters resolved and others in upper case (19.1.4)."""
    if text is None or "%" not in text:
        return text
    parts: list[str] = []
    position = 0
    for found in _RESERVED_ESCAPE.finditer(text):
        parts += (grammar.unescape(text[position : found.start()]), found[0].upper())
        position = found.end()
    return "".join(parts) + grammar.unescape(text[position:])


# RFC 3261 section 19.1.4: these match only when both have them (or neither, or the value is the default).
_BOTH_OR_NEITHER: Final = ("user", "ttl", "method", "maddr", "transport")


def _equivalent(a: SipUri, b: SipUri) -> bool:
    if a.scheme != b.scheme or a.port != b.port:
        return False
    if a.host != b.host and not (a.host[0] == b.host[0] == "[" and _same_host(a.host) == _same_host(b.host)):
        return False
    if _normal(a.user) != _normal(b.user) or _normal(a.password) != _normal(b.password):
        return False
    mine = {key.lower(): (_normal(value) or "").lower() for key, value in a.params}
    theirs = {key.lower(): (_normal(value) or "").lower() for key, value in b.params}
    if any(mine[key] != theirs[key] for key in mine.keys() & theirs.keys()):
        return False
    if any((name in mine) != (name in theirs) for name in _BOTH_OR_NEITHER):
        return False
    if not (a.headers or b.headers):
        return True
    return _header_set(a) == _header_set(b)


def _header_set(uri: SipUri) -> list[tuple[str, str]]:
    return sorted((name.lower(), value) for name, value in uri.header_items())
