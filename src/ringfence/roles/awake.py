"""Phones behind NAT that have registered over UDP are asked for a sign of life, so that calls still reach them.

A NAT forgets a mapping after some 30 s without a packet from inside (RFC 4787 section 4.3): so the phone has to send,
and OPTIONS makes it answer. Nothing is kept of it: the answer matches no transaction and is dropped. A phone with
Outbound does that by itself, by STUN (RFC 5626 section 4.4.2).
"""

from __future__ import annotations

from math import ceil

from ringfence.message import Headers, PeerError, Request, SipUri, parse_uri
from ringfence.message.fields import MAGIC_COOKIE
from ringfence.roles.outgoing import request_uri
from ringfence.roles.policy import Services
from ringfence.store.records import Binding
from ringfence.transport.flow import Flow

LEAST = 20
"""Addresses that are looked at in a second, at least: so a few are not asked in one burst either."""


class Awake:
    """Walks through all registrations once in ``seconds``."""

    def __init__(self, services: Services, seconds: float) -> None:
        self._services = services
        self._seconds = seconds
        self._after = ""
        self._left = 0.0  # seconds until the next walk begins

    async def tick(self) -> None:
        """To be called every second."""
        self._left -= 1.0
        if not self._after and self._left > 0:
            return
        bindings, now = self._services.bindings, self._services.clock()
        counts = bindings.counts()
        known = counts if isinstance(counts, tuple) else await counts
        page = bindings.list(now, self._after, max(LEAST, ceil(known.addresses / self._seconds)))
        found = page if isinstance(page, tuple) else await page
        if not self._after:
            self._left = self._seconds
        self._after = found[-1].aor if found else ""
        for binding in found:
            self._ask(binding)

    def _ask(self, binding: Binding) -> None:
        if not binding.flow.startswith("UDP,") or binding.reg_id:
            return
        flow = self._services.driver.pool.find(binding.flow)
        if flow is None or flow.closed:
            return
        try:
            self._services.driver.send(self._options(binding, flow), flow)
        except PeerError:  # what it has registered is no URI to send to
            return

    def _options(self, binding: Binding, flow: Flow) -> Request:
        policy, token = self._services.policy, self._services.driver.token
        uri = parse_uri(binding.contact)
        if not isinstance(uri, SipUri):
            raise PeerError(416, "no SIP URI", header="Contact")
        sent_by = policy.addresses.sent_by(flow)
        headers = Headers(
            [
                ("Via", f"SIP/2.0/UDP {sent_by};branch={MAGIC_COOKIE}{token()};rport"),
                ("Max-Forwards", "70"),
                ("From", f"<sip:{policy.domain}>;tag={token()}"),
                ("To", f"<{binding.contact}>"),
                ("Call-ID", token()),
                ("CSeq", "1 OPTIONS"),
                ("Content-Length", "0"),
            ]
        )
        return Request("OPTIONS", request_uri(uri, binding.contact), headers)
