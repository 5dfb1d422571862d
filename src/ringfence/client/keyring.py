"""The digests that a user agent shows, and to whom (RFC 3261 section 22, RFC 7616, RFC 8760).

A nonce is used again with a higher count, so that most requests are not challenged. Whoever can make us
answer a challenge of theirs can guess at the password at leisure: a callee could challenge our BYE. So only
what went to our own server is answered, and only for the realms of the account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ringfence.client.account import Account
from ringfence.client.errors import RequestFailed
from ringfence.message import PeerError, Request, Response
from ringfence.security.credentials import Challenge, Credentials, parse_authentication_info
from ringfence.security.digest import Algorithm, algorithm_of, make_ha1
from ringfence.security.digest_client import answer, choose, proves_server

PLACES = (
    ("WWW-Authenticate", "Authorization", "Authentication-Info"),
    ("Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info"),
)
"""The header fields of a user agent server or registrar, and those of a proxy."""

Place = tuple[str, str]
"""(header field of the credentials, realm)."""


class Session:
    """One nonce and how often it has been used. ``registrar``: for REGISTER alone, since others go on to a callee."""

    __slots__ = ("challenge", "count", "registrar")

    def __init__(self, challenge: Challenge, *, registrar: bool) -> None:
        self.challenge = challenge
        self.count = 0
        self.registrar = registrar


class Keyring:
    """What one account has been asked, and answers."""

    def __init__(self, account: Account, token: Callable[[], str]) -> None:
        self._account = account
        self._token = token
        self._realms = set(account.realms)
        self._algorithms = account.algorithms
        self._sessions: dict[Place, Session] = {}

    def authorize(self, request: Request) -> dict[Place, Credentials]:
        """Put credentials on a request for every realm that has asked before; gives them."""
        shown: dict[Place, Credentials] = {}
        for _, header, _ in PLACES:
            request.headers.remove(header)
        if request.method in {"ACK", "CANCEL"}:
            return shown
        for (header, realm), session in self._sessions.items():
            if session.registrar and request.method != "REGISTER":
                continue
            session.count += 1
            credentials = shown[header, realm] = self._answer(session, request)
            request.headers.add(header, credentials)
        return shown

    def _answer(self, session: Session, request: Request) -> Credentials:
        account = self._account
        return answer(
            session.challenge,
            method=request.method,
            uri=request.uri,
            username=account.username,
            cnonce=self._token(),
            password=account.password,
            ha1=self.ha1(session.challenge) if account.password is None else None,
            body=request.body,
            count=session.count,
        )

    def ha1(self, challenge: Challenge | Credentials) -> str | None:
        """H(A1) for the realm and algorithm of a challenge; None when we don't have it."""
        account = self._account
        algorithm = algorithm_of(challenge)
        if algorithm is None:
            return None
        if account.password is None:
            return account.ha1.get(algorithm.plain)
        return make_ha1(account.username, challenge.realm, account.password, algorithm)

    def challenged(
        self, response: Response, shown: dict[Place, Credentials], answered: set[Place]
    ) -> str | None:
        """Take the challenges of a 401 or 407. Gives None when the request is worth another try, else why not.

        ``answered`` are the places whose challenges were already answered for this request: asked again without
        ``stale``, the password is wrong.
        """
        reason = "it asks for a digest that this account does not give"
        fresh = False
        for header, credentials_header, _ in PLACES:
            for challenge in choose(response.headers.all(header), self._algorithms):
                place = (credentials_header, challenge.realm)
                if not self._may_answer(challenge):
                    reason = f"the realm {challenge.realm!r} is not one of this account's"
                elif place in answered and not challenge.stale:
                    self._sessions.pop(place, None)
                    reason = "the user name or password is wrong"
                elif place in shown and shown[place].nonce == challenge.nonce and not challenge.stale:
                    reason = "the user name or password is wrong"
                else:
                    answered.add(place)
                    self._sessions[place] = Session(challenge, registrar=_of_registrar(response, place))
                    fresh = True
        return None if fresh else reason

    def agree(self, response: Response, algorithm: Algorithm, qop: str | None) -> bool:
        """Take the challenge of a 494, with the algorithm and qop that were agreed on (RFC 3329 section 2.4).

        From now on no other algorithm is answered. Gives whether there was a challenge that we may answer.
        """
        self._algorithms = (algorithm,)
        found = False
        for header, credentials_header, _ in PLACES:
            for challenge in choose(response.headers.all(header)):
                agreed = replace(challenge, algorithm=str(algorithm), qop=(qop,) if qop else challenge.qop)
                if self._may_answer(agreed):
                    place = credentials_header, challenge.realm
                    self._sessions[place] = Session(agreed, registrar=_of_registrar(response, place))
                    found = True
        return found

    def _may_answer(self, challenge: Challenge) -> bool:
        if self._account.password is None and self.ha1(challenge) is None:
            return False
        if not self._realms:
            self._realms.add(challenge.realm)  # the first that asks; home is asked before anybody else
        return challenge.realm in self._realms

    def confirm(self, response: Response, shown: dict[Place, Credentials]) -> None:
        """Take the next nonce, and check that the server knows the password too where it says so.

        Raises:
            RequestFailed: 500 when its proof is wrong (RFC 7616 section 3.5).
        """
        for _, header, info_header in PLACES:
            value = response.headers.get(info_header)
            if value is None:
                continue
            try:
                info = parse_authentication_info(value, info_header)
            except PeerError as error:
                raise RequestFailed(500, f"malformed {info_header}: {error.reason}", response) from None
            for place, credentials in shown.items():
                if place[0] != header or info.cnonce not in (None, credentials.cnonce):
                    continue
                ha1 = self.ha1(credentials)
                if info.rspauth is not None and not (
                    ha1 and proves_server(info, credentials, ha1, response.body)
                ):
                    raise RequestFailed(500, "the server does not know the password of the account", response)
                session = self._sessions.get(place)
                if info.nextnonce is not None and session is not None:
                    challenge = replace(session.challenge, nonce=info.nextnonce)
                    self._sessions[place] = Session(challenge, registrar=session.registrar)


def _of_registrar(response: Response, place: Place) -> bool:
    """Whether it is the registrar that asks, not a proxy on the way or a user agent server."""
    return place[0] == "Authorization" and (response.headers.get("CSeq") or "").endswith("REGISTER")
