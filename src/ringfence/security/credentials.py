"""The header field values of digest authentication: read and written, nothing decided.

Three values, each as it stood on the wire: `Challenge` (WWW-Authenticate, Proxy-Authenticate),
`Credentials` (Authorization, Proxy-Authorization) and `AuthenticationInfo`. Text that goes into a hash
(nonce, cnonce, nc, qop, uri) is kept exactly as received, since the other side hashed that text.

Reading credentials costs more than checking them, and every request of a phone carries them. So there are
two readers. `usual`, which is compiled, takes the form that nearly every phone sends. Whatever it refuses
(escapes, unknown parameters, odd case, odd quoting, errors) goes to `_auth_params`, which knows the whole
grammar and is alone in raising errors. A test holds that both give the same value.

A scheme other than Digest gives None, as if the header field were absent: RFC 3261 section 22 forbids
Basic, and RFC 8760 section 2.4 has a client ignore what it does not understand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from ringfence.message import LocalError, PeerError

Usual = tuple[str, str, str, str, str, str | None, str | None, str | None, str | None, str | None]
"""The parameters of `Credentials` in their order, of a text with nothing unusual."""

usual: Callable[[str], Usual | None]
try:
    from ringfence.message._scan import usual_credentials as usual
except ImportError:  # not compiled

    def usual(text: str) -> Usual | None:
        """Left to the long way."""
        return None


# token of RFC 7230, which holds every character of the token of RFC 3261 section 25.1 and those that the
# ext-value of username* may have (RFC 5987).
_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]++"  # noqa: S105  (a character class, not a password)
# qdtext and quoted-pair of RFC 3261 section 25.1; folded lines have been unfolded before.
_QDTEXT: Final = r'[^"\\\x00-\x08\x0a-\x1f\x7f]*+'
_QUOTED: Final = rf'"{_QDTEXT}(?:\\[\x00-\x09\x0b\x0c\x0e-\x7f]{_QDTEXT})*+"'
_LWS: Final = r"[ \t\r\n]*+"

_IS_TOKEN = re.compile(_TOKEN).fullmatch
_SCHEME: Final = re.compile(rf"({_TOKEN})(?:[ \t\r\n]++|\Z)")
# auth-param = auth-param-name EQUAL ( token / quoted-string ), then a comma or the end. The last alternative
# takes all that is left, so that garbage shows as an empty name and is looked at once: tried anew from every
# character, a long header field would cost seconds.
_PARAM: Final = re.compile(rf"{_LWS}({_TOKEN}){_LWS}={_LWS}({_QUOTED}|{_TOKEN}){_LWS}(?:,|\Z)|[\s\S]++")
_QUOTED_PAIR: Final = re.compile(r"\\([\s\S])")
_NEEDS_ESCAPE: Final = re.compile(r'["\\\x00-\x08\x0b\x0c\x0e-\x1f\x7f]')
_NONCE_COUNT: Final = re.compile(r"[0-9A-Fa-f]{8}\Z")


@dataclass(slots=True, init=False)
class Credentials:
    """The answer of a client to a challenge (RFC 7616 section 3.4). Text is as received, unquoted.

    `nc` is eight hexadecimal digits, `count` their number. `extended`: the name came as `username*`. An
    empty `nonce` and `response` mean a client that has not been challenged yet (RFC 8760 section 2.7).
    """

    username: str
    realm: str
    nonce: str
    uri: str
    response: str = field(repr=False)  # enough to guess passwords from: kept out of logs
    algorithm: str | None = None
    cnonce: str | None = None
    opaque: str | None = None
    qop: str | None = None
    nc: str | None = None
    userhash: bool = False
    extended: bool = False

    def __init__(
        self,
        username: str,
        realm: str,
        nonce: str,
        uri: str,
        response: str,
        algorithm: str | None = None,
        cnonce: str | None = None,
        opaque: str | None = None,
        qop: str | None = None,
        nc: str | None = None,
        *,
        userhash: bool = False,
        extended: bool = False,
    ) -> None:  # spelt out, so that it is compiled
        self.username = username
        self.realm = realm
        self.nonce = nonce
        self.uri = uri
        self.response = response
        self.algorithm = algorithm
        self.cnonce = cnonce
        self.opaque = opaque
        self.qop = qop
        self.nc = nc
        self.userhash = userhash
        self.extended = extended

    @property
    def count(self) -> int:
        """The number of requests that the client has sent with this nonce; 0 where it sent no `nc`."""
        return int(self.nc, 16) if self.nc else 0

    def __str__(self) -> str:
        return "Digest " + _joined(
            f"username*=UTF-8''{quote(self.username, safe='')}"
            if self.extended
            else _text("username", self.username),
            _text("realm", self.realm),
            _text("nonce", self.nonce),
            _text("uri", self.uri),
            _text("response", self.response),
            _word("algorithm", self.algorithm),
            _text("cnonce", self.cnonce),
            _text("opaque", self.opaque),
            _word("qop", self.qop),
            _word("nc", self.nc),
            "userhash=true" if self.userhash else "",
        )


@dataclass(slots=True)
class Challenge:
    """What a server asks of a client (RFC 7616 section 3.3).

    `qop` is empty where the server sent none, as servers of RFC 2069 do. `algorithm` None means MD5.
    `domain` is the space-separated list of URIs as text.
    """

    realm: str
    nonce: str
    algorithm: str | None = None
    qop: tuple[str, ...] = ("auth",)
    opaque: str | None = None
    stale: bool = False
    domain: str | None = None
    charset: str | None = None
    userhash: bool = False

    def __str__(self) -> str:
        return "Digest " + _joined(
            _text("realm", self.realm),
            _text("domain", self.domain),
            _text("nonce", self.nonce),
            _text("opaque", self.opaque),
            "stale=true" if self.stale else "",
            _word("algorithm", self.algorithm),
            _text("qop", ",".join(self.qop) or None),
            _word("charset", self.charset),
            "userhash=true" if self.userhash else "",
        )


@dataclass(slots=True)
class AuthenticationInfo:
    """What a server says after a success: the next nonce, proof of the secret (RFC 7616 section 3.5)."""

    nextnonce: str | None = None
    qop: str | None = None
    rspauth: str | None = None
    cnonce: str | None = None
    nc: str | None = None

    def __str__(self) -> str:
        return _joined(
            _text("nextnonce", self.nextnonce),
            _word("qop", self.qop),
            _text("rspauth", self.rspauth),
            _text("cnonce", self.cnonce),
            _word("nc", self.nc),
        )


def parse_credentials(text: str, header: str = "Authorization") -> Credentials | None:
    """The credentials in one header field value, or None where the scheme is not Digest.

    Raises:
        PeerError: 400 for a malformed value, a repeated parameter, or a missing one (RFC 7616 section 3.4).
    """
    if (found := usual(text)) is not None:
        return Credentials(*found)
    rest = _after_scheme(text, header)
    return None if rest is None else _credentials(_auth_params(rest, header), header)


def _credentials(params: dict[str, str], header: str) -> Credentials:
    extended = "username*" in params
    if extended:
        if "username" in params:
            raise PeerError(400, "both username and username*", header=header)
        params["username"] = _extended_value(params["username*"], header)
    for name in ("username", "realm", "nonce", "uri", "response"):
        if name not in params:
            raise PeerError(400, f"no {name} in credentials", header=header)
    nc = params.get("nc")
    if nc is not None and not _NONCE_COUNT.match(nc):
        raise PeerError(400, "nc is not eight hexadecimal digits", header=header)
    if "qop" in params and (nc is None or "cnonce" not in params):
        raise PeerError(400, "qop without nc and cnonce", header=header)
    return Credentials(
        params["username"],
        params["realm"],
        params["nonce"],
        params["uri"],
        params["response"],
        params.get("algorithm"),
        params.get("cnonce"),
        params.get("opaque"),
        params.get("qop"),
        nc,
        userhash=_flag(params, "userhash"),
        extended=extended,
    )


def parse_challenge(text: str, header: str = "WWW-Authenticate") -> Challenge | None:
    """The challenge in one header field value, or None where the scheme is not Digest.

    Raises:
        PeerError: 400 for a malformed value, a repeated parameter, or a missing realm or nonce.
    """
    rest = _after_scheme(text, header)
    if rest is None:
        return None
    params = _auth_params(rest, header)
    for name in ("realm", "nonce"):
        if name not in params:
            raise PeerError(400, f"no {name} in challenge", header=header)
    return Challenge(
        realm=params["realm"],
        nonce=params["nonce"],
        algorithm=params.get("algorithm"),
        qop=tuple(option for item in params.get("qop", "").split(",") if (option := item.strip().lower())),
        opaque=params.get("opaque"),
        stale=_flag(params, "stale"),
        domain=params.get("domain"),
        charset=params.get("charset"),
        userhash=_flag(params, "userhash"),
    )


def parse_authentication_info(text: str, header: str = "Authentication-Info") -> AuthenticationInfo:
    """The value of Authentication-Info or Proxy-Authentication-Info (RFC 7616 section 3.5).

    Raises:
        PeerError: 400 for a malformed value or a repeated parameter.
    """
    params = _auth_params(text, header)
    nc = params.get("nc")
    if nc is not None and not _NONCE_COUNT.match(nc):
        raise PeerError(400, "nc is not eight hexadecimal digits", header=header)
    return AuthenticationInfo(
        params.get("nextnonce"), params.get("qop"), params.get("rspauth"), params.get("cnonce"), nc
    )


def _after_scheme(text: str, header: str) -> str | None:
    """The parameters of a Digest value; None for another scheme, whose grammar is its own."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise PeerError(400, "no authentication scheme", header=header)
    return text[scheme.end() :] if scheme[1].lower() == "digest" else None


def _auth_params(text: str, header: str) -> dict[str, str]:
    """Every parameter by lower-case name, unquoted."""
    params: dict[str, str] = {}
    for name, value in _PARAM.findall(text):
        if not name:
            raise PeerError(400, "malformed authentication parameters", header=header)
        name = name.lower()
        if name in params:
            raise PeerError(400, f"repeated parameter {name}", header=header)
        params[name] = _QUOTED_PAIR.sub(r"\1", value[1:-1]) if value[0] == '"' else value
    if not params or text[-1] == ",":
        raise PeerError(400, "malformed authentication parameters", header=header)
    return params


def _flag(params: dict[str, str], name: str) -> bool:
    return params.get(name, "").lower() == "true"


def _extended_value(value: str, header: str) -> str:
    """The text of an ext-value: charset ' language ' percent-encoded octets (RFC 5987 section 3.2)."""
    charset, _, rest = value.partition("'")
    _, quote_mark, octets = rest.partition("'")
    # RFC 7616 section 4 allows UTF-8 only.
    if not quote_mark or charset.lower() != "utf-8":
        raise PeerError(400, "username* is not UTF-8 text in the form of RFC 5987", header=header)
    try:
        return unquote_to_bytes(octets).decode("utf-8")
    except UnicodeDecodeError:
        raise PeerError(400, "username* is not UTF-8 text in the form of RFC 5987", header=header) from None


def _text(name: str, value: str | None) -> str:
    """`name="value"`, or nothing for None; LocalError where a line end would break the header field."""
    if value is None:
        return ""
    if "\r" in value or "\n" in value:
        raise LocalError(f"a line end in the digest parameter {name}")
    return f'{name}="{_NEEDS_ESCAPE.sub(_escape, value)}"'


def _escape(match: re.Match[str]) -> str:
    return "\\" + match[0]


def _word(name: str, value: str | None) -> str:
    """`name=value`, or nothing for None; LocalError where the value is no token."""
    if value is None:
        return ""
    if not _IS_TOKEN(value):
        raise LocalError(f"the digest parameter {name} is not a token")
    return f"{name}={value}"


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))
