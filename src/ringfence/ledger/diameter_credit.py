"""Credit control by Diameter (RFC 8506): the server grants seconds before a call and while it goes on.

An initial request before the call is forwarded, an update when a portion ends or its Validity-Time is over, a
termination when the call is over. Time is the only unit. What a server says of the last portion
(Final-Unit-Indication) is done as TERMINATE whatever else it names: we can neither redirect a call nor play an
announcement. A server that has no credit control for an account (CREDIT_CONTROL_NOT_APPLICABLE) lets it call.

The session of each call stands in our own store until the server has acknowledged its end, so that a crash, or a server
that is away, leaves none open.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from diameter.message import Message
from diameter.message import constants as names

from ringfence.ledger.credit import CreditControl, CreditRefused, CreditSession, Grant, NoCreditControl
from ringfence.ledger.diameter import SUCCESS, DiameterClient, Fields, NoDiameter, value
from ringfence.store.balances import Balances, Reservation
from ringfence.store.errors import StoreError

APPLICATION = 4
CREDIT_CONTROL = 272
INITIAL, UPDATE, TERMINATION = 1, 2, 3
END_USER_E164, END_USER_SIP_URI = 0, 2

NOT_APPLICABLE, LIMIT_REACHED = 4011, 4012
REFUSED = {
    4010: "the end user service is denied",
    4012: "the credit is used up",
    5003: "the account is not authorised",
    5030: "the user is not known",
    5031: "the destination has no price",
}
"""RFC 8506 section 9.1 and RFC 6733: what means that there is no credit."""

GONE = frozenset({5002, 5030})
"""Results of a termination that no second one would better: the server has no such session, or no such user."""

FOREVER = float("inf")


class DiameterCredit:
    """See `credit.CreditControl`. ``writer``: the name of this node; ``quota``: seconds that are asked for at once."""

    def __init__(
        self, client: DiameterClient, balances: Balances, writer: str, context: str, quota: float = 60.0
    ) -> None:
        self._client = client
        self._balances = balances
        self._writer = writer
        self._context = context
        self._quota = quota

    async def open(self, session: CreditSession) -> Grant:
        """See `CreditControl.open`."""
        session.id = self._client.session_id()
        kept = Reservation(session.call, self._writer, session.account, 0, session.id)
        try:
            await self._balances.reserve(kept, 0)
        except StoreError as error:
            raise NoCreditControl(str(error)) from error
        answer = await self._ask(
            session, INITIAL, [(names.AVP_REQUESTED_SERVICE_UNIT, self._units(self._quota))]
        )
        result = self._result(answer)
        if result == NOT_APPLICABLE:
            await self._forget(session)
            return Grant(FOREVER, final=True)
        if result in REFUSED:
            await self._forget(session)
            raise CreditRefused(REFUSED[result])
        grant = self._grant(answer, result)
        if not grant.seconds:
            raise CreditRefused(REFUSED[LIMIT_REACHED])
        return grant

    async def more(self, session: CreditSession, used: float) -> Grant:
        """See `CreditControl.more`."""
        answer = await self._ask(
            session,
            UPDATE,
            [
                (names.AVP_REQUESTED_SERVICE_UNIT, self._units(self._quota)),
                (names.AVP_USED_SERVICE_UNIT, self._units(used - session.reported)),
            ],
        )
        session.reported = used
        result = self._result(answer)
        if result in REFUSED:
            raise CreditRefused(REFUSED[result])
        return self._grant(answer, result)

    async def close(self, session: CreditSession) -> None:
        """See `CreditControl.close`."""
        if not session.id:
            return
        answer = await self._ask(
            session,
            TERMINATION,
            [
                (names.AVP_TERMINATION_CAUSE, names.E_TERMINATION_CAUSE_DIAMETER_LOGOUT),
                (names.AVP_USED_SERVICE_UNIT, self._units(max(session.used - session.reported, 0.0))),
            ],
        )
        result = self._result(answer)
        if result != SUCCESS and result not in GONE and result not in REFUSED:
            raise NoCreditControl(f"the end of a call was answered {result}")
        await self._forget(session)

    async def _ask(self, session: CreditSession, kind: int, more: Fields) -> Message:
        account = session.account
        number = account.removeprefix("tel:+") if account.startswith("tel:+") else ""
        payer = (
            (names.AVP_SUBSCRIPTION_ID_TYPE, END_USER_E164 if number else END_USER_SIP_URI),
            (names.AVP_SUBSCRIPTION_ID_DATA, number or account),
        )
        called = (
            (names.AVP_SERVICE_PARAMETER_TYPE, 0),
            (names.AVP_SERVICE_PARAMETER_VALUE, session.destination.encode()),
        )
        avps: Fields = [
            (names.AVP_DESTINATION_REALM, self._client.us.realm.encode()),
            (names.AVP_SERVICE_CONTEXT_ID, self._context),
            (names.AVP_CC_REQUEST_TYPE, kind),
            (names.AVP_CC_REQUEST_NUMBER, session.requests),
            (names.AVP_USER_NAME, account.removeprefix("sip:")),
            (names.AVP_EVENT_TIMESTAMP, datetime.now(UTC)),
            (names.AVP_SUBSCRIPTION_ID, payer),
            *more,
            (names.AVP_SERVICE_PARAMETER_INFO, called if session.destination else None),
        ]
        session.requests += 1  # also when no answer comes: a number is used once (section 8.2)
        try:
            return await self._client.ask(CREDIT_CONTROL, APPLICATION, session.id, avps)
        except NoDiameter as error:
            raise NoCreditControl(str(error)) from error

    def _units(self, seconds: float) -> Fields:
        return ((names.AVP_CC_TIME, max(round(seconds), 0)),)

    def _result(self, answer: Message) -> int:
        return int(_read(answer, names.AVP_RESULT_CODE) or 0)

    def _grant(self, answer: Message, result: int) -> Grant:
        if result != SUCCESS:
            raise NoCreditControl(f"the server answered {result}")
        seconds = _read(answer, names.AVP_GRANTED_SERVICE_UNIT, names.AVP_CC_TIME)
        final = _read(answer, names.AVP_FINAL_UNIT_INDICATION) is not None
        validity = _read(answer, names.AVP_VALIDITY_TIME)
        if seconds is None and not final:
            raise NoCreditControl("the server granted no time")
        return Grant(float(seconds or 0), final, float(validity) if validity else FOREVER)

    async def _forget(self, session: CreditSession) -> None:
        try:
            await self._balances.settle(session.call, 0)
        except StoreError as error:
            raise NoCreditControl(str(error)) from error


def _read(answer: Message, *path: int) -> Any:
    try:
        return value(answer, *path)
    except ValueError as error:
        raise NoCreditControl(str(error)) from None


_PROVED: type[CreditControl] = DiameterCredit  # by the type checker
