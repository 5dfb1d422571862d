"""The records that are kept: who may use the domain, where they are now, and who runs it.

Records are values: frozen, compared by content, changed with `dataclasses.replace` and handed to a port.
They know neither SQL nor SIP parsing: text that comes from a message is kept as the caller canonicalised it.
Times are seconds since the epoch. Secrets are left out of `repr`, so that a logged record gives none away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from string import hexdigits
from types import MappingProxyType

HA1_LENGTHS: Mapping[str, int] = MappingProxyType({"SHA-512-256": 64, "SHA-256": 64, "MD5": 32})
"""The digest algorithms of RFC 8760, best first, each with the length of its HA1 in hex digits."""

_CALLS = ("INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE", "INFO", "REFER")
_REST = ("REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH")

DEFAULT_METHODS = frozenset(_CALLS + _REST)
"""All methods that phones use."""

DEFAULT_MAX_CALLS = 4
"""A person with two phones and a call on hold on each. A stolen password can't open a hundred calls."""

DEFAULT_MAX_SECONDS = 14_400
"""Of one call: four hours. A call that was never hung up costs no more than that."""

DEFAULT_MAX_REGISTRATIONS = 10
"""Contacts per address-of-record: it bounds how far one INVITE forks (RFC 5393 section 5)."""

SHARED_TEXTS_LIMIT = 10_000
"""Distinct texts kept for sharing. They come from peers, so the pool is emptied rather than let grow."""

_shared_texts: dict[str, str] = {}


def _shared(text: str) -> str:
    # Not sys.intern: CPython 3.12 never frees an interned text, and a peer chooses these.
    if len(_shared_texts) >= SHARED_TEXTS_LIMIT:
        _shared_texts.clear()
    return _shared_texts.setdefault(text, text)


@dataclass(frozen=True, slots=True)
class Rights:
    """What an account may do.

    `allow` and `deny` are prefixes of a destination URI in canonical text, such as ``tel:+358`` or
    ``sip:`` or ``sip:bob@example.net``. By default an account calls addresses but not telephone numbers,
    since a number can cost money. No limit here is endless: 0 means none at all.
    """

    methods: frozenset[str] = DEFAULT_METHODS
    allow: tuple[str, ...] = ("sip:", "sips:")
    deny: tuple[str, ...] = ()
    max_calls: int = DEFAULT_MAX_CALLS
    max_registrations: int = DEFAULT_MAX_REGISTRATIONS
    max_seconds: int = DEFAULT_MAX_SECONDS
    """Of one call. The node has a limit of its own, and the lower one counts."""
    prepaid: bool = False
    """Calls need credit: a balance of the account, or what a credit control server grants."""
    privacy: frozenset[str] = frozenset()
    """What is kept private of the account without its phones asking for it: values of Privacy (RFC 3323)."""
    reject_anonymous: bool = False
    """Callers who do not say who they are get 433 (RFC 5079)."""

    def __post_init__(self) -> None:
        if self.max_calls < 0 or self.max_registrations < 0 or self.max_seconds < 0:
            raise ValueError("a limit can't be negative")

    def permits(self, destination: str) -> bool:
        """Whether the destination URI may be called: the longest matching prefix decides; deny wins a tie."""
        allowed = denied = -1
        for prefix in self.allow:
            if len(prefix) > allowed and destination.startswith(prefix):
                allowed = len(prefix)
        for prefix in self.deny:
            if len(prefix) > denied and destination.startswith(prefix):
                denied = len(prefix)
        return allowed > denied

    def denies(self, destination: str) -> bool:
        """Whether the destination is one that ``deny`` names, and not merely one that ``allow`` does not.

        It is what can be asked of the remote target of a dialog, which is an address of a phone.
        """
        return any(map(destination.startswith, self.deny)) and not self.permits(destination)


@dataclass(frozen=True, slots=True)
class Account:
    """One subscriber.

    `aor` is the canonical address-of-record, ``sip:user@domain`` (RFC 3261 section 10.3 step 5; the domain in
    lower case). `user` and `realm` are what the digest was computed with. `credentials` maps an algorithm of
    `HA1_LENGTHS` to the HA1 in lower-case hex (RFC 7616 section 3.4.2); having one for MD5 is what allows
    MD5. `aliases` are the other addresses that the account may use as its own.

    Raises:
        ValueError: A field is not of the form above.
    """

    aor: str
    user: str
    realm: str
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    aliases: tuple[str, ...] = ()
    rights: Rights = Rights()
    display_name: str = ""
    disabled: bool = False
    created: float = 0.0
    updated: float = 0.0

    def __post_init__(self) -> None:
        scheme, _, address = self.aor.partition(":")
        user, at, domain = address.rpartition("@")
        if scheme != "sip" or not at or not user or not domain or domain != domain.lower():
            raise ValueError(f"not an address-of-record of the form sip:user@domain: {self.aor!r}")
        if not self.user or not self.realm:
            raise ValueError(f"{self.aor} needs a user and a realm")
        for algorithm, ha1 in self.credentials.items():
            if algorithm not in HA1_LENGTHS:
                raise ValueError(f"{self.aor} has a credential of unknown algorithm {algorithm!r}")
            if len(ha1) != HA1_LENGTHS[algorithm] or not set(ha1) <= set(hexdigits.lower()):
                raise ValueError(
                    f"{self.aor} has an HA1 for {algorithm} that is not lower-case hex of its length"
                )

    @property
    def domain(self) -> str:
        """The domain of the address-of-record."""
        return self.aor.rpartition("@")[2]

    def owns(self, address: str) -> bool:
        """Whether the address (canonical text) is this account's own: its address-of-record or an alias."""
        return address == self.aor or address in self.aliases


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of an address-of-record, as RFC 3261 section 10.3 and RFC 5626 section 6 want it kept.

    `contact` is the Contact URI and `params` its header parameters, as text. `flow` is the key of the flow
    that the REGISTER came over, known to the process named `worker`; `received` names transport, address and
    port, to reach a phone behind a NAT when that process has been restarted. `instance` is the value of
    ``+sip.instance`` without quotes. `public_gruu` is the value of the ``gr`` parameter; `temporary_gruu` is
    the random index from which all valid temporary GRUUs of the instance are made (RFC 5627 appendix A.2).
    """

    aor: str
    contact: str
    expires_at: float
    call_id: str
    cseq: int
    updated: float
    q: float = 1.0
    params: str = ""
    path: tuple[str, ...] = ()
    instance: str = ""
    reg_id: int = 0
    flow: str = ""
    received: str = ""
    worker: str = ""
    user_agent: str = ""
    public_gruu: str = ""
    temporary_gruu: str = ""
    privacy: tuple[str, ...] = ()
    """What was asked to be kept private of whoever answers there (RFC 3323 section 4.4), in order."""

    def __post_init__(self) -> None:
        # A hundred thousand phones are of a few models behind a few edges: their equal texts share memory.
        share = object.__setattr__
        share(self, "user_agent", _shared(self.user_agent))
        share(self, "params", _shared(self.params))
        share(self, "worker", _shared(self.worker))
        if self.path:
            share(self, "path", tuple(map(_shared, self.path)))


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a callee thinks of a caller: that it does not want to be called again, or that it does.

    `caller` is a key that the roles make of what is known about a caller: ``tn:12155551212``,
    ``uri:sip:bob@example.com``, or for one that proved nothing, where it came from. `callee` is an
    address-of-record of ours. `reason` is for people.
    """

    caller: str
    callee: str
    wanted: bool
    expires_at: float
    given: float = 0.0
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.caller or not self.callee:
            raise ValueError("an opinion is one of somebody about somebody")


@dataclass(frozen=True, slots=True)
class Ban:
    """A network that nothing is taken from, or that nothing was: an ended ban counts when the next one is given.

    `network` is an IPv4 address, an IPv6 network of 64 bits, or a wider network, as text. `until` is when it ends, 0
    when it has no end. `by` is ``guard``, or who gave it. `times` counts the bans in a row, this one included.
    """

    network: str
    reason: str
    since: float
    until: float
    by: str
    times: int = 1

    def holds(self, now: float) -> bool:
        """Whether it has not ended."""
        return not self.until or now < self.until


class Permission(StrEnum):
    """What an administrator may do."""

    READ = "read"
    """Look at accounts, registrations, bans, settings and calls, without what names private callers."""
    ACCOUNTS = "accounts"
    """Add, change and remove accounts, registrations and bans."""
    CREDIT = "credit"
    """Change balances and whether an account is prepaid, export calls."""
    REVEAL = "reveal"
    """See who called without wanting to be named."""
    ADMINISTRATORS = "administrators"
    """Add, change and remove administrators."""


class AdministratorRole(StrEnum):
    """What an administrator is."""

    OWNER = "owner"
    OPERATOR = "operator"
    BILLING = "billing"
    AUDITOR = "auditor"

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the role may do."""
        return _PERMISSIONS[self]


_PERMISSIONS: Mapping[AdministratorRole, frozenset[Permission]] = {
    AdministratorRole.OWNER: frozenset(Permission),
    AdministratorRole.OPERATOR: frozenset({Permission.READ, Permission.ACCOUNTS}),
    AdministratorRole.BILLING: frozenset({Permission.READ, Permission.CREDIT}),
    AdministratorRole.AUDITOR: frozenset({Permission.READ}),
}


@dataclass(frozen=True, slots=True)
class Administrator:
    """Somebody who signs in to run the domain. `password_hash` is made by `passwords.hash_password`."""

    name: str
    password_hash: str = field(repr=False)
    role: AdministratorRole = AdministratorRole.AUDITOR
    created: float = 0.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("an administrator needs a name")


@dataclass(frozen=True, slots=True)
class Token:
    """What a program shows instead of a password, for as long as it holds. It may do what its administrator may.

    `digest` is the SHA-256 of the token in hex: it has 256 random bits, so that nothing slower is needed.
    """

    name: str
    administrator: str
    digest: str = field(repr=False)
    created: float
    expires: float

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a token needs a name")
