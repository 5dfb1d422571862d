"""Whether certificates of others are revoked now: asked where they say so, by lists and OCSP (RFC 5280, RFC 6960).

Asked are only those that an authority vouches for and of which no list at hand tells. A request outside any call waits
for the answer, and so does the answer to a call, and what is to be encrypted. A certificate that turns out to be
revoked proves nothing from then on, and is not encrypted to.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from cryptography import x509

from ringfence.client.certificates import Certificates
from ringfence.client.protection import Protection
from ringfence.message import Uri
from ringfence.security.chains import (
    ChainFlaw,
    list_signers,
    revocation_flaws,
    sound_lists,
    subject_text,
)
from ringfence.security.reasons import Reason
from ringfence.security.revocation import unknown_status
from ringfence.transport.inquiry import Inquiry, Revocation, Verdict


class Status:
    """One for each agent."""

    def __init__(self, certificates: Certificates, inquiry: Inquiry, revocation: Revocation) -> None:
        self._certificates, self._inquiry, self._revocation = certificates, inquiry, revocation

    def is_open(self, protection: Protection | None) -> bool:
        """Whether the signature of a message counts by an authority's word, and nobody has told yet that it holds."""
        return (
            protection is not None
            and protection.vouched
            and protection.signer is not None
            and self._asks(protection.signer.path)
        )

    def _asks(self, path: Sequence[x509.Certificate]) -> bool:
        if self._revocation is Revocation.OFF or not path:
            return False
        return bool(unknown_status(path[:-1], self._certificates.revocation))

    async def settle(self, protection: Protection) -> Protection:
        """The protection as it is once that has been asked."""
        signer = protection.signer
        if signer is None or not self.is_open(protection):
            return protection
        reasons = await self._ask(signer.path)
        if not reasons:
            return protection
        told = [f"the signature does not count: {reason.detail}" for reason in reasons]
        return protection._replace(
            signer=signer._replace(reasons=signer.reasons + tuple(reasons)),
            pinned=None,
            vouched=False,
            warnings=(*protection.warnings, *told),
        )

    async def look_after(self, address: Uri) -> None:
        """Forget those certificates of an address that turn out to be revoked, before something is encrypted to it."""
        known, now = self._certificates, time.time()
        for certificate in known.recipients(address, now):
            judged = known.judged([certificate, *known.every()], now)
            if not judged.reasons and self._asks(judged.path):
                await self._ask(judged.path)

    async def _ask(self, path: Sequence[x509.Certificate]) -> list[Reason]:
        """Why the first certificate of a path is not to be believed."""
        at_hand = self._certificates.revocation
        found = await self._inquiry.lists(path)
        verdict = Verdict()
        now = time.time()
        signers = list_signers(found.lists, path, found.issuers, now)
        sound = sound_lists(found.lists, path, now, signers)
        reasons = list(revocation_flaws(path, sound, now, signers))
        if not reasons:
            verdict = await self._inquiry.status(path, (*at_hand, *sound))
            reasons = [
                Reason(ChainFlaw.REVOKED, f"{subject_text(one)} has been revoked") for one in verdict.revoked
            ]
        if any(reason.code is ChainFlaw.REVOKED for reason in reasons):
            self._certificates.forget(path[0])
        if self._revocation is Revocation.REQUIRE:
            reasons += [
                Reason(
                    ChainFlaw.REVOCATION_UNKNOWN,
                    f"nobody tells whether {subject_text(one)} is revoked: {why}",
                )
                for one, why in verdict.unknown
            ]
        return reasons
