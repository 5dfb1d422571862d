"""The sections [guard], [[prefix]], [overload] and [malware] of ringfence.toml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from ringfence.guard.scanners import SCANNERS
from ringfence.service.addresses import parse_address
from ringfence.service.sections import Section
from ringfence.service.values import Count, Many, Network, Seconds

Rate = Annotated[float, Field(gt=0, le=1_000_000)]


def _scanner_address(text: str) -> str:
    if text.startswith("/") or not text:
        return text
    try:
        parse_address(text)
    except ValueError:
        raise PydanticCustomError(
            "clamd", 'expected the path of a socket such as "/run/clamav/clamd.ctl", or "address:port"'
        ) from None
    return text


class Guard(Section):
    """Who may send how much, and who is shut out: docs/guard.md. Rates are in messages a second; ten seconds' worth may
    come at once. The reasons for the defaults stand in `guard.gate`."""

    enabled: bool = True
    """False: nothing is counted and nobody is shut out. Bans of the owner hold all the same."""
    allow: Annotated[Many[Network], Field(examples=[("192.0.2.0/24",)])] = ()
    """Networks that nothing is counted of and that are never banned, such as monitoring. Peers known by their addresses
    are such anyway."""
    spare: Annotated[Many[Network], Field(examples=[("127.0.0.1/32", "::1/128")])] = (
        "127.0.0.1/32",
        "::1/128",
    )
    """Networks that are never banned by the guard itself and have a rate of their own: this machine, where tests come
    from, and everybody behind a proxy on it. What they do is logged all the same."""
    spared_per_second: Rate = 5_000.0
    """From a source of `spare`. The rates of accounts and destinations are not for it."""
    datagrams_per_second: Rate = 1_000.0
    """From a source over UDP that has not shown to be there, by an answer to a challenge or to a request of ours."""
    connections_per_second: Rate = 2_000.0
    """Over all connections of a source on which nobody has authenticated. More is read more slowly; nothing is lost."""
    proven_per_second: Rate = 2_000.0
    """From a source that has shown to be there. What is authenticated gives back what it cost."""
    strangers_per_second: Rate = 3_000.0
    """Over UDP from all sources together that have shown nothing. Forged addresses cost nothing, so there has to be a
    limit for all of them."""
    account_per_second: Rate = 100.0
    """Requests of an account, outside of calls that are set up: 403 beyond."""
    destination_per_second: Rate = 50.0
    """Requests of strangers to one address of ours: 480 beyond."""
    ban: bool = True
    """Whether attackers are shut out for some time."""
    ban_seconds: Seconds = 300.0
    """The first time; six times as long the next."""
    ban_longest_seconds: Seconds = 86_400.0
    """The longest."""
    scanners: Many[str] = SCANNERS
    """What User-Agent begins with, or From is called, of programs that look for victims. They get no answer."""
    tarpit_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """How long a connection of somebody who is banned is kept waiting, instead of being closed. It costs us a
    connection, too."""
    sieve: bool = True
    """Whether, while datagrams come in floods, the kernel lets in those who are known and a sample of all others,
    before its queue is full and honest ones are lost with the rest. Linux; it needs no privilege."""
    nftables: bool = False
    """Whether the kernel drops what comes from banned addresses to our ports. It needs the program nft and the right to
    change tables (CAP_NET_ADMIN)."""
    nftables_table: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,30}$")] = "ringfence"
    """The name of the table, which is ours alone: it is removed and made anew."""


class Prefix(Section):
    """Calls that cost: how many an account may make to what begins with this."""

    prefix: Annotated[str, Field(min_length=1, examples=["tel:+"])]
    """The beginning of an address as `ringfence user limit` has it: "tel:+881", "sip:+900"."""
    calls_per_minute: Annotated[float, Field(gt=0, le=100_000)]
    """Of one account; as many may come at once. More are answered 403."""


class Overload(Section):
    """What happens when there is too much to do (RFC 7339, RFC 7415)."""

    enabled: bool = True
    """False: everything is taken until tables are full."""
    offer: Many[Literal["loss", "rate"]] = ("loss",)
    """By which algorithms next hops are told that we reduce when they ask for it; empty: they are not told. Kamailio
    5.6 can't read a Via that names two. What is asked for is done in any case."""
    algorithms: Annotated[Many[Literal["loss", "rate"]], Field(min_length=1, max_length=2)] = ("loss", "rate")
    """How neighbours are asked to reduce, the preferred first."""
    emergency_numbers: Many[str] = ("112", "911", "999", "110", "118")
    """User parts of addresses that are calls for help. They are never refused to save work, nor is urn:service:sos."""
    priority_namespaces: Many[str] = ()
    """Namespaces of Resource-Priority (RFC 4412) that go first, such as "ets" and "wps", when users of ours or peers
    send them."""


class Malware(Section):
    """Bodies of requests are scanned by clamd before they go on: docs/guard.md."""

    clamd: Annotated[str, AfterValidator(_scanner_address), Field(examples=["/run/clamav/clamd.ctl"])] = ""
    """Where clamd listens: the path of its socket, or address:port. Empty: nothing is scanned."""
    connect_seconds: Seconds = 1.0
    """For a connection to it."""
    scan_seconds: Seconds = 5.0
    """For a whole body, waiting for a free place included."""
    max_bytes: Annotated[int, Field(ge=1024, le=100_000_000)] = 1_000_000
    """Of a body with all its parts; more can't be scanned. Not more than StreamMaxLength of clamd."""
    at_a_time: Count = 8
    """Scans at once. Not more than MaxThreads of clamd."""
    fail_open: bool = False
    """Whether a body passes that could not be scanned, since clamd is away, too slow, or the body too large. Otherwise
    it is answered 503."""
    encrypted: Literal["pass", "refuse"] = "pass"
    """What becomes of bodies that nobody on the way can read (S/MIME). The log says of each that it was not scanned."""

    @property
    def address(self) -> str | tuple[str, int]:
        """The same, as the client takes it."""
        if self.clamd.startswith("/"):
            return self.clamd
        host, port = parse_address(self.clamd)
        return host, port
