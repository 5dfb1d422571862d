"""Digest authentication by Diameter servers: the Diameter SIP Application (RFC 4740), Multimedia-Auth.

The credentials of a request go to the server as they came, over a nonce of ours, and the server says whether they are
right (section 6.2); or it gives H(A1), and we compute the response ourselves (section 6.3). A server that insists on
nonces of its own answers with a challenge, which lets nobody in.
"""

from __future__ import annotations

import hmac
from typing import Any

from diameter.message import Message
from diameter.message import constants as names

from ringfence.ledger.diameter import SUCCESS, DiameterClient, Fields, NoDiameter, value
from ringfence.security.digest import Outcome, request_digest
from ringfence.store.authority import Authority, Judgement, NoJudgement, Question

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

ITEM = names.AVP_SIP_AUTH_DATA_ITEM


class DiameterAuthority:
    """See `store.authority.Authority`. ``server_uri``: ours, for the Diameter server to remember."""

    def __init__(self, client: DiameterClient, server_uri: str) -> None:
        self._client = client
        self._server_uri = server_uri

    async def judge(self, question: Question) -> Judgement:
        """See `Authority.judge`."""
        try:
            answer = await self._client.ask(
                MULTIMEDIA_AUTH, APPLICATION, self._client.session_id(), self._request(question)
            )
            return self._judgement(answer, question)
        except NoDiameter as error:
            status = 504 if self._client.connected else 503
            raise NoJudgement(status, str(error)) from None
        except ValueError as error:
            raise NoJudgement(503, str(error)) from None

    async def close(self) -> None:
        """See `Authority.close`. The client is its owner's."""

    def _request(self, question: Question) -> Fields:
        given = question.credentials
        digest = [
            (names.AVP_DIGEST_USERNAME, given.username),
            (names.AVP_DIGEST_REALM, given.realm),
            (names.AVP_DIGEST_NONCE, given.nonce),
            (names.AVP_DIGEST_URI, given.uri),
            (names.AVP_DIGEST_RESPONSE, given.response),
            (names.AVP_DIGEST_ALGORITHM, given.algorithm),
            (names.AVP_DIGEST_CNONCE, given.cnonce),
            (names.AVP_DIGEST_OPAQUE, given.opaque),
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

    def _judgement(self, answer: Message, question: Question) -> Judgement:
        result = value(answer, names.AVP_RESULT_CODE)
        if result in AUTHENTICATED:
            proof = value(answer, ITEM, names.AVP_SIP_AUTHENTICATION_INFO, names.AVP_DIGEST_RESPONSE_AUTH)
            return Judgement(Outcome.OK, rspauth=str(proof or ""))
        if result in CHALLENGED:
            return self._decide(answer, question)
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


_PROVED: type[Authority] = DiameterAuthority  # by the type checker
