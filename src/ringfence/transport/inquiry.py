"""Asking whether certificates are revoked: the lists and the responders that they name (RFC 5280, RFC 6960).

Only certificates that are trusted otherwise are asked about. So a stranger can't choose whom we ask; and http will do,
as lists and answers are signed. All of it goes through the fetcher, which bounds sizes and times, and keeps what came.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import structlog
from cryptography import x509

from ringfence.message import PeerError
from ringfence.security.chains import issuer_among, read_certificates, subject_text
from ringfence.security.ocsp import NONCE_OCTETS, Status, Told, judge_answer, question_url, responders
from ringfence.security.revocation import issuer_urls, read_list, revocation_urls, unknown_status
from ringfence.transport.fetch import Fetched, Fetcher

log = structlog.get_logger("ringfence.identity")

MAX_LISTS = 4
"""Revocation lists fetched for one chain: one for each certificate of the paths in use."""

MAX_QUESTIONS = 4
"""Certificates of one chain that responders are asked about."""

MAX_RESPONDERS = 2
"""Responders that are asked about one certificate, one after the other."""

MAX_NONCES = 20_000
"""Nonces that are remembered, half a kilobyte each: as many as the fetcher keeps answers."""


class Revocation(StrEnum):
    """What is done about the lists and responders that certificates name."""

    OFF = "off"
    TRY = "try"
    """One that can't be had is passed over, and the log says whose status is not known."""
    REQUIRE = "require"
    """A certificate that names a list or a responder is not believed unless one of them tells that it holds."""


class Lists(NamedTuple):
    """Revocation lists that were had, with certificates of their issuers, and until when on the fetcher's clock."""

    lists: tuple[x509.CertificateRevocationList, ...] = ()
    issuers: tuple[x509.Certificate, ...] = ()
    until: float = float("inf")


class Verdict(NamedTuple):
    """Certificates that are revoked, those of which nobody knows, and until when on the fetcher's clock."""

    revoked: tuple[x509.Certificate, ...] = ()
    unknown: tuple[tuple[x509.Certificate, str], ...] = ()
    until: float = float("inf")


class Inquiry:
    """One for a node or an agent. ``clock`` is the wall clock, ``ticks`` the one that the fetcher counts by."""

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._ticks = ticks
        self._nonces: OrderedDict[str, bytes] = OrderedDict()

    async def lists(self, chain: Sequence[x509.Certificate]) -> Lists:
        """The lists that the certificates of a chain name, as far as they can be had."""
        urls = revocation_urls(chain)[:MAX_LISTS]
        if not urls:
            return Lists()
        had = await asyncio.gather(*map(self._list, urls))
        lists = tuple(crl for crl, _ in had if crl is not None)
        until = min(fetched.until for _, fetched in had)
        wanted = {crl.issuer: crl for crl in lists} if lists else {}
        for certificate in chain:
            wanted.pop(certificate.subject, None)
        places = [url for crl in wanted.values() for url in issuer_urls(crl)[:1]]
        issuers = await asyncio.gather(*map(self._certificates, places[:MAX_LISTS]))
        return Lists(lists, tuple(one for found in issuers for one in found), until)

    async def _list(self, url: str) -> tuple[x509.CertificateRevocationList | None, Fetched]:
        fetched = await self._fetcher.fetch(url, plain=True)
        crl = read_list(fetched.data)
        if crl is None:
            log.info("revocation list not had", url=url, reason=fetched.failure or "not a list")
        return crl, fetched

    async def _certificates(self, url: str) -> list[x509.Certificate]:
        fetched = await self._fetcher.fetch(url, plain=True)
        try:
            return read_certificates(fetched.data) if fetched.data else []
        except PeerError as error:
            log.info("issuer of a revocation list not usable", url=url, reason=error.reason)
            return []

    async def status(
        self,
        chain: Sequence[x509.Certificate],
        lists: Iterable[x509.CertificateRevocationList],
        roots: Sequence[x509.Certificate] = (),
    ) -> Verdict:
        """What responders say of those certificates of a chain of which these lists tell nothing."""
        open_ = unknown_status(chain, lists)
        asked, rest = open_[:MAX_QUESTIONS], open_[MAX_QUESTIONS:]
        issuers = (*chain[1:], *roots)
        told = await asyncio.gather(*(self._ask(one, why, issuers) for one, why in asked))
        revoked = [
            one for (one, _), answer in zip(asked, told, strict=True) if answer.status is Status.REVOKED
        ]
        unknown = [
            (one, answer.why)
            for (one, _), answer in zip(asked, told, strict=True)
            if answer.status is Status.UNKNOWN
        ]
        ends = [answer.until - self._clock() for answer in told if answer.status is not Status.UNKNOWN]
        until = self._ticks() + min(ends) if ends else float("inf")
        return Verdict(tuple(revoked), (*unknown, *rest), until)

    async def _ask(
        self, certificate: x509.Certificate, why: str, issuers: Sequence[x509.Certificate]
    ) -> Told:
        issuer = issuer_among(certificate, issuers)
        places = [url for url in responders(certificate) if url.lower().startswith(("http:", "https:"))]
        if issuer is None or not places:
            return Told(Status.UNKNOWN, why)
        for place in places[:MAX_RESPONDERS]:
            nonce = self._nonce(place, certificate, issuer)
            fetched = await self._fetcher.fetch(question_url(place, certificate, issuer, nonce), plain=True)
            if fetched.failure:
                told = Told(Status.UNKNOWN, fetched.failure)
            else:
                told = judge_answer(fetched.data, certificate, issuer, self._clock(), nonce=nonce)
            if told.status is not Status.UNKNOWN:
                return told
            log.info("no answer by OCSP", responder=place, subject=subject_text(certificate), reason=told.why)
            why = f"OCSP: {told.why}"
        return Told(Status.UNKNOWN, why)

    def _nonce(self, place: str, certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
        """A new one for each question that is sent. While an answer is kept, or on its way, it is that of its question:
        else a flood of calls by one signer would be a flood of questions."""
        name = question_url(place, certificate, issuer)
        nonce = self._nonces.get(name)
        if nonce is None or not self._fetcher.holds(question_url(place, certificate, issuer, nonce)):
            nonce = self._nonces[name] = secrets.token_bytes(NONCE_OCTETS)
        self._nonces.move_to_end(name)
        while len(self._nonces) > MAX_NONCES:
            self._nonces.popitem(last=False)
        return nonce
