"""Nonces that RADIUS servers make (RFC 5090 sections 2.1.5 and 2.2): how one is asked for, and what comes with it.

What has to go back to the server with the credentials is a `Ticket`: which server it was, its State and its
Digest-Opaque. It travels through the phone in our own opaque, so that nothing is kept here.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, NamedTuple

from ringfence.ledger.radius import MAX_TEXT
from ringfence.security.credentials import Credentials
from ringfence.store.authority import Demand, NoJudgement, Question, Wanted

_ESCAPED = re.compile(r"\\(.)")
_TO_ESCAPE = re.compile(r'["\\]')


class Ticket(NamedTuple):
    """What a server wants to see again. ``place``: which of the servers it was."""

    place: int
    state: bytes = b""
    opaque: str = ""

    def __str__(self) -> str:
        return ".".join((str(self.place), _armour(self.state), _armour(self.opaque.encode())))

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """The reverse, of what we have written ourselves."""
        place, state, opaque = text.split(".")
        return cls(int(place), urlsafe_b64decode(state), urlsafe_b64decode(opaque).decode())

    def for_use(self, credentials: Credentials) -> Ticket:
        """State belongs to the answer to that challenge (RFC 2865 section 5.24), which is the first use of the nonce.

        A server that has been given it can't say that a nonce is stale (RFC 5090 section 5, note 4).
        """
        return self if credentials.count == 1 else self._replace(state=b"")


def escaped(text: str) -> str:
    """As it stands between the quotes of a header field, which is how RADIUS has it (RFC 5090 section 3)."""
    return _TO_ESCAPE.sub(r"\\\g<0>", text)


def wanted_attributes(wanted: Wanted) -> dict[str, str]:
    """What asks a server for a nonce: Digest-Method and Digest-URI, and no Digest-Nonce (RFC 5090 section 2.1.5)."""
    found = {
        "User-Name": wanted.user,
        "Digest-Method": wanted.method,
        "Digest-Realm": escaped(wanted.realm),
        "SIP-AOR": wanted.address,
    }
    fitting = {name: value for name, value in found.items() if value and _fits(value)}
    # No attribute has room for a longer one, and the nonce does not hang on it.
    return {**fitting, "Digest-URI": "".join(filter(str.isascii, wanted.destination))[:MAX_TEXT]}


def demand_of(place: int, reply: Any) -> Demand | None:
    """What an Access-Challenge asks for; None where it has no nonce.

    Raises:
        NoJudgement: It can't be put into a header field.
    """
    nonce, realm = _text(reply, "Digest-Nonce"), _text(reply, "Digest-Realm")
    if not nonce or not realm:
        return None
    ticket = Ticket(place, b"".join(reply.get("State", [])), _text(reply, "Digest-Opaque"))
    return Demand(
        nonce,
        realm,
        _text(reply, "Digest-Algorithm") or "MD5",
        tuple(each.lower() for each in _texts(reply, "Digest-Qop")),
        " ".join(_texts(reply, "Digest-Domain")),
        str(ticket),
    )


def nextnonce_of(place: int, reply: Any, question: Question) -> Demand | None:
    """The nonce that an Access-Accept names for the next request; the phone goes on with the opaque that it has."""
    nonce = _text(reply, "Digest-Nextnonce")
    if not nonce:
        return None
    opaque = Ticket.parse(question.ticket).opaque if question.ticket else ""
    return Demand(nonce, question.credentials.realm, ticket=str(Ticket(place, b"", opaque)))


def _text(reply: Any, name: str) -> str:
    return next(iter(_texts(reply, name)), "")


def _texts(reply: Any, name: str) -> list[str]:
    try:
        found = [_ESCAPED.sub(r"\1", each) for each in reply.get(name, [])]
    except ValueError:
        raise NoJudgement(503, f"a RADIUS server has sent {name} that is no text") from None
    if not all(map(str.isprintable, found)):
        raise NoJudgement(503, f"a RADIUS server has sent {name} that no header field can hold")
    return found


def _fits(text: str) -> bool:
    return text.isprintable() and len(text.encode()) <= MAX_TEXT


def _armour(data: bytes) -> str:
    return urlsafe_b64encode(data).decode()
