"""Digest authentication: the hashes, and the server's side (RFC 7616, RFC 8760, RFC 3261 section 22).

A server keeps H(A1) for each algorithm, never the password, and asks `verify`, which answers with an
`Outcome`. Both sides compute `request_digest` over the same `Credentials`; the client's side is in
`digest_client`.

What `verify` tells apart is for the ledger and the guard. On the wire an unknown user and a wrong password
look alike and take the same time: with no H(A1) the response is computed all the same, over a decoy. Checks
that depend on the request alone come before the hash, checks of the nonce after it, so that `stale=true`,
which tells a phone to try again without asking its user, is only said to somebody who knows the password.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from typing import Final

from ringfence.message import LocalError, PeerError, SipUri, parse_uri
from ringfence.security.credentials import (
    AuthenticationInfo,
    Challenge,
    Credentials,
    parse_credentials,
)
from ringfence.security.nonces import Count, Freshness, NcWindow

MAX_CREDENTIALS = 16
"""Credentials looked at in one request. A chain of proxies has a few realms; each costs us a parse."""

AUTH = "auth"
AUTH_INT: Final = "auth-int"
QOPS: Final = (AUTH, AUTH_INT)
"""What a server offers, and what both sides understand."""


class Algorithm(StrEnum):
    """The hash algorithms of RFC 7616 section 6.1 with their session variants, most preferred first."""

    SHA_512_256 = "SHA-512-256"
    SHA_512_256_SESS = "SHA-512-256-sess"
    SHA_256 = "SHA-256"
    SHA_256_SESS = "SHA-256-sess"
    MD5 = "MD5"
    MD5_SESS = "MD5-sess"

    @property
    def plain(self) -> Algorithm:
        """The algorithm without session variant: the one that a stored H(A1) belongs to."""
        return _PLAIN[self]


_PLAIN = {algorithm: Algorithm(algorithm.removesuffix("-sess")) for algorithm in Algorithm}
_BY_NAME: Final = {algorithm.lower(): algorithm for algorithm in Algorithm}
# SHA-512/256 of FIPS 180-4 has initial values of its own. It is not SHA-512 cut short, whatever made the
# example in RFC 7616 section 3.9.2 (erratum 4897).
_NEW: dict[Algorithm, Callable[[bytes], hashlib._Hash]] = {
    Algorithm.SHA_512_256: lambda data: hashlib.new("sha512_256", data),
    Algorithm.SHA_256: hashlib.sha256,
    Algorithm.MD5: lambda data: hashlib.md5(data, usedforsecurity=False),
}
# What an unknown user's response is computed over. It need not be secret, since it is never accepted.
_DECOY: Final = {algorithm: new(b"").hexdigest() for algorithm, new in _NEW.items()}

STRONG = (Algorithm.SHA_512_256, Algorithm.SHA_256)
"""What a server challenges with and accepts by default, most preferred first."""


class UriCheck(StrEnum):
    """How the `uri` of the credentials is compared with the Request-URI (RFC 7616 section 3.4.6)."""

    EXACT = "exact"
    """The URIs are equivalent by RFC 3261 section 19.1.4."""

    USER_HOST = "user-host"
    """User and host are the same; scheme, port and parameters may differ, and `uri` may lack its scheme.
    For clients that shorten it, such as sipp. RFC 8760 section 2.6 allows a server to accept them."""


class Outcome(StrEnum):
    """What came of checking credentials."""

    OK = "ok"
    UNANSWERED = "unanswered"
    """No response yet: the client waits to be challenged (RFC 8760 section 2.7)."""
    BAD_ALGORITHM = "bad-algorithm"
    NO_QOP = "no-qop"
    URI_MISMATCH = "uri-mismatch"
    UNKNOWN_USER = "unknown-user"
    WRONG = "wrong"
    STALE = "stale"
    REPLAYED = "replayed"

    @property
    def stale(self) -> bool:
        """Whether the password was right, so that the next challenge says `stale=true`."""
        return self in {Outcome.STALE, Outcome.REPLAYED}

    @property
    def failure(self) -> bool:
        """Whether somebody tried a name or password that is not right: what a guard counts."""
        return self in {Outcome.UNKNOWN_USER, Outcome.WRONG}


def algorithm_of(value: Credentials | Challenge) -> Algorithm | None:
    """The algorithm that the value names: MD5 where it names none, None for one that we don't know."""
    return Algorithm.MD5 if value.algorithm is None else _BY_NAME.get(value.algorithm.lower())


def make_ha1(username: str, realm: str, password: str, algorithm: Algorithm) -> str:
    """H(username:realm:password), which a server stores instead of the password (RFC 7616 section 3.4.2).

    Raises:
        LocalError: for a name with a colon, which would be the same as another name with another password.
    """
    if ":" in username:
        raise LocalError("a user name for digest authentication has no colon")
    return _hash(algorithm.plain, f"{nfc(username)}:{realm}:{nfc(password)}")


def userhash(username: str, realm: str, algorithm: Algorithm) -> str:
    """The name as a client sends it that hides it (RFC 7616 section 3.4.4)."""
    return _hash(algorithm.plain, f"{nfc(username)}:{realm}")


def request_digest(
    credentials: Credentials,
    ha1: str,
    method: str,
    body: bytes = b"",
    *,
    covering: str | None = None,
    body_hash: str = "",
) -> str:
    """The response that proves knowledge of H(A1) for these credentials (RFC 7616 section 3.4.1).

    Without `qop` this is the digest of RFC 2069. With an empty method it is the `rspauth` of section 3.5. `body_hash`
    is H(entity-body), where the body is somewhere else. `covering` is text that stands at the end of A2, for the
    `d-ver` of RFC 3329 section 2.2.

    Raises:
        LocalError: when the algorithm is unknown, or needs a cnonce that is not there.
    """
    algorithm = algorithm_of(credentials)
    if algorithm is None:
        raise LocalError(f"unknown digest algorithm {credentials.algorithm}")
    plain = _PLAIN[algorithm]
    nonce, cnonce = credentials.nonce, credentials.cnonce
    if algorithm is not plain:
        if cnonce is None:
            raise LocalError(f"{algorithm} without cnonce")
        ha1 = _hash(plain, f"{ha1}:{nonce}:{cnonce}")
    a2 = f"{method}:{credentials.uri}"
    qop = credentials.qop
    if qop is not None and qop.lower() == AUTH_INT:
        a2 = f"{a2}:{body_hash or _NEW[plain](body).hexdigest()}"
    if covering is not None:
        a2 = f"{a2}:{covering}"
    if qop is None:
        return _hash(plain, f"{ha1}:{nonce}:{_hash(plain, a2)}")
    return _hash(plain, f"{ha1}:{nonce}:{credentials.nc}:{cnonce}:{qop}:{_hash(plain, a2)}")


def credentials_for(realm: str, values: Iterable[str], header: str = "Authorization") -> list[Credentials]:
    """The credentials for our realm among the values of a header field; others are not ours to judge.

    Raises:
        PeerError: 400 for malformed ones, whosever they are, and for more than MAX_CREDENTIALS.
    """
    found: list[Credentials] = []
    for number, value in enumerate(values):
        if number == MAX_CREDENTIALS:
            raise PeerError(400, f"more than {MAX_CREDENTIALS} credentials", header=header)
        credentials = parse_credentials(value, header)
        if credentials is not None and credentials.realm == realm:
            found.append(credentials)
    return found


def same_resource(uri: str, request_uri: str, check: UriCheck = UriCheck.EXACT) -> bool:
    """Whether the `uri` of credentials names the resource of the Request-URI (RFC 7616 section 3.4.6)."""
    if uri == request_uri:
        return True
    if check is UriCheck.USER_HOST and uri[:4].lower() not in {"sip:", "sips"}:
        uri = f"sip:{uri}"
    try:
        given, asked = parse_uri(uri), parse_uri(request_uri)
    except PeerError:
        return False
    if check is UriCheck.USER_HOST and isinstance(given, SipUri) and isinstance(asked, SipUri):
        return given.aor == asked.aor
    return given == asked


def verify(
    credentials: Credentials,
    ha1: str | None,
    *,
    method: str,
    request_uri: str,
    freshness: Freshness,
    body: bytes = b"",
    window: NcWindow | None = None,
    algorithms: Collection[Algorithm] = STRONG,
    uri_check: UriCheck = UriCheck.EXACT,
) -> Outcome:
    """Judge credentials for our realm.

    `ha1` belongs to `algorithm_of(credentials).plain`; None where the user is unknown or has none for it.
    `freshness` is what `Nonces.check` said. Without `window` the caller itself sees to replays after an OK.
    """
    if (flaw := unfit(credentials, request_uri, algorithms, uri_check)) is not None:
        return flaw
    plain = _PLAIN[algorithm_of(credentials)]  # type: ignore[index]  # `unfit` has looked
    expected = request_digest(credentials, _DECOY[plain] if ha1 is None else ha1, method, body)
    right = hmac.compare_digest(expected.encode(), octets(credentials.response))
    if ha1 is None:
        return Outcome.UNKNOWN_USER
    return used(credentials, freshness, window) if right else Outcome.WRONG


def unfit(
    credentials: Credentials,
    request_uri: str,
    algorithms: Collection[Algorithm] = STRONG,
    uri_check: UriCheck = UriCheck.EXACT,
) -> Outcome | None:
    """What is wrong with credentials whatever the password is; None when nothing is."""
    if not credentials.response:
        return Outcome.UNANSWERED
    algorithm = algorithm_of(credentials)
    if algorithm is None or algorithm not in algorithms:
        return Outcome.BAD_ALGORITHM
    if credentials.qop is None or credentials.qop.lower() not in QOPS:
        return Outcome.NO_QOP
    return None if same_resource(credentials.uri, request_uri, uri_check) else Outcome.URI_MISMATCH


def used(credentials: Credentials, freshness: Freshness, window: NcWindow | None) -> Outcome:
    """What the nonce says of credentials whose response is right; it is used up by that."""
    # A nonce that is not ours may come from before a restart or a rotation of keys; with the right password
    # over it, it is no worse than an old one.
    if freshness is not Freshness.FRESH:
        return Outcome.STALE
    if window is None:
        return Outcome.OK
    return OF_COUNT[window.accept(credentials.nonce, credentials.count)]


def body_hash(credentials: Credentials, body: bytes) -> str:
    """H(entity-body) by the algorithm of the credentials: what a server that has not the body needs for auth-int.

    Raises:
        LocalError: when the algorithm is unknown.
    """
    algorithm = algorithm_of(credentials)
    if algorithm is None:
        raise LocalError(f"unknown digest algorithm {credentials.algorithm}")
    return _NEW[algorithm.plain](body).hexdigest()


def authentication_info(
    credentials: Credentials, ha1: str, *, body: bytes = b"", nextnonce: str | None = None
) -> AuthenticationInfo:
    """What a server adds to a response, with this body, to prove itself (RFC 7616 section 3.5)."""
    return AuthenticationInfo(
        nextnonce,
        credentials.qop,
        request_digest(credentials, ha1, "", body),
        credentials.cnonce,
        credentials.nc,
    )


OF_COUNT = {
    Count.NEW: Outcome.OK,
    Count.REPLAYED: Outcome.REPLAYED,
    Count.FORGOTTEN: Outcome.STALE,
}
"""What the count of a nonce says of credentials whose response is right."""


def _hash(plain: Algorithm, text: str) -> str:
    return _NEW[plain](octets(text)).hexdigest()


def octets(text: str) -> bytes:
    """The octets that stood on the wire: message text keeps those that are not UTF-8 as surrogates."""
    return text.encode("utf-8", "surrogateescape")


def nfc(text: str) -> str:
    """Normalization Form C: a name gives the same octets however it was typed (RFC 7616 section 4)."""
    return unicodedata.normalize("NFC", text)
