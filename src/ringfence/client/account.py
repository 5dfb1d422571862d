"""Who a user agent is: its address, its secret, where it sends, whom it trusts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from ringfence.message import LocalError, PeerError, SipUri, sip_uri
from ringfence.message.grammar import unescape
from ringfence.security.digest import STRONG, Algorithm
from ringfence.security.privacy import Privacy
from ringfence.transport.contexts import TlsSettings

PRODUCT = f"Ringfence/{version('ringfence')}"

TRANSPORTS = ("UDP", "TCP", "TLS", "WS", "WSS")

EXPIRES = 600
"""Seconds that a registration is asked for: an address that nobody answers at is forgotten in ten minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The configuration of a user agent. ``make`` reads it from text."""

    aor: SipUri
    """The address-of-record. ``sips:`` means TLS on every hop (RFC 5630)."""
    display: str = ""
    username: str = ""
    """For digest authentication; the user part of the address unless given."""
    password: str | None = field(default=None, repr=False)
    ha1: Mapping[str, str] = field(default_factory=dict, repr=False)
    """In place of the password: H(A1) by algorithm, for the realm of the account."""
    realms: frozenset[str] = frozenset()
    """Realms that are told the digest of the password. Empty: the first realm that asks, and only that one."""
    algorithms: tuple[Algorithm, ...] = STRONG
    """Digest algorithms that are answered. MD5 is not among them unless it is asked for."""
    proxy: SipUri | None = None
    """The outbound proxy (RFC 3261 section 8.1.2); all that leaves goes there."""
    transport: str | None = None
    """Wanted where URI and DNS leave it open; one of ``TRANSPORTS``."""
    user_agent: str = PRODUCT
    instance: str = field(default_factory=lambda: f"urn:uuid:{uuid4()}")
    """Names this device (RFC 5626 section 4.1). A phone keeps it, so that after a crash its old binding is replaced."""
    trust: tuple[Path, ...] = ()
    """Files of root certificates that servers must come from. Empty: those of the operating system."""
    certificate: tuple[Path, Path] | None = None
    """Our own certificate and its private key, for servers that ask for one."""
    expires: int = EXPIRES
    privacy: frozenset[Privacy] = frozenset()
    """What is asked for in registrations and answers, and in calls and texts that do not say otherwise (RFC 3323)."""

    @property
    def has_credentials(self) -> bool:
        """Whether we can prove who we are."""
        return self.password is not None or bool(self.ha1) or self.certificate is not None

    @property
    def domain(self) -> str:
        """The host of the address-of-record."""
        return self.aor.host

    @property
    def secure(self) -> bool:
        """Whether nothing of ours may leave on a hop without TLS."""
        return self.aor.secure

    def home(self) -> SipUri | None:
        """Where everything is sent first: the proxy, or with credentials the own domain; else None."""
        if self.proxy is not None:
            return self.proxy
        if not self.has_credentials:
            return None
        uri = SipUri(self.aor.scheme, None, self.aor.host, self.aor.port)
        if self.transport is not None and not (self.secure and self.transport == "TLS"):
            uri = uri.replace(params=uri.params.with_("transport", self.transport.lower()))
        return uri

    def tls(self) -> TlsSettings:
        """What the TLS of this account is made of."""
        return TlsSettings(
            certificates=(self.certificate,) if self.certificate is not None else (),
            trust=self.trust,
            system_trust=not self.trust,
        )


def make_account(
    aor: str,
    *,
    username: str = "",
    proxy: str | None = None,
    transport: str | None = None,
    trust: str | Path | Iterable[str | Path] = (),
    certificate: tuple[str | Path, str | Path] | None = None,
    **more: object,
) -> Account:
    """An account from texts and paths; see ``Account`` for what else there is.

    Raises:
        LocalError: for what is no SIP address, or settings that contradict each other.
    """
    uri = _uri(aor, "address")
    if not uri.user or uri.headers:
        raise LocalError(f"{aor} is not the address of a user")
    wanted = transport.upper() if transport is not None else None
    if wanted is not None and wanted not in TRANSPORTS:
        raise LocalError(f"no such transport: {transport}; there are {', '.join(TRANSPORTS)}")
    if uri.secure and wanted in {"UDP", "TCP", "WS"}:
        raise LocalError(f"{aor} needs TLS, and {wanted} has none: write sip: or transport TLS")
    first_hop = _uri(proxy, "proxy") if proxy is not None else None
    if uri.secure and first_hop is not None and not _can_be_secure(first_hop):
        raise LocalError(f"{aor} needs TLS, and the proxy {proxy} has none: write sips:")
    paths = (trust,) if isinstance(trust, str | Path) else trust
    return Account(
        aor=uri,
        username=username or unescape(uri.user),
        proxy=first_hop,
        transport=wanted,
        trust=tuple(map(Path, paths)),
        certificate=(Path(certificate[0]), Path(certificate[1])) if certificate is not None else None,
        **more,  # type: ignore[arg-type]  # names and types are those of Account
    )


def _can_be_secure(uri: SipUri) -> bool:
    return uri.secure or uri.transport in {"TLS", "WSS"}


def _uri(text: str, what: str) -> SipUri:
    if text.partition(":")[0].lower() not in {"sip", "sips"}:
        text = f"sip:{text}"
    try:
        return sip_uri(text)
    except PeerError as error:
        raise LocalError(f"{text} is no {what}: {error.reason}") from None
