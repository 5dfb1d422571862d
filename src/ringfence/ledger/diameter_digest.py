"""Digest authentication by Diameter servers: the Diameter SIP Application (RFC 4740), Multimedia-Auth.

The credentials of a request go to the server as they came, and the server says whether they are right (section 6.2); or
it gives H(A1), and we compute the response ourselves (section 6.3). The nonce is ours; or the server's, which is asked
for one before each challenge, and then the credentials are of the session that the nonce came in.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, NamedTuple

from diameter.message import Message
from diameter.message import constants as names

from ringfence.ledger.diameter import SUCCESS, DiameterClient, Fields, NoDiameter, value
from ringfence.security.digest import Outcome, request_digest
from ringfence.store.authority import (
    Authority,
    Demand,
    Judgement,
    NoJudgement,
    NonceMaker,
    Question,
    Wanted,
)

APPLICATION = 6
MULTIMEDIA_AUTH = 286
NO_STATE_MAINTAINED = 1
DIGEST_SCHEME = 0

AUTHENTICATED = frozenset({SUCCESS, 2006})
"""DIAMETER_SUCCESS; and DIAMETER_SUCCESS_SERVER_NAME_NOT_STORED, where we have named no server (section 8.8)."""

CHALLENGED = frozenset({1001, 2008})
"""DIAMETER_MULTI_ROUND_AUTH, DIAMETER_SUCCESS_AUTH_SENT_SERVER_NOT_STORED: what we need to decide, or a challenge."""

REFUSED = frozenset({4001, 4013, 5003, 5032, 5033, 5034, 5035})
"""AUTHENTICATION_REJECTED, USER_NAME_REQUIRED, AUTHORIZATION_REJECTED, and the user errors of section 10.1.3."""

USER_NAME_REQUIRED = 4013
"""May come with a challenge (section 8.8)."""

ITEM = names.AVP_SIP_AUTH_DATA_ITEM


class Ticket(NamedTuple):
    """What a server wants to see again with the credentials over its nonce: its session, and its Digest-Opaque."""

    session: str
    opaque: str

    def __str__(self) -> str:
        return ".".join(urlsafe_b64encode(each.encode()).decode() for each in self)

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """The reverse, of what we have written ourselves."""
        session, opaque = (urlsafe_b64decode(each).decode() for each in text.split("."))
        return cls(session, opaque)


class DiameterAuthority:
    """See `store.authority.Authority`. ``server_uri``: ours, for the Diameter server to remember."""

    def __init__(self, client: DiameterClient, server_uri: str) -> None:
        self._client = client
        self._server_uri = server_uri

    async def judge(self, question: Question) -> Judgement:
        """See `Authority.judge`."""
        ticket = Ticket.parse(question.ticket) if question.ticket is not None else None
        session = ticket.session if ticket is not None and question.credentials.count == 1 else ""
        return self._judged(await self._ask(session, self._request(question, ticket)), question, ticket)

    async def demand(self, wanted: Wanted) -> Demand:
        """See `NonceMaker.demand`."""
        session = self._client.session_id()
        answer = await self._ask(session, self._wanted(wanted))
        try:
            result = value(answer, names.AVP_RESULT_CODE)
            found = _demand(answer, session) if result in CHALLENGED or result == USER_NAME_REQUIRED else None
        except ValueError as error:
            raise NoJudgement(503, str(error)) from None
        if found is None:
            raise NoJudgement(503, f"the Diameter server was asked for a nonce and answered {result}")
        return found

    async def _ask(self, session: str, fields: Fields) -> Message:
        try:
            return await self._client.ask(
                MULTIMEDIA_AUTH, APPLICATION, session or self._client.session_id(), fields
            )
        except NoDiameter as error:
            status = 504 if self._client.connected else 503
            raise NoJudgement(status, str(error)) from None

    def _judged(self, answer: Message, question: Question, ticket: Ticket | None) -> Judgement:
        try:
            return self._judgement(answer, question, ticket)
        except ValueError as error:
            raise NoJudgement(503, str(error)) from None

    async def close(self) -> None:
        """See `Authority.close`. The client is its owner's."""

    def _wanted(self, wanted: Wanted) -> Fields:
        item = [(names.AVP_SIP_AUTHENTICATION_SCHEME, DIGEST_SCHEME)]
        return [
            (names.AVP_AUTH_SESSION_STATE, NO_STATE_MAINTAINED),
            (names.AVP_DESTINATION_REALM, self._client.us.realm.encode()),
            (names.AVP_SIP_AOR, wanted.address if wanted.registers else wanted.destination),
            (names.AVP_SIP_METHOD, wanted.method),
            (names.AVP_SIP_SERVER_URI, self._server_uri if wanted.registers else ""),
            (names.AVP_SIP_NUMBER_AUTH_ITEMS, 1),
            (ITEM, item),
        ]

    def _request(self, question: Question, ticket: Ticket | None) -> Fields:
        given = question.credentials
        digest = [
            (names.AVP_DIGEST_USERNAME, given.username),
            (names.AVP_DIGEST_REALM, given.realm),
            (names.AVP_DIGEST_NONCE, given.nonce),
            (names.AVP_DIGEST_URI, given.uri),
            (names.AVP_DIGEST_RESPONSE, given.response),
            (names.AVP_DIGEST_ALGORITHM, given.algorithm),
            (names.AVP_DIGEST_CNONCE, given.cnonce),
            (names.AVP_DIGEST_OPAQUE, given.opaque if ticket is None else ticket.opaque),
            (names.AVP_DIGEST_QOP, given.qop),
            (names.AVP_DIGEST_NONCE_COUNT, given.nc),
            (names.AVP_DIGEST_METHOD, question.method),
            (names.AVP_DIGEST_ENTITY_BODY_HASH, question.body_hash),
        ]
        item = [(names.AVP_SIP_AUTHENTICATION_SCHEME, DIGEST_SCHEME), (names.AVP_SIP_AUTHORIZATION, digest)]
        # Section 8.7: whom a REGISTER is for, whom any other request goes to; our URI with a REGISTER and never else.
        return [
            (names.AVP_AUTH_SESSION_STATE, NO_STATE_MAINTAINED),
            (names.AVP_DESTINATION_REALM, self._client.us.realm.encode()),
            (names.AVP_SIP_AOR, question.address if question.registers else question.destination),
            (names.AVP_SIP_METHOD, question.method),
            (names.AVP_USER_NAME, given.username),
            (names.AVP_SIP_SERVER_URI, self._server_uri if question.registers else ""),
            (names.AVP_SIP_NUMBER_AUTH_ITEMS, 1),
            (ITEM, item),
        ]

    def _judgement(self, answer: Message, question: Question, ticket: Ticket | None) -> Judgement:
        result = value(answer, names.AVP_RESULT_CODE)
        if result in AUTHENTICATED:
            proof = value(answer, ITEM, names.AVP_SIP_AUTHENTICATION_INFO, names.AVP_DIGEST_RESPONSE_AUTH)
            following = value(answer, ITEM, names.AVP_SIP_AUTHENTICATION_INFO, names.AVP_DIGEST_NEXTNONCE)
            after = None
            if following and ticket is not None:
                after = Demand(
                    str(following), question.credentials.realm, ticket=str(Ticket("", ticket.opaque))
                )
            return Judgement(Outcome.OK, rspauth=str(proof or ""), nextnonce=after)
        if result in CHALLENGED:
            session = str(value(answer, names.AVP_SESSION_ID) or "")
            judgement = self._decide(answer, question)
            return judgement if ticket is None else judgement._replace(demand=_demand(answer, session))
        if result in REFUSED:
            return Judgement(Outcome.WRONG)
        raise ValueError(f"the Diameter server answered {result}")

    def _decide(self, answer: Message, question: Question) -> Judgement:
        """Section 6.3: the server has left it to us, when it gave H(A1)."""
        given = question.credentials
        ha1: Any = value(answer, ITEM, names.AVP_SIP_AUTHENTICATE, names.AVP_DIGEST_HA1)
        if ha1:
            expected = request_digest(given, str(ha1).lower(), question.method, body_hash=question.body_hash)
            right = hmac.compare_digest(expected.encode(), given.response.encode("utf-8", "replace"))
            return Judgement(Outcome.OK if right else Outcome.WRONG)
        stale = value(answer, ITEM, names.AVP_SIP_AUTHENTICATE, names.AVP_DIGEST_STALE)
        return Judgement(Outcome.STALE if str(stale).lower() == "true" else Outcome.WRONG)


def _demand(answer: Message, session: str) -> Demand | None:
    """What an answer asks for in a challenge (section 9.5.4); None where it has no nonce."""

    def text(code: int) -> str:
        found = str(value(answer, ITEM, names.AVP_SIP_AUTHENTICATE, code) or "")
        if not found.isprintable():
            raise ValueError("the Diameter server has sent what no header field can hold")
        return found

    nonce, realm = text(names.AVP_DIGEST_NONCE), text(names.AVP_DIGEST_REALM)
    if not nonce or not realm:
        return None
    qop = tuple(each.strip().lower() for each in text(names.AVP_DIGEST_QOP).split(",") if each.strip())
    ticket = Ticket(session, text(names.AVP_DIGEST_OPAQUE))
    algorithm = text(names.AVP_DIGEST_ALGORITHM) or "MD5"
    return Demand(nonce, realm, algorithm, qop, text(names.AVP_DIGEST_DOMAIN), str(ticket))


_PROVED: type[Authority] = DiameterAuthority  # by the type checker
_PROVED_TOO: type[NonceMaker] = DiameterAuthority
