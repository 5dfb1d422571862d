"""Is the ledger what was written? Offline, with the public key and nothing else.

`verify` reads the chain of one writer and its checkpoints, those of the witness too, and gives a `Report`: what was
proved, and the first thing that is wrong. Trust starts at the keys that are given. Another one is believed from the
checkpoint on that covers the event which announced it, since that checkpoint was signed by a key believed before.

Where a checkpoint covers a stretch of events, its digests say which event it was. Behind the last checkpoint there is
only the chain: a change there shows unless all hashes behind it were computed anew.

A chain may be longer than memory. It is read once from its beginning, one event and one checkpoint at hand. When one
does not fit, the rest is looked through for what was expected, and for what is there instead, to say what was done.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ringfence.ledger.chain import (
    GENESIS,
    LEAF_OCTETS,
    Checkpoint,
    Link,
    Seal,
    is_signed,
    key_name,
    leaf,
    link_hash,
    seal_of,
)
from ringfence.ledger.events import Kind, event_of
from ringfence.store.errors import StoreError

TELL_EVENTS = 1000
"""So often somebody who waits is told how far it is."""

Told = Callable[[int], None]
"""Is told how many events have been read."""


class Fault(StrEnum):
    """What was done to an event or a checkpoint."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    UNSIGNED = "signed by no key that is known"


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong in a chain. ``number`` is the event's, or that of the checkpoint."""

    writer: str
    number: int
    fault: Fault
    what: str = "event"
    why: str = ""

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"{self.what} {self.number} of {self.writer} was {self.fault}{why}"


@dataclass(slots=True)
class Report:
    """What verifying one chain has shown."""

    writer: str
    events: int = 0
    """Those that were read: all, unless something was found."""
    checkpoints: int = 0
    sealed: int = 0
    """The number of the last event that a checkpoint covers."""
    unsealed: int = 0
    """Events behind the last checkpoint: linked, and not signed yet."""
    pruned: int = 0
    """The last event that the owner removed by retention."""
    keys: list[str] = field(default_factory=list)
    """The keys that signed, by name."""
    finding: Finding | None = None


class _Found(Exception):
    def __init__(self, number: int, fault: Fault, what: str = "event", why: str = "") -> None:
        super().__init__(number)
        self.number, self.fault, self.what, self.why = number, fault, what, why


class _Read(NamedTuple):
    """A checkpoint that was read, or what is wrong with it. That is no finding before all in front is right."""

    checkpoint: Checkpoint
    seal: Seal | None
    flaw: _Found | None = None


def verify(
    writer: str,
    links: Iterable[Link],
    stored: Iterable[Checkpoint],
    witnessed: Iterable[Checkpoint],
    keys: Iterable[Ed25519PublicKey],
    told: Told | None = None,
) -> Report:
    """Check one chain.

    ``links``: in order of number; gone through a second time where old ones were removed. Checkpoints of this writer
    only, in order of number too.
    """
    report = Report(writer)
    check = _Check(report, links, {key_name(key): key for key in keys}, told)
    try:
        check.run(_merged(stored, witnessed))
    except _Found as found:
        report.finding = Finding(writer, found.number, found.fault, found.what, found.why)
    return report


def _merged(stored: Iterable[Checkpoint], witnessed: Iterable[Checkpoint]) -> Iterator[_Read]:
    """Those of the storage and those of the witness together; where they differ, one of them was changed."""
    others = iter(witnessed)
    other = next(others, None)
    before = 0
    for each in stored:
        while other is not None and other.number < each.number:
            yield _read(other)
            other = _behind(others, other)
        flaw = None
        if each.number <= before:
            flaw = _Found(each.number, Fault.INSERTED, "checkpoint")
        elif other is not None and other.number == each.number:
            if other != each:
                flaw = _Found(each.number, Fault.CHANGED, "checkpoint", "the witness has another one")
            other = _behind(others, other)
        yield _read(each) if flaw is None else _Read(each, None, flaw)
        before = each.number
    while other is not None:
        yield _read(other)
        other = _behind(others, other)


def _behind(others: Iterator[Checkpoint], last: Checkpoint) -> Checkpoint | None:
    """The next of the witness; it may have the same one twice, since a crash leaves open whether it was written."""
    return next((each for each in others if each != last), None)


def _read(checkpoint: Checkpoint) -> _Read:
    try:
        return _Read(checkpoint, seal_of(checkpoint))
    except StoreError as error:
        flaw = _Found(checkpoint.number, Fault.CHANGED, "checkpoint", str(error))
        return _Read(checkpoint, None, flaw)


class _Check:
    def __init__(
        self, report: Report, links: Iterable[Link], keys: dict[str, Ed25519PublicKey], told: Told | None
    ) -> None:
        self.report = report
        self.all = links
        self.left = self._counted(links, told)
        self.link = next(self.left, None)  # the first that is not right yet
        self.seals: Iterator[_Read] = iter(())
        self.keys = keys
        self.number = 0  # of the last event that is right
        self.hash = GENESIS
        self.announced = 0  # the event that says which old ones the owner removed

    def run(self, checkpoints: Iterator[_Read]) -> None:
        self.seals = checkpoints
        self._start()
        for each in self.seals:
            checkpoint, seal = _good(each)
            self._signed(checkpoint, seal)
            self._stretch(seal)
            self.report.checkpoints += 1
            self.report.sealed = seal.number
            if seal.key not in self.report.keys:
                self.report.keys.append(seal.key)
        self._tail()
        if self.announced > self.report.sealed:
            raise _Found(
                self.report.pruned, Fault.REMOVED, why="who says that the owner did it has not signed it"
            )

    def _counted(self, links: Iterable[Link], told: Told | None) -> Iterator[Link]:
        for link in links:
            self.report.events += 1
            if told is not None and self.report.events % TELL_EVENTS == 0:
                told(self.report.events)
            yield link

    # -- checkpoints -----------------------------------------------------------------------------------

    def _start(self) -> None:
        """Where old events were removed by the owner, the chain starts at the checkpoint that says their hash."""
        first = self.link.number if self.link is not None else 1
        announced = _pruned(self.all, first - 1) if first > 1 else None
        if announced is None:
            return  # complete; or removed by somebody else, and `_stretch` says so
        for each in self.seals:
            if each.checkpoint.number == first - 1:
                checkpoint, seal = _good(each)
                self._signed(checkpoint, seal, follow=False)
                self.number, self.hash, self.report.pruned = seal.number, seal.hash, seal.number
                self.announced = announced.number
                return
            if each.checkpoint.number >= first:
                break
        raise _Found(first - 1, Fault.REMOVED, "checkpoint", "old events were removed up to it")

    def _signed(self, checkpoint: Checkpoint, seal: Seal, *, follow: bool = True) -> None:
        key = self.keys.get(seal.key)
        if key is None or not is_signed(checkpoint, key):
            fault = Fault.UNSIGNED if key is None else Fault.CHANGED
            why = f"key {seal.key}" if key is None else "its signature is wrong"
            raise _Found(seal.number, fault, "checkpoint", why)
        if follow and seal.first != self.number + 1:
            if seal.first > self.number + 1:
                raise _Found(seal.first - 1, Fault.REMOVED, "checkpoint")
            raise _Found(seal.number, Fault.INSERTED, "checkpoint", "it covers what another one covers")

    # -- events ----------------------------------------------------------------------------------------

    def _stretch(self, seal: Seal) -> None:
        """The events that one checkpoint covers, against its digests."""
        expected = _leaves(seal)
        for offset, want in enumerate(expected):
            number, link = seal.first + offset, self.link
            if link is None:
                raise _Found(number, Fault.REMOVED)
            if link.number != number or leaf(link.body) != want:
                raise self._difference(number, link, expected[offset:])
            self._accept(link)
        if self.hash != seal.hash:
            raise _Found(seal.number, Fault.CHANGED, why="its hash is not the one that was signed")

    def _difference(self, number: int, link: Link, expected: Sequence[bytes]) -> _Found:
        """Which of the four it was: what was signed beside what is there."""
        there = leaf(link.body)
        if there == expected[0]:  # the right one at another number
            return _Found(number, Fault.REORDERED)
        comes = any(leaf(each.body) == expected[0] for each in self.left)
        further = (read.seal for read in self.seals if read.seal is not None)
        signed = there in expected or any(there in _leaves(seal) for seal in further)
        if comes:
            return _Found(number, Fault.REORDERED if signed else Fault.INSERTED)
        return _Found(number, Fault.REMOVED if signed or link.number > number else Fault.CHANGED)

    def _tail(self) -> None:
        """Events behind the last checkpoint: linked, and not signed yet."""
        while self.link is not None:
            link, number = self.link, self.number + 1
            if link.number != number or link.hash != link_hash(self.hash, link.writer, number, link.body):
                raise self._break(number, link)
            self._accept(link)
            self.report.unsealed += 1

    def _break(self, number: int, link: Link) -> _Found:
        for later in self.left:
            if later.hash == link_hash(self.hash, later.writer, number, later.body):
                follows = link_hash(later.hash, link.writer, number + 1, link.body) == link.hash
                return _Found(number, Fault.REORDERED if follows else Fault.INSERTED)
        return _Found(number, Fault.REMOVED if link.number > number else Fault.CHANGED)

    def _accept(self, link: Link) -> None:
        number = self.number + 1
        right = link_hash(self.hash, link.writer, number, link.body)
        if link.writer != self.report.writer or link.hash != right:
            raise _Found(number, Fault.CHANGED, why="its hash is not that of its content")
        self.number, self.hash = number, right
        if _KEY_MARK in link.body:
            self._learn(link)
        self.link = next(self.left, None)

    def _learn(self, link: Link) -> None:
        """A key that is announced. Where a checkpoint covers the event, its signature has been checked already;
        behind the last checkpoint there is none left that the key could have signed."""
        try:
            event = event_of(link.body)
            if event.kind is Kind.KEY:
                key = Ed25519PublicKey.from_public_bytes(b64decode(str(event.facts["public"])))
                self.keys[key_name(key)] = key
        except (StoreError, KeyError, ValueError):
            raise _Found(link.number, Fault.CHANGED, why="it announces no key") from None


def _good(read: _Read) -> tuple[Checkpoint, Seal]:
    if read.flaw is not None:
        raise read.flaw
    assert read.seal is not None
    return read.checkpoint, read.seal


def _leaves(seal: Seal) -> list[bytes]:
    return [seal.leaves[place : place + LEAF_OCTETS] for place in range(0, len(seal.leaves), LEAF_OCTETS)]


_KEY_MARK = '"kind":"key"'
_PRUNED_MARK = '"kind":"pruned"'


def _pruned(links: Iterable[Link], upto: int) -> Link | None:
    """The event by which the owner removed what is up to that number."""
    for link in links:
        if _PRUNED_MARK in link.body:
            with suppress(StoreError):  # nothing is verified here yet
                event = event_of(link.body)
                if event.kind is Kind.PRUNED and event.facts.get("upto") == upto:
                    return link
    return None
