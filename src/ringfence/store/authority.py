"""Who knows the passwords where the accounts are somebody else's: a RADIUS or Diameter server, behind one question.

Such a server never gives a password away, and rarely what could be checked here. It is asked about each response of a
digest, and says whether it is right. Nonces, counts and URIs are judged by us before and after (`security.digest`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ringfence.security.credentials import Credentials
from ringfence.security.digest import Outcome


class Question(NamedTuple):
    """Are these credentials right for this request?"""

    credentials: Credentials
    method: str
    address: str
    """Whom the user claims to be: To of a REGISTER, From of any other request (RFC 5090 section 3.20)."""
    destination: str
    """The Request-URI."""
    registers: bool
    """The request is a registration here."""
    body_hash: str = ""
    """H(entity-body) in hex, where the credentials cover the body."""
    ticket: str | None = None
    """That of the `Demand` whose nonce this is; None where the nonce is ours."""


class Wanted(NamedTuple):
    """A nonce is wanted for the challenge to a request."""

    method: str
    destination: str
    """The Request-URI."""
    realm: str
    address: str = ""
    """Whom the sender claims to be; empty where it says nothing."""
    user: str = ""
    """The name in that address."""
    registers: bool = False
    """The request is a registration here."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a challenge has to say, where the authority chooses the nonce (RFC 5090 section 2.1.5)."""

    nonce: str
    realm: str
    algorithm: str = "MD5"
    qop: tuple[str, ...] = ()
    domain: str = ""
    ticket: str = ""
    """Printable text that comes back with the credentials; it is the authority's own affair."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What the server says that the user may do; empty or None: nothing."""

    profile: str = ""
    """The name of a set of rights in our configuration (Filter-Id, RFC 2865 section 5.11)."""
    max_calls: int | None = None
    """Calls at a time (Port-Limit)."""
    max_seconds: int | None = None
    """Of one call (Session-Timeout)."""


class Judgement(NamedTuple):
    """The answer. ``outcome`` is OK, WRONG or STALE; a user who is not known is WRONG like a wrong password."""

    outcome: Outcome
    grant: Grant = Grant()
    rspauth: str = ""
    """What proves to the phone that its password is known (RFC 7616 section 3.5), where the server says it."""
    nextnonce: Demand | None = None
    """The nonce that the server wants to see next, where it makes them and says so."""
    demand: Demand | None = None
    """The challenge that follows, where the server has given one with its answer."""


class NoJudgement(Exception):
    """Nobody has answered. ``status``: 503 for nobody to ask, 504 for no answer in time (RFC 3261 21.5.4, 21.5.5)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Authority(Protocol):
    """One server, or several that stand in for each other."""

    async def judge(self, question: Question) -> Judgement:
        """Ask.

        Raises:
            NoJudgement: nobody answered; the request can be neither let in nor refused.
        """

    async def close(self) -> None:
        """Let go of the connections."""


class NonceMaker(Protocol):
    """An authority that chooses the nonces itself."""

    async def demand(self, wanted: Wanted) -> Demand:
        """Ask for a nonce.

        Raises:
            NoJudgement: nobody has given one; the request can't be challenged.
        """
