"""What goes in and out. The description of the interface (OpenAPI) is made from these classes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Address = Annotated[str, Field(min_length=1, max_length=300, description="user, user@domain or a SIP URI")]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Prefixes = Annotated[list[Text], Field(max_length=100)]
Password = Annotated[str, Field(min_length=12, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Limit = Annotated[int, Field(ge=1, le=1000)]

Seconds = Annotated[float, Field(description="seconds since the epoch; 0: it has not happened")]


class Out(BaseModel):
    """An answer."""

    model_config = ConfigDict(from_attributes=True)


class In(BaseModel):
    """A request: what is not known is refused, so that a misspelt field is not passed over."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Page(BaseModel):
    """Which part of a list is wanted. ``after`` is what the part before gave as ``next``."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[str, Field(max_length=500)] = ""
    limit: Limit = 100


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str


class Status(Out):
    """What the node does."""

    serving: bool
    version: str = ""
    domain: str
    uptime_seconds: float = 0
    registrations: int = 0
    transactions: int = 0
    bans: int = 0
    accounts: int = 0


class Rights(Out):
    """What an account may do."""

    allow: list[str]
    deny: list[str]
    max_calls: int
    max_registrations: int
    max_seconds: int


class Account(Out):
    """An account, without what its passwords are checked by."""

    aor: str
    user: str
    realm: str
    display_name: str
    aliases: list[str]
    disabled: bool
    algorithms: list[str]
    rights: Rights
    created: Seconds
    updated: Seconds


class AccountWithPassword(Account):
    """An account that was given a password. It is shown this once, and empty where it was brought."""

    password: str


class Accounts(Out):
    """A part of the accounts; ``next`` is empty at the end."""

    items: list[Account]
    next: str


class NewAccount(In):
    """An account to be made. Without a password it is given one."""

    address: Address
    display_name: Text = ""
    password: Password | None = None
    max_calls: Count | None = None


class ChangedAccount(In):
    """What is to be changed; what is left out stays."""

    display_name: Text | None = None
    disabled: bool | None = None
    password: Password | None = None
    allow: Prefixes | None = None
    deny: Prefixes | None = None
    max_calls: Count | None = None
    max_registrations: Count | None = None
    max_seconds: Count | None = None


class Price(Out):
    """What calls to the destinations that begin so cost. Amounts are decimal numbers as text."""

    prefix: str
    per_minute: str
    setup: str
    step_seconds: int
    minimum_seconds: int


class Prices(Out):
    """All of them, in one currency (ISO 4217)."""

    currency: str
    items: list[Price]


class Balance(Out):
    """The money of an account; only what is prepaid needs it."""

    aor: str
    prepaid: bool
    balance: str
    currency: str


class ChangedBalance(In):
    """What is added, as a decimal number; with a minus it is taken. The same request again adds it again."""

    change: Annotated[str, Field(max_length=30, pattern=r"^-?[0-9]+(\.[0-9]{1,6})?$")] = "0"
    prepaid: bool | None = None


class Registration(Out):
    """One phone."""

    aor: str
    contact: str
    user_agent: str
    received: str
    expires_at: Seconds


class Registrations(Out):
    """A part of the phones; ``next`` is empty at the end."""

    items: list[Registration]
    next: str


class Ban(Out):
    """A network that nothing is taken from. ``until`` is 0 where that has no end."""

    network: str
    reason: str
    since: Seconds
    until: Seconds
    by: str
    times: int


class Bans(Out):
    """All of them."""

    items: list[Ban]


class NewBan(In):
    """A network to be banned; 0 seconds: until it is removed."""

    network: Annotated[str, Field(min_length=1, max_length=50)]
    reason: Text = ""
    seconds: Annotated[int, Field(ge=0, le=315_360_000)] = 0


class Call(Out):
    """A call of the ledger. Of those who asked not to be named, nothing names them."""

    call: str
    account: str
    caller: str
    callee: str
    started: Seconds
    answered: Seconds
    ended: Seconds
    seconds: float
    cost: str
    status: int
    reason: str
    evidence: str
    transport: str
    peer: str
    private: bool


class Calls(Out):
    """A part of the calls; ``next`` is empty at the end."""

    items: list[Call]
    next: str


class CallPage(Page):
    """Which calls: those that are over in the order of their end, or those that go on."""

    state: Literal["ended", "open"] = "ended"


class Certificate(Out):
    """A certificate that the node uses."""

    use: str
    file: str
    names: list[str]
    issuer: str
    until: Seconds
    problem: str


class Certificates(Out):
    """All of them."""

    items: list[Certificate]


class Chain(Out):
    """What verifying one chain of the ledger has shown; no finding: it is as it was written."""

    writer: str
    events: int
    sealed: int
    unsealed: int
    finding: str


class Verification(Out):
    """The whole ledger."""

    good: bool
    verified: Seconds
    chains: list[Chain]
