"""What is measured: each row is a kind of call, the node that it goes through, and how it is loaded.

Rows a to g stand beside Kamailio's. Rows w.. have one worker and two, h.. are at half load, k.. are what a plan
needs besides calls. Rows p.. are prices: one thing turned on at a time, on a node that has nothing else but
what the row before it in ``over`` has, with one caller on one TLS connection, as a phone has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FLOW = ("--challenge", "first")
PLAIN = ("--no-guard", "--hide", "nobody")
"""A node that only finds the callee and forwards."""
GUARD = ("--guard-all",)
LEDGER, HIDE, MEDIA = ("--ledger",), ("--hide", "everybody", "--hide-contact"), ("--media",)
PRIVATE = ("--header", "Privacy: header;session;user")


@dataclass(frozen=True)
class Row:
    """One scenario. ``node`` and ``load`` are options of the programs of these names."""

    id: str
    what: str
    transport: str
    mode: str
    kind: str = "call"
    per_call: bool = False
    top_rate: float = 1e6
    """Calls a second above which the cheapest server has more than a core's work."""
    node: tuple[str, ...] = ()
    load: tuple[str, ...] = ()
    over: str = ""
    """The row that this one's price is told over; empty: it is compared with Kamailio's."""
    outside: bool = False
    """The callee is at another domain."""
    identity: str = ""
    """sign: the node signs the caller. verify: the caller comes signed from another domain."""
    one_caller: bool = False
    """One phone makes all calls."""
    links: int = 0
    """So many phones make the calls, each by a port or connection of its own; 0: all by one."""
    workers: int = 1
    half: bool = False
    """The rate is the one that takes half of the node's core, found out by measuring."""

    @property
    def small(self) -> bool:
        """Whether it is no call and no registration of a node."""
        return self.kind in ("ping", "packet", "database")

    @property
    def by_load(self) -> bool:
        """Whether ``load.py`` makes the load, whatever else there is: SIPp tells times by its own ticks."""
        return self.half or self.links > 0

    @property
    def digest(self) -> bool:
        """Whether each call is challenged."""
        return self.mode.startswith("auth")

    @property
    def price(self) -> bool:
        """Whether it is one of the price rows."""
        return self.id.startswith("p")


def _price(
    number: str,
    what: str,
    node: tuple[str, ...],
    load: tuple[str, ...] = (),
    over: str = "p0",
    **more: object,
) -> Row:
    return Row(
        f"p{number}",
        what,
        "tls",
        "noauth",
        node=node,
        load=load,
        over=over,
        one_caller=True,
        **more,  # type: ignore[arg-type]
    )


ROWS = (
    Row("a", "call through a proxy without state, UDP", "udp", "stateless"),
    Row("b", "call, UDP", "udp", "noauth"),
    Row("c", "call with digest, UDP", "udp", "auth"),
    Row("c2", "call with digest, accounts in SQLite, UDP", "udp", "authdb"),
    Row("d0", "call, one TCP connection", "tcp", "noauth"),
    Row("d", "call with digest, one TCP connection", "tcp", "auth"),
    Row("e0", "call, one TLS connection", "tls", "noauth"),
    Row("e", "call with digest, one TLS connection", "tls", "auth"),
    Row("f0", "call, a TLS connection each", "tls", "noauth", per_call=True, top_rate=120),
    Row("f", "call with digest, a TLS connection each", "tls", "auth", per_call=True, top_rate=120),
    Row("g0", "registration, UDP", "udp", "noauth", kind="register"),
    Row("g", "registration with digest, UDP", "udp", "auth", kind="register"),
)

PRICES = (
    _price("0", "a plain call over TLS", PLAIN),
    _price("1", "the caller authenticated once for its connection", PLAIN + FLOW),
    _price("2", "the caller authenticated at each call (digest)", (*PLAIN, "--challenge", "every-request")),
    _price("3", "guard on", (*FLOW, *GUARD, "--hide", "nobody"), over="p1"),
    _price("4", "topology hidden (Via, Record-Route, Contact)", (*FLOW, "--no-guard", *HIDE), over="p1"),
    _price("5", "ledger on", PLAIN + FLOW + LEDGER, over="p1"),
    _price("6", "media relayed: the signalling of it", PLAIN + FLOW + MEDIA, over="p1"),
    _price("7", "private call (Privacy: header;session;user)", PLAIN + FLOW, PRIVATE, over="p1"),
    _price("8", "to another domain", PLAIN + FLOW, outside=True),
    _price("8s", "to another domain, signed (RFC 8224)", PLAIN + FLOW, over="p8", outside=True, identity="sign"),
    _price("9", "from another domain", PLAIN),
    _price("9v", "from another domain, verified (RFC 8224)", PLAIN, over="p9", identity="verify"),
    _price("e", "everything on, between users of ours", FLOW + GUARD + HIDE + LEDGER + MEDIA),
    _price("es", "everything on, to another domain, signed", FLOW + GUARD + HIDE + LEDGER + MEDIA, outside=True,
           identity="sign"),
)  # fmt: skip
"""``over`` names what the price of a row alone is told over; the price over the plain call is told of each."""

WORKERS = (
    Row("w1", "call, UDP, 200 phones, one worker", "udp", "noauth", links=200, top_rate=300),
    Row("w2", "the same with two workers", "udp", "noauth", links=200, top_rate=300, workers=2, over="w1"),
    Row("w3", "call, TCP, 200 phones, one worker", "tcp", "noauth", links=200, top_rate=300),
    Row("w4", "the same with two workers", "tcp", "noauth", links=200, top_rate=300, workers=2, over="w3"),
)
"""Each with two workers is told over the one before it. The worker that gets a response by UDP is often not the one
that has the call, so that it is handed over; on TCP it never is."""

_BY_ID = {row.id: row for row in ROWS + PRICES}
HALVES = tuple(
    replace(_BY_ID[name], id=f"h{name}", over="", half=True) for name in ("b", "c", "e", "p1", "pe")
)
"""The times of a call at half load."""

SMALL = (
    Row("k1", "keep-alive, UDP (STUN)", "udp", "noauth", kind="ping"),
    Row("k2", "keep-alive, TCP", "tcp", "noauth", kind="ping"),
    Row("k3", "keep-alive, TLS", "tls", "noauth", kind="ping"),
    Row("k4", "a relayed packet of media", "udp", "noauth", kind="packet"),
    Row("k5", "a call in the ledger: PostgreSQL's own CPU", "", "ledger", kind="database"),
    Row("k6", "a registration: PostgreSQL's own CPU", "", "registration", kind="database"),
)
"""What a plan needs besides calls: see ``small``."""

ALL = _BY_ID | {row.id: row for row in WORKERS + HALVES + SMALL}


def chosen(names: str) -> list[Row]:
    """The rows of a comma-separated list of names; some name many: see ``groups``.

    Raises ValueError for a name that there is not.
    """
    groups = {
        "all": tuple(ALL.values()), "rows": ROWS, "prices": PRICES, "workers": WORKERS, "half": HALVES,
        "small": SMALL,
    }  # fmt: skip
    found: dict[str, Row] = {}
    for name in names.split(","):
        if name not in groups and name not in ALL:
            raise ValueError(f"there is no row {name!r}; there are {', '.join((*ALL, *groups))}")
        found |= {row.id: row for row in groups.get(name) or (ALL[name],)}
    return list(found.values())
