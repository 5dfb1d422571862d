"""What the guard goes by: how much of what, from whom."""

from __future__ import annotations

from dataclasses import dataclass

from ringfence.guard.rates import Rate
from ringfence.guard.scanners import SCANNERS


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """The rates are messages a second, of one source unless it says otherwise."""

    datagrams: Rate = Rate(1_000.0, 10_000.0)  # noqa: RUF009  (immutable)
    """Of a source that has shown nothing: enough for whoever tests us, a fourteenth of what a core
    can answer."""

    connections: Rate = Rate(2_000.0, 20_000.0)  # noqa: RUF009  (immutable)
    """Of all connections of an address on which nobody has authenticated."""

    proven: Rate = Rate(2_000.0, 20_000.0)  # noqa: RUF009  (immutable)
    """Of a source that has shown to be there; what is authenticated is given back besides."""

    strangers: Rate = Rate(3_000.0, 3_000.0)  # noqa: RUF009  (immutable)
    """Of all datagram sources together that have shown nothing: forged addresses are free, so each having a small
    allowance would be no limit."""

    spared: Rate = Rate(5_000.0, 50_000.0)  # noqa: RUF009  (immutable)
    """Of a source that is spared: a load test of 800 calls a second, and still a third of what a core can answer."""

    account: Rate = Rate(100.0, 1_000.0)  # noqa: RUF009  (immutable)
    """Requests of one account, outside of calls that are set up."""

    destination: Rate = Rate(50.0, 500.0)  # noqa: RUF009  (immutable)
    """Requests of strangers to one of our addresses."""

    prefixes: tuple[tuple[str, Rate], ...] = ()
    """Calls to what begins with these, of one account: numbers that cost."""

    scanners: tuple[str, ...] = SCANNERS
    tarpit: float = 0.0
    """Seconds that a banned connection is held instead of closed."""

    banning: bool = True
    """False: nobody is banned by the guard itself."""
