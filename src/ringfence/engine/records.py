"""The DNS records that location needs, and the order in which SRV records are tried (RFC 2782)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

MAX_SRV = 16
"""SRV records used in all. A domain that names hundreds would have us ask hundreds of questions."""


class Kind(StrEnum):
    """The record types that are asked for."""

    NAPTR = "NAPTR"
    SRV = "SRV"
    A = "A"
    AAAA = "AAAA"


class Query(NamedTuple):
    """One question to the DNS."""

    kind: Kind
    name: str


class Naptr(NamedTuple):
    """A NAPTR record (RFC 3403 section 4.1)."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


class Srv(NamedTuple):
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


Record = Naptr | Srv | str
"""An address is its text."""


def in_order(records: Iterable[Srv], rng: Callable[[], float]) -> list[Srv]:
    """The order in which to try SRV records: by priority, and at random by weight among equals (RFC 2782)."""
    ordered: list[Srv] = []
    # Those of weight 0 come first, so that they have a very small chance to be chosen.
    left = sorted(records, key=lambda srv: (srv.priority, srv.weight))[: MAX_SRV * 4]
    while left:
        group = [srv for srv in left if srv.priority == left[0].priority]
        mark = rng() * (sum(srv.weight for srv in group) + 1)
        running = 0
        for srv in group:
            running += srv.weight
            if running >= int(mark):
                ordered.append(srv)
                left.remove(srv)
                break
    return ordered
