"""Digest authentication: the client's side (RFC 8760 section 2.4, RFC 7616 sections 3.4 and 3.5).

From a 401 or 407 a client takes what `choose` returns, one challenge a realm, and sends what `answer` makes
of each. Where the response names its maker, `proves_server` tells whether it knew the secret.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable

from ringfence.message import LocalError, PeerError
from ringfence.security.credentials import AuthenticationInfo, Challenge, Credentials, parse_challenge
from ringfence.security.digest import (
    AUTH,
    AUTH_INT,
    QOPS,
    Algorithm,
    algorithm_of,
    make_ha1,
    nfc,
    octets,
    request_digest,
    userhash,
)

SUPPORTED = tuple(Algorithm)
"""What a client can answer: all that a server can ask for."""


def choose(values: Iterable[str], supported: Collection[Algorithm] = SUPPORTED) -> list[Challenge]:
    """For each realm the topmost challenge that we can answer, in order (RFC 8760 section 2.4).

    What is malformed or not understood is ignored, as section 2.4 demands.
    """
    chosen: dict[str, Challenge] = {}
    for value in values:
        try:
            challenge = parse_challenge(value)
        except PeerError:
            continue
        if challenge is not None and challenge.realm not in chosen and _answerable(challenge, supported):
            chosen[challenge.realm] = challenge
    return list(chosen.values())


def _answerable(challenge: Challenge, supported: Collection[Algorithm]) -> bool:
    algorithm = algorithm_of(challenge)
    if algorithm is None or algorithm not in supported:
        return False
    if challenge.qop:
        return any(option in QOPS for option in challenge.qop)
    # RFC 3261 section 22.4 item 8: no qop means no cnonce, which a session needs.
    return algorithm is algorithm.plain


def answer(
    challenge: Challenge,
    *,
    method: str,
    uri: str,
    username: str,
    cnonce: str,
    password: str | None = None,
    ha1: str | None = None,
    body: bytes = b"",
    count: int = 1,
    integrity: bool = False,
) -> Credentials:
    """Credentials for a challenge that `choose` returned; `str` of them is the header field value.

    Give the password, or H(A1) for the algorithm of the challenge. `cnonce` is fresh random text, `count`
    the number of requests sent with this nonce, this one included. `integrity` asks for `auth-int` where
    the server offers it; a proxy on the way that changes the body breaks it.

    Raises:
        LocalError: for neither or both of password and H(A1), or a challenge that can't be answered.
    """
    algorithm = algorithm_of(challenge)
    if algorithm is None or not _answerable(challenge, SUPPORTED):
        raise LocalError("a digest challenge that cannot be answered")
    if (password is None) == (ha1 is None):
        raise LocalError("a digest answer takes either a password or H(A1)")
    username = nfc(username)
    secret = make_ha1(username, challenge.realm, password, algorithm) if password is not None else ha1
    credentials = Credentials(
        username,
        challenge.realm,
        challenge.nonce,
        uri,
        "",
        algorithm=challenge.algorithm,
        opaque=challenge.opaque,
    )
    if challenge.qop:
        preferred, other = (AUTH_INT, AUTH) if integrity else (AUTH, AUTH_INT)
        credentials.qop = preferred if preferred in challenge.qop else other
        credentials.cnonce = cnonce
        credentials.nc = f"{count:08x}"
    credentials.response = request_digest(credentials, secret or "", method, body)
    if challenge.userhash:
        # After every other hash (RFC 7616 section 3.4.4).
        credentials.username = userhash(username, challenge.realm, algorithm)
        credentials.userhash = True
    elif challenge.charset is not None:
        # Only a server that says so is known to read username*; SIP allows UTF-8 in a quoted-string.
        credentials.extended = not username.isascii()
    return credentials


def proves_server(info: AuthenticationInfo, credentials: Credentials, ha1: str, body: bytes = b"") -> bool:
    """Whether the server that answered our credentials knows the secret too (RFC 7616 section 3.5)."""
    if info.rspauth is None or (info.cnonce, info.nc) != (credentials.cnonce, credentials.nc):
        return False
    expected = request_digest(credentials, ha1, "", body)
    return hmac.compare_digest(expected.encode(), octets(info.rspauth))
