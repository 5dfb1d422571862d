"""Whether the peers of TLS connections have certificates that are revoked. ``transport.inquiry`` does the asking."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from cryptography import x509

from ringfence.security.chains import list_signers, revocation_flaws, sound_lists, subject_text
from ringfence.security.revocation import unknown_status
from ringfence.security.unreadable import UNREADABLE
from ringfence.transport.flow import PeerCertificate
from ringfence.transport.inquiry import Inquiry, Revocation, Verdict

log = structlog.get_logger("ringfence.identity")

MAX_PEERS = 4_096
"""Certificates of TLS peers whose status is kept, some two kilobytes each."""

KNOWN_AGE = 3_600.0
"""Seconds that a status is kept at the most."""

UNKNOWN_AGE = 60.0
"""The same for one that nobody told, so that a peer that connects again and again is not asked about each time."""


class PeerStatus:
    """Whether the peers of TLS connections have certificates that are revoked, for ``Contexts.inquire``.

    A certificate is asked about once, and then again when what was told has ended.
    """

    def __init__(
        self, inquiry: Inquiry, revocation: Revocation, *, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._inquiry = inquiry
        self._revocation = revocation
        self._ticks = ticks
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def __call__(
        self, peer: PeerCertificate, lists: tuple[x509.CertificateRevocationList, ...]
    ) -> str | Coroutine[Any, Any, str]:
        """What is wrong with a certificate whose chain is good; "" when nothing is known against it."""
        known = self._known.get(peer.der)
        if known is not None and self._ticks() < known[1]:
            return known[0]
        try:
            chain = [x509.load_der_x509_certificate(one) for one in peer.chain]
        except UNREADABLE as error:
            return f"the certificate cannot be read: {error}"
        if not unknown_status(chain[:-1], ()):
            return self._keep(peer.der, "", self._ticks() + KNOWN_AGE)  # it names nobody to ask
        if not unknown_status(chain[:-1], lists):
            return ""  # a list at hand has told
        return self._find(peer.der, chain, lists)

    async def _find(
        self,
        name: bytes,
        chain: list[x509.Certificate],
        lists: tuple[x509.CertificateRevocationList, ...],
    ) -> str:
        found = await self._inquiry.lists(chain)
        verdict, now = Verdict(), time.time()
        sound: tuple[x509.CertificateRevocationList, ...] = ()
        try:
            signers = list_signers(found.lists, chain, found.issuers, now)
            sound = sound_lists(found.lists, chain, now, signers)
            flaws = [each.detail for each in revocation_flaws(chain, sound, now, signers)]
        except UNREADABLE as error:  # an entry of a list
            flaws = [f"a revocation list can't be read: {str(error)[:80]}"]
        if not flaws:
            verdict = await self._inquiry.status(chain, (*lists, *sound))
            flaws = [f"{subject_text(one)} has been revoked" for one in verdict.revoked]
        for one, why in verdict.unknown:
            log.info(
                "revocation not known",
                reason=f"{subject_text(one)}: {why}",
                believed=self._revocation is Revocation.TRY,
            )
            if self._revocation is Revocation.REQUIRE:
                flaws.append(f"nobody tells whether {subject_text(one)} is revoked: {why}")
        age = UNKNOWN_AGE if verdict.unknown else KNOWN_AGE
        until = min(self._ticks() + age, found.until, verdict.until)
        return self._keep(name, flaws[0] if flaws else "", until)

    def _keep(self, name: bytes, flaw: str, until: float) -> str:
        self._known[name] = (flaw, until)
        self._known.move_to_end(name)
        while len(self._known) > MAX_PEERS:
            self._known.popitem(last=False)
        return flaw
