"""Where a chain ends, read when it is opened: the point to go on from, and the calls that a crash left open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ringfence.ledger.chain import GENESIS, Checkpoint, Link, Seal, link_hash, seal_of
from ringfence.ledger.events import Event, Kind, event_of
from ringfence.store import sql_ledger as rows
from ringfence.store.errors import StoreError


class Found(NamedTuple):
    """What was found."""

    number: int
    hash: bytes
    first: int
    """The first event that no checkpoint covers."""
    uncovered: Sequence[str]
    """The bodies of those events."""
    open_calls: dict[str, float]
    """The calls that have no end, with the time of their newest event."""
    alive: float
    """The time of the newest event: then the node still ran."""
    key: str
    """The key that signs, by name; empty for a new chain."""
    unwitnessed: Sequence[Checkpoint]
    """Checkpoints that a crash kept from the witness."""


def recover(connection: Connection, writer: str, witnessed: Sequence[Checkpoint]) -> Found:
    """Read the end of a chain, and see that it is one.

    Raises:
        StoreError: It is not what was written last. Nothing may be added then, or the trace would be lost.
    """
    row = rows.last_checkpoint(connection, writer)
    last = Checkpoint(*row) if row is not None else None
    seal = _read(last) if last is not None else None
    known = _known(writer, last, witnessed)
    start = min(seal.low, seal.number) if seal is not None else 1
    number, hash_ = (seal.number, seal.hash) if seal is not None else (0, GENESIS)
    calls: dict[str, float] = {}
    uncovered: list[str] = []
    alive, key = 0.0, seal.key if seal is not None else ""
    for row in rows.events_from(connection, writer, start):
        link = Link(*row)
        event = event_of(link.body)
        _follow(calls, event)
        alive = max(alive, event.time)
        if event.kind is Kind.KEY:  # always the last event before a checkpoint
            key = str(event.facts["name"])
        if seal is not None and link.number <= seal.number:
            if link.number == seal.number and link.hash != seal.hash:
                raise _wrong(writer, link.number)
            continue
        number += 1
        hash_ = link_hash(hash_, writer, number, link.body)
        if link.number != number or link.hash != hash_:
            raise _wrong(writer, number)
        uncovered.append(link.body)
    if seal is not None and not alive:
        raise _wrong(writer, seal.number)
    stored = (Checkpoint(*each) for each in rows.checkpoints_of(connection, writer))
    missing = [each for each in stored if each.number not in known]
    return Found(number, hash_, number + 1 - len(uncovered), uncovered, calls, alive, key, missing)


def prunable(
    connection: Connection, writer: str, before: float, needed: int | None = None, most: int | None = None
) -> int:
    """The number of the newest checkpoint that is older than ``before``, behind no call that goes on and in front of
    what is ``needed``; or 0. With ``most`` it is the first that covers so many."""
    last = rows.last_checkpoint(connection, writer)
    first = next(iter(rows.events_from(connection, writer, 1, 1)), None)
    if last is None or first is None:
        return 0
    low = seal_of(Checkpoint(*last)).low
    low = min(low, needed) if needed is not None else low
    found = 0
    for row in rows.checkpoints_of(connection, writer):
        seal = seal_of(Checkpoint(*row))
        if seal.number >= low or seal.time >= before:
            break
        found = seal.number
        if most is not None and found - first[1] >= most:
            break
    return found if found >= first[1] else 0


def begins_before(connection: Connection, writer: str, moment: float) -> bool:
    """Whether the oldest event of a writer is older than that."""
    first = next(iter(rows.events_from(connection, writer, 1, 1)), None)
    return first is not None and event_of(first[2]).time < moment


def _follow(calls: dict[str, float], event: Event) -> None:
    if event.kind is Kind.START:
        calls[event.call] = event.time
    elif event.kind is Kind.STOP:
        calls.pop(event.call, None)
    elif event.call in calls:
        calls[event.call] = event.time


def _read(checkpoint: Checkpoint) -> Seal:
    try:
        return seal_of(checkpoint)
    except StoreError:
        raise _wrong(checkpoint.writer, checkpoint.number) from None


def _known(writer: str, last: Checkpoint | None, witnessed: Sequence[Checkpoint]) -> set[int]:
    """The checkpoints that the witness has; it can't know of more than there are."""
    newest = last.number if last is not None else 0
    known = {each.number for each in witnessed}
    if known and (most := max(known)) > newest:
        raise _wrong(writer, most)
    return known


def _wrong(writer: str, number: int) -> StoreError:
    return StoreError(
        f"the ledger of {writer} is not what was written, at event {number} or before; nothing was added. "
        "See: ringfence ledger verify. To go on, move its database and witness away and keep them"
    )
