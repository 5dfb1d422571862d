"""Credit control by Diameter (RFC 8506): the server grants seconds before a call and while it goes on.

An initial request before the call is forwarded, an update when a portion ends or its Validity-Time is over, a
termination when the call is over. Units are asked for, granted and told in Multiple-Services-Credit-Control where a
rating group is set, or where the server answers so; else outside of it. A server may ask to be asked at once
(Re-Auth-Request), and end a call (Abort-Session-Request). Time is the only unit. What a server says of the last portion
(Final-Unit-Indication) is done as TERMINATE whatever else it names: we can neither redirect a call nor play an
announcement. A server that has no credit control for an account (CREDIT_CONTROL_NOT_APPLICABLE) lets it call.

The session of each call stands in our own store until the server has acknowledged its end, so that a crash, or a server
that is away, leaves none open.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from diameter.message import Avp, Message
from diameter.message import constants as names

from ringfence.ledger.credit import CreditControl, CreditRefused, CreditSession, Grant, NoCreditControl
from ringfence.ledger.diameter import (
    ABORT_SESSION,
    LIMITED_SUCCESS,
    SUCCESS,
    UNKNOWN_SESSION,
    DiameterClient,
    Fields,
    NoDiameter,
    value,
)
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

MULTIPLE_SERVICES_SUPPORTED = 1
SERVICES = names.AVP_MULTIPLE_SERVICES_CREDIT_CONTROL

FOREVER = float("inf")


class DiameterCredit:
    """See `credit.CreditControl`. ``writer``: the name of this node; ``quota``: seconds that are asked for at once;
    ``rating_group``: what our units are counted under, by servers that want Multiple-Services-Credit-Control."""

    def __init__(
        self,
        client: DiameterClient,
        balances: Balances,
        writer: str,
        context: str,
        quota: float = 60.0,
        rating_group: int | None = None,
    ) -> None:
        self._client = client
        self._balances = balances
        self._writer = writer
        self._context = context
        self._quota = quota
        self._rating_group = rating_group
        self._sessions: dict[str, CreditSession] = {}
        client.answer_by(self.asked)

    async def open(self, session: CreditSession) -> Grant:
        """See `CreditControl.open`."""
        session.id = self._client.session_id()
        kept = Reservation(session.call, self._writer, session.account, 0, session.id)
        try:
            await self._balances.reserve(kept, 0)
        except StoreError as error:
            raise NoCreditControl(str(error)) from error
        session.rating_group = self._rating_group
        answer = await self._ask(session, INITIAL, self._services(session, wanted=self._quota))
        result = self._result(session, answer)
        if result == NOT_APPLICABLE:
            await self._forget(session)
            return Grant(FOREVER, final=True)
        if result in REFUSED and self._command_result(answer) != SUCCESS:
            await self._forget(session)
            raise CreditRefused(REFUSED[result])
        grant = Grant(0) if result in REFUSED else self._grant(session, answer, result)
        if not grant.seconds:
            await self.close(session)  # the server has begun a session all the same
            raise CreditRefused(REFUSED.get(result, REFUSED[LIMIT_REACHED]))
        self._sessions[session.id] = session
        return grant

    def asked(self, command: int, session_id: str) -> int:
        """A server asks to be asked again (section 5.5: an update follows), or ends a call (RFC 6733 section 8.5)."""
        session = self._sessions.get(session_id)
        if session is None or session.interrupt is None:
            return UNKNOWN_SESSION
        session.interrupt(command == ABORT_SESSION)
        return SUCCESS if command == ABORT_SESSION else LIMITED_SUCCESS

    async def more(self, session: CreditSession, used: float) -> Grant:
        """See `CreditControl.more`."""
        services = self._services(session, wanted=self._quota, used=used - session.reported)
        answer = await self._ask(session, UPDATE, services)
        session.reported = used
        result = self._result(session, answer)
        if result in REFUSED:
            raise CreditRefused(REFUSED[result])
        return self._grant(session, answer, result)

    async def close(self, session: CreditSession) -> None:
        """See `CreditControl.close`."""
        if not session.id:
            return
        self._sessions.pop(session.id, None)
        if session.rating_group is None:
            session.rating_group = self._rating_group  # a crash has forgotten it
        services = self._services(session, used=max(session.used - session.reported, 0.0))
        cause = (names.AVP_TERMINATION_CAUSE, names.E_TERMINATION_CAUSE_DIAMETER_LOGOUT)
        answer = await self._ask(session, TERMINATION, [cause, *services])
        result = self._command_result(answer)
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

    def _services(
        self, session: CreditSession, *, wanted: float | None = None, used: float | None = None
    ) -> Fields:
        """What is asked for and what was used, in Multiple-Services-Credit-Control or not (section 8.16)."""
        units = [
            (names.AVP_REQUESTED_SERVICE_UNIT, None if wanted is None else self._units(wanted)),
            (names.AVP_USED_SERVICE_UNIT, None if used is None else self._units(used)),
        ]
        if session.rating_group is None:
            return units
        group = (*units, (names.AVP_RATING_GROUP, session.rating_group))
        indicator = MULTIPLE_SERVICES_SUPPORTED if session.requests == 0 else None
        return [(names.AVP_MULTIPLE_SERVICES_INDICATOR, indicator), (SERVICES, group)]

    def _command_result(self, answer: Message) -> int:
        return int(_read(answer, names.AVP_RESULT_CODE) or 0)

    def _result(self, session: CreditSession, answer: Message) -> int:
        """That of the command, and where it succeeded that of our service."""
        result = self._command_result(answer)
        service = _service(answer, session.rating_group)
        inner = _read(service, names.AVP_RESULT_CODE) if service is not None and result == SUCCESS else None
        return int(inner or result)

    def _grant(self, session: CreditSession, answer: Message, result: int) -> Grant:
        if result != SUCCESS:
            raise NoCreditControl(f"the server answered {result}")
        service = _service(answer, session.rating_group)
        if service is not None and session.rating_group is None:
            # Its next requests have to name what it counts under; 0 where it does not say.
            session.rating_group = int(_read(service, names.AVP_RATING_GROUP) or 0)
        place = answer if service is None else service
        seconds = _read(place, names.AVP_GRANTED_SERVICE_UNIT, names.AVP_CC_TIME)
        final = _read(place, names.AVP_FINAL_UNIT_INDICATION) is not None
        validity = _read(place, names.AVP_VALIDITY_TIME)
        if seconds is None and not final:
            raise NoCreditControl("the server granted no time")
        return Grant(float(seconds or 0), final, float(validity) if validity else FOREVER)

    async def _forget(self, session: CreditSession) -> None:
        try:
            await self._balances.settle(session.call, 0)
        except StoreError as error:
            raise NoCreditControl(str(error)) from error


def _service(answer: Message, rating_group: int | None) -> Avp | None:
    """The Multiple-Services-Credit-Control of our rating group; without one, the first."""
    found = [avp for avp in answer.avps if avp.code == SERVICES and not avp.vendor_id]
    if rating_group is None:
        return found[0] if found else None
    groups = [(each, _read(each, names.AVP_RATING_GROUP)) for each in found]
    return next((each for each, group in groups if group in (rating_group, None)), None)


def _read(answer: Message | Avp, *path: int) -> Any:
    try:
        return value(answer, *path)
    except ValueError as error:
        raise NoCreditControl(str(error)) from None


_PROVED: type[CreditControl] = DiameterCredit  # by the type checker
