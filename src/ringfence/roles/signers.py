"""Whose signatures are believed: certificates of signers, fetched once, judged once, kept for a while.

A call names the URL of its certificate (RFC 8224 section 4.1). Most calls come from few signers, so the common case
is a dictionary look-up and no waiting. What was judged is kept no longer than any part it was judged by.

There are two kinds of roots. Those that the owner has named may speak for telephone numbers (RFC 8226), as far as the
certificate lists them, and for domains. Those of the operating system's web browsers speak for domains only: that
lets strangers prove their domain with the certificate that their web server has anyway.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import structlog
from cryptography import x509

from ringfence.message import PeerError
from ringfence.security.chains import ChainFlaw, read_certificates, subject_text
from ringfence.security.identity import IdentityFlaw
from ringfence.security.reasons import Reason
from ringfence.security.tnauth import Credential, credential_from, tn_list_url
from ringfence.transport.fetch import Fetched, Fetcher
from ringfence.transport.inquiry import Inquiry, Lists, Revocation, Verdict

log = structlog.get_logger("ringfence.identity")

MAX_KNOWN = 20_000
"""Signers kept, some two kilobytes each."""

Known = dict[str, Credential | None]
"""What each URL gave; None where no certificate could be had."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """Roots: ``named`` by the owner, and ``web`` for domains only."""

    named: tuple[x509.Certificate, ...] = ()
    web: tuple[x509.Certificate, ...] = ()
    lists: tuple[x509.CertificateRevocationList, ...] = ()
    """Revocation lists at hand, beside those that are fetched."""
    list_issuers: tuple[x509.Certificate, ...] = ()
    """Who may sign indirect lists for certificates of any of these roots."""


class _Entry(NamedTuple):
    credential: Credential | None
    until: float


class Signers:
    """One for a node.

    ``pinned`` are signers whose certificate is at hand, as our own is. ``clock`` is the wall clock, ``ticks`` the one
    that the fetcher counts by.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        anchors: Anchors,
        *,
        pinned: Mapping[str, Credential | None] | None = None,
        revocation: Revocation = Revocation.TRY,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.anchors = anchors
        self._fetcher = fetcher
        self._pinned = dict(pinned or {})
        self._revocation = revocation
        self._inquiry = Inquiry(fetcher, clock=clock, ticks=ticks)
        self._clock = clock
        self._ticks = ticks
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def known(self, urls: Iterable[str]) -> Known | None:
        """What is known of these URLs, or None when one of them has to be fetched."""
        found: Known = {}
        now = self._ticks()
        for url in urls:
            if url in self._pinned:
                found[url] = self._pinned[url]
                continue
            entry = self._entries.get(url)
            if entry is None or entry.until <= now:
                return None
            self._entries.move_to_end(url)
            found[url] = entry.credential
        return found

    async def find(self, urls: Iterable[str]) -> Known:
        """What these URLs give, fetched where it has to be."""
        wanted = tuple(dict.fromkeys(urls))
        return dict(zip(wanted, await asyncio.gather(*map(self._find, wanted)), strict=True))

    async def _find(self, url: str) -> Credential | None:
        known = self.known((url,))
        if known is not None:
            return known[url]
        fetched = await self._fetcher.fetch(url)
        if fetched.failure:
            log.info("certificate not had", url=url, reason=fetched.failure)
            entry = _Entry(None, fetched.until)
        else:
            entry = await self._judge(url, fetched)
        self._entries[url] = entry
        self._entries.move_to_end(url)
        while len(self._entries) > MAX_KNOWN:
            self._entries.popitem(last=False)
        return entry.credential

    async def _judge(self, url: str, fetched: Fetched) -> _Entry:
        try:
            chain = read_certificates(fetched.data)
            credential, until = await self._credential(chain, fetched.until)
        except PeerError as error:
            log.info("certificate not usable", url=url, reason=error.reason)
            return _Entry(_unsupported(error) if error.status == 437 else None, fetched.until)
        for reason in credential.problems:
            log.info("certificate not trusted", url=url, subject=credential.subject, reason=str(reason))
        return _Entry(credential, until)

    async def _credential(self, chain: Sequence[x509.Certificate], until: float) -> tuple[Credential, float]:
        now = self._clock()
        credential = self._trusted(chain, now)
        if credential.problems:
            return credential, until  # nothing more is fetched for one who is not trusted anyway
        listed = None
        place = tn_list_url(chain[0])
        if place is not None and not credential.own_numbers:
            fetched = await self._fetcher.fetch(place)
            listed, until = fetched.data or None, min(until, fetched.until)
        found = Lists() if self._revocation is Revocation.OFF else await self._inquiry.lists(chain)
        known = (*chain, *found.issuers)
        lists = (*self.anchors.lists, *(each for each in found.lists if self._is_sound(each, known, now)))
        if listed is not None or found.lists:
            credential = self._trusted(known, now, lists, listed)
        until = min(until, found.until)
        if credential.problems or self._revocation is Revocation.OFF:
            return credential, until
        verdict = await self._inquiry.status(chain, lists, (*self.anchors.named, *self.anchors.web))
        return self._with_status(credential, verdict), min(until, verdict.until)

    def _is_sound(
        self, crl: x509.CertificateRevocationList, chain: Sequence[x509.Certificate], now: float
    ) -> bool:
        """Whether a list that was fetched can be believed; else it is as if it had not been had (``sound_lists``)."""
        flaws = {reason.code: reason.detail for reason in self._trusted(chain, now, (crl,)).problems}
        if ChainFlaw.REVOKED in flaws or ChainFlaw.REVOCATION_UNKNOWN not in flaws:
            return True
        log.info("revocation list not believed", reason=flaws[ChainFlaw.REVOCATION_UNKNOWN])
        return False

    def _with_status(self, credential: Credential, verdict: Verdict) -> Credential:
        """Refuse what is revoked; say whose status is not known, and refuse that where it is wanted."""
        revoked = tuple(
            Reason(ChainFlaw.REVOKED, f"{subject_text(one)} has been revoked") for one in verdict.revoked
        )
        unknown = tuple(
            Reason(ChainFlaw.REVOCATION_UNKNOWN, f"{subject_text(one)}: {why}")
            for one, why in verdict.unknown
        )
        believed = self._revocation is Revocation.TRY
        for reason in unknown:
            log.info("revocation not known", reason=reason.detail, believed=believed)
        return replace(credential, problems=revoked if believed else (*revoked, *unknown))

    def _trusted(
        self,
        chain: Sequence[x509.Certificate],
        now: float,
        lists: Sequence[x509.CertificateRevocationList] | None = None,
        listed: bytes | None = None,
    ) -> Credential:
        """By the named roots; where those know no path, by the web's, which say nothing about numbers."""
        lists = self.anchors.lists if lists is None else lists
        credential = credential_from(
            chain, self.anchors.named, now, lists, listed=listed, list_issuers=self.anchors.list_issuers
        )
        unknown = {reason.code for reason in credential.problems} & {
            ChainFlaw.UNTRUSTED,
            ChainFlaw.SELF_SIGNED,
        }
        if not unknown or not self.anchors.web:
            return credential
        by_web = credential_from(chain, self.anchors.web, now, lists)
        if by_web.problems:
            return credential
        return replace(by_web, numbers=(), own_numbers=False)


def _unsupported(error: PeerError) -> Credential:
    """A certificate that was there and can't be read: RFC 8224 tells 437 from 436."""
    problem = Reason(IdentityFlaw.CREDENTIAL, error.reason)
    always = (float("-inf"), float("inf"))
    return Credential(None, "the certificate", "", *always, frozenset(), (), False, (), (problem,))
