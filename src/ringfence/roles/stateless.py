"""An ACK for a 2xx on its way: of no transaction, so it is sent on and forgotten (RFC 3261 section 16.11)."""

from __future__ import annotations

from collections.abc import Awaitable

from ringfence.engine.places import SECURE, Destination
from ringfence.message import Request
from ringfence.roles.call import Call, Target
from ringfence.roles.nexthop import known_places, look_up, must_be_tls, next_hop, usable_flow
from ringfence.roles.outgoing import branch_request, loop_value
from ringfence.transport.driver import Driver, Work
from ringfence.transport.flow import Flow


def forward_statelessly(call: Call, targets: tuple[Target, ...]) -> Work | None:
    """Send an ACK for a 2xx on: it belongs to no transaction (RFC 3261 section 16.11)."""
    target = targets[0]
    flow = usable_flow(call, target)
    if flow is not None:
        _send_ack(call, target, flow)
        return None
    if target.flow and target.only_flow:
        return None
    found = known_places(call, next_hop(call, target))
    if found is None:
        return _look_up_ack(call, target)
    _send_to_first(call, target, found)
    return None


async def _look_up_ack(call: Call, target: Target) -> None:
    _send_to_first(call, target, await look_up(call, next_hop(call, target)))


def _send_to_first(call: Call, target: Target, found: list[Destination]) -> None:
    secure = must_be_tls(call, target)
    for place in found:
        if not secure or place.transport in SECURE:
            _send_ack(call, target, call.services.driver.flow_to(place))
            return


def _send_ack(call: Call, target: Target, flow: Flow) -> None:
    driver = call.services.driver
    breadth = call.findings.breadth or call.services.policy.max_breadth
    view = call.findings.view
    ack = branch_request(call, target, flow, driver.token(), loop_value(call), breadth, view)
    media = call.media
    anchor = media.anchor(call, target, flow) if media is not None else None
    work = media.leaves(call, anchor, ack, flow) if media is not None and anchor is not None else None
    if work is None:
        driver.send(ack, flow)
    else:
        driver.spawn(_send_later(work, ack, flow, driver))


async def _send_later(work: Awaitable[None], ack: Request, flow: Flow, driver: Driver) -> None:
    await work
    driver.send(ack, flow)
