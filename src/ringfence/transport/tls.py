"""TLS 1.2 and 1.3 over a byte stream, by OpenSSL's memory buffers rather than the loop's own TLS.

``bench/tls_path.py`` shows why: a message costs 0.7 of what asyncio's TLS takes and 0.35 of uvloop's, a
connection 0.6 and 0.9, and of that most is OpenSSL's arithmetic. One context serves all connections of a
listener; there is no task and no context for a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import time
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, cast

from cryptography import x509

from ringfence.security.certificates import WEB_USAGES, domain_flaws
from ringfence.security.chains import revocation_flaws
from ringfence.security.unreadable import UNREADABLE
from ringfence.transport.contexts import Contexts
from ringfence.transport.flow import PeerCertificate
from ringfence.transport.stream import Above, ByteStream, Streams

READ_SIZE = 16_384
"""Bytes asked of OpenSSL at a time: what a record holds at the most, so that one read takes all of it."""

INQUIRY_SECONDS = 20.0
"""How long a connection waits until it is known whether the peer's certificate is revoked: a list, the certificate of
who signed it and two responders, each with the time that the fetcher gives it."""

PROOFS = 4_096
"""Answers kept of ``proves``: each is asked for again with every request to that domain."""


class TlsStream(ByteStream):
    """A TLS connection; ``server_name`` is the domain that the peer must prove when we made it. A browser may be at
    the other end of one for ``websocket``."""

    __slots__ = (
        "_asking",
        "_contexts",
        "_established",
        "_incoming",
        "_outgoing",
        "_peer",
        "_tls",
        "_websocket",
        "server_name",
    )

    def __init__(
        self,
        streams: Streams,
        above: Above,
        contexts: Contexts,
        *,
        accepted: bool,
        server_name: str | None = None,
        websocket: bool = False,
    ) -> None:
        super().__init__(streams, above, accepted=accepted)
        self._contexts = contexts
        self._websocket = websocket
        self._established = False
        self._asking: asyncio.Task[None] | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._peer: PeerCertificate | None = None
        self._tls: ssl.SSLObject
        self.server_name = server_name

    # -- from the loop ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the handshake; a client speaks first."""
        if self.accepted:
            context = self._contexts.websocket if self._websocket else self._contexts.server
            assert context is not None  # the pool does not listen without a certificate
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            return
        name = self.server_name
        indicated = None if name is None or _address(name) else name.removesuffix(".")
        context = self._contexts.client_for(name)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=indicated)
        self._handshake()

    def data_received(self, data: bytes) -> None:
        """Records from the loop."""
        self._active = True
        if self._reason is not None:
            return
        self._incoming.write(data)
        if self._asking is None and (self._established or self._handshake()):
            self._read()
        self._streams.pace.took(1)

    def _handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.flush()
            return False
        except ssl.SSLError as error:
            self.flush()  # the alert
            super().close(f"TLS: {_explain(error)}")
            return False
        self.flush()
        self._established = True
        flaw = self._examine_peer()
        if flaw is not None:
            self.close(f"TLS: {flaw}")
            return False
        inquire, peer = self._contexts.inquire, self._peer
        if inquire is not None and peer is not None and peer.verified:
            found = inquire(peer, self._contexts.crls)
            if not isinstance(found, str):
                self._wait_for(found)
                return False
            if found:
                self.close(f"TLS: {found}")
                return False
        self.opened()
        return bool(self._incoming.pending)

    def _wait_for(self, answer: Coroutine[Any, Any, str]) -> None:
        """Take and give nothing until it is known whether the peer's certificate is revoked."""
        if self._transport is None:  # lost in the middle of the handshake
            answer.close()
            return
        self._transport.pause_reading()
        self.expect(INQUIRY_SECONDS, "the status of the peer's certificate")
        self._asking = asyncio.get_running_loop().create_task(self._conclude(answer))

    async def _conclude(self, answer: Coroutine[Any, Any, str]) -> None:
        flaw = await answer
        self._asking = None
        if self._reason is not None or self._transport is None:
            return
        if flaw:
            self.close(f"TLS: {flaw}")
            return
        self.opened()
        if self._held is None:
            self._transport.resume_reading()
        if self._incoming.pending:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        if self._asking is not None:
            self._asking.cancel()
        super().connection_lost(exc)

    def _read(self) -> None:
        read, incoming = self._tls.read, self._incoming
        try:
            while self._reason is None and self._above is not None:
                data = read(READ_SIZE)
                if not data:
                    self.close("the peer closed it")
                    break
                self._streams.pass_up(self._above, data)
                if not incoming.pending:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.flush()
            super().close(f"TLS: {_explain(error)}")
        if self._outgoing.pending:
            self.flush()  # OpenSSL answered by itself, such as to a key update

    # -- from above ------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._transport is None or self._reason is not None:
            return
        self._active = True
        waiting = self._outgoing.pending
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self.abort(f"TLS: {_explain(error)}")
            return
        if not self._streams.joining:
            self.flush()
        elif not waiting:
            self._streams.unsent.append(self)

    def flush(self) -> None:
        """Send the records that wait."""
        data = self._outgoing.read()
        if data and self._transport is not None:
            self._transport.write(data)

    def close(self, reason: str) -> None:
        """Say goodbye (RFC 8446 section 6.1), then close."""
        if self._established and self._reason is None:
            with contextlib.suppress(ssl.SSLError):  # the peer's goodbye is not waited for
                self._tls.unwrap()
            self.flush()
        super().close(reason)

    @property
    def peer(self) -> PeerCertificate | None:
        """The certificate that the peer showed."""
        return self._peer

    @property
    def protection(self) -> str:
        """Such as "TLSv1.3 TLS_AES_256_GCM_SHA384"."""
        cipher = self._tls.cipher() if self._established else None
        return f"{self._tls.version()} {cipher[0]}" if cipher else ""

    # -- who the peer is -------------------------------------------------------------------------------

    def _examine_peer(self) -> str | None:
        """Note the peer's certificate; say what is wrong with it, if anything."""
        tls = self._tls
        der = tls.getpeercert(binary_form=True)
        if der is None:
            return None
        verified = tls.context.verify_mode != ssl.CERT_NONE
        self._peer = peer = PeerCertificate(der, verified, _chain(tls, der, verified=verified))
        if not verified:
            return None
        crls = self._contexts.crls
        try:
            if crls:
                path = [x509.load_der_x509_certificate(item) for item in peer.chain]
                for flaw in revocation_flaws(path, crls, time.time()):
                    return flaw.detail
            if not self.accepted and self.server_name is not None:
                if not self._contexts.vouched_for(peer, self.server_name):
                    return f"the certificate is not from an authority that may vouch for {self.server_name}"
                return name_flaw(peer, self.server_name)
        except UNREADABLE as error:
            return f"the certificate cannot be read: {error}"
        return None


def _chain(tls: ssl.SSLObject, der: bytes, *, verified: bool) -> tuple[bytes, ...]:
    """The chain up to the trust anchor; when nothing was verified, what the peer sent."""
    name = "get_verified_chain" if verified else "get_unverified_chain"
    method = getattr(tls, name, None)
    if method is not None:
        return tuple(method() or (der,))
    # Before Python 3.13 only the inner object has it.
    inner = cast("Any", tls)._sslobj
    found = getattr(inner, name)()
    return tuple(item.public_bytes(2) for item in found) if found else (der,)  # 2 is ENCODING_DER


def name_flaw(peer: PeerCertificate, domain: str) -> str | None:
    """Why a certificate does not prove this domain (RFC 5922 section 7.3), or None when it does.

    An address in the place of a domain, which RFC 5922 does not foresee, has to stand as iPAddress.

    Raises:
        UNREADABLE: when the certificate cannot be read.
    """
    certificate = x509.load_der_x509_certificate(peer.der)
    address = _address(domain)
    flaws = domain_flaws(certificate, domain, WEB_USAGES)
    if flaws and address is not None:
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return flaws[0].detail
        if address in names.get_values_for_type(x509.IPAddress):
            return None
    return flaws[0].detail if flaws else None


@lru_cache(PROOFS)
def proves(peer: PeerCertificate, domain: str) -> bool:
    """Whether a connection's peer has proved to be this domain (RFC 5923 section 8.2)."""
    try:
        return peer.verified and name_flaw(peer, domain) is None
    except UNREADABLE:
        return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _explain(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate is not good: {error.verify_message}"
    reason = error.reason or "the connection broke off"
    if reason in {"HTTP_REQUEST", "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL"}:
        return f"what the peer sent is not TLS ({reason})"
    return reason.replace("_", " ").lower()
