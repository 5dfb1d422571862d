"""A node that stops: nothing new is begun, what goes on gets its time, and then everybody gets an answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from ringfence.message import PeerError, response_to
from ringfence.roles.steps.shed import DRAIN_RETRY_SECONDS

if TYPE_CHECKING:
    from ringfence.service.wiring import Parts

log = structlog.get_logger("ringfence.node")

LOOK_SECONDS = 0.05
"""How often it is looked whether everything is done."""

STOPS = 'SIP;cause=503;text="The node stops"'
"""Reason of the CANCELs to whom it still rings at (RFC 3326)."""


class Ending:
    """Whether the node is to stop, and whether it is to hurry. ``asked`` twice is in a hurry."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.hurry = asyncio.Event()

    def ask(self) -> None:
        """Finish what goes on, then end; asked again: end now."""
        if self.begun.is_set():
            self.hurry.set()
        self.begun.set()

    def now(self) -> None:
        """End without waiting for what goes on."""
        self.hurry.set()
        self.begun.set()


async def drain(parts: Parts, seconds: float, ending: Ending) -> None:
    """Take nothing new, and wait until what goes on is done, for so long at the most."""
    overload = parts.services.overload
    if overload is not None:
        overload.drain()
    driver = parts.driver
    waiting = in_progress(parts)
    if waiting:
        log.info("draining", transactions=waiting, seconds=seconds)
    deadline = driver.time() + seconds
    while in_progress(parts) and driver.time() < deadline and not ending.hurry.is_set():
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await ending.hurry.wait()
        except TimeoutError:
            continue


def in_progress(parts: Parts) -> int:
    """How much goes on: requests without a final answer, and work that waits."""
    return len(parts.driver.transactions.unanswered()) + parts.driver.waiting


def answer_all(parts: Parts) -> int:
    """Give every request in progress a final answer; what still rings is cancelled. Gives how many there were."""
    driver = parts.driver
    unanswered = driver.transactions.unanswered()
    for transaction in unanswered:
        if transaction.method == "ACK":
            continue
        cancel = getattr(transaction.user, "cancel", None)
        try:
            request = transaction.request
            if cancel is not None:
                cancel(STOPS)
            if not transaction.answered:
                response = response_to(
                    request, 503, "Service Unavailable (the node stops)", to_tag=driver.new_tag()
                )
                response.headers.add("Retry-After", DRAIN_RETRY_SECONDS)
                driver.respond(transaction, response)
        except PeerError as error:
            log.info("not answered", reason=str(error))
    return len(unanswered)
