"""What a callee says of its caller by how it answers: 607 Unwanted (RFC 8197) is a report, and a call of its own to
somebody is a welcome."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

import structlog

from ringfence.guard.reputation import Handle
from ringfence.message import PeerError, Response
from ringfence.message.fields import REASON
from ringfence.roles.callers import handle_of, name_of
from ringfence.security.canonical import identity_of
from ringfence.store.errors import StoreError

if TYPE_CHECKING:
    from ringfence.roles.call import Call, Target
    from ringfence.roles.policy import Services

log = structlog.get_logger("ringfence.identity")

UNWANTED = 607
"""RFC 8197: "the called party did not want this call from the calling party"."""

DECLINED = 603
"""A report only with a Reason that says 607: people decline calls of friends, too."""


def note_answer(call: Call, target: Target, response: Response) -> None:
    """Keep what a final response says of the caller, or of whom our user called."""
    strangers = call.services.strangers
    if strangers is None:
        return
    if response.status < 300:
        if not target.registered and call.findings.user is not None and call.request.method == "INVITE":
            _keep_welcome(call)
    elif target.registered and _unwanted(response):
        caller = call.findings.caller
        if caller is not None and call.findings.user is None:
            keep_report(call.services, handle_of(caller, call.flow), callee_of(call), str(response.status))


def callee_of(call: Call) -> str:
    """The address-of-record that is called; for another address of an account, the account's own."""
    address = call.services.policy.canonical(call.uri)
    owners = call.services.accounts.by_alias(address)
    return owners[0].aor if isinstance(owners, tuple) and len(owners) == 1 else address


def _unwanted(response: Response) -> bool:
    if response.status == UNWANTED:
        return True
    if response.status != DECLINED or not response.headers.has("Reason"):
        return False
    try:
        reasons = response.headers.every(REASON)
        return any(each.protocol.upper() == "SIP" and each.cause == UNWANTED for each in reasons)
    except PeerError:
        return False


def keep_report(services: Services, handle: Handle, callee: str, how: str) -> None:
    """Store that a callee does not want to hear from a caller again."""
    strangers = services.strangers
    assert strangers is not None  # callers have looked
    services.driver.counts["callers reported"] += 1
    log.info("caller reported", caller=handle.names, callee=callee, by=how)
    services.driver.spawn(_stored(strangers.reputation.report(handle, callee, services.clock(), how)))


def _keep_welcome(call: Call) -> None:
    """Whom our user has called may call back."""
    strangers, user = call.services.strangers, call.findings.user
    assert strangers is not None  # the caller has looked
    assert user is not None
    called = Handle((name_of(identity_of(call.request.to.uri, destination=True)),), True)
    now = call.services.clock()
    if not strangers.reputation.knows(called, user.account.aor, now):
        work = strangers.reputation.allow(called, user.account.aor, now, "called")
        call.services.driver.spawn(_stored(work))


async def _stored(work: Awaitable[None]) -> None:
    try:
        await work
    except StoreError as error:
        log.error("what was said of a caller could not be stored", reason=str(error))
