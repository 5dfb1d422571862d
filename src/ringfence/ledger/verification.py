"""Is the ledger what was written? Offline, with the public key and nothing else.

`verify` reads the chain of one writer and its checkpoints, those of the witness too, and gives a `Report`: what was
proved, and the first thing that is wrong. Trust starts at the keys that are given. Another one is believed from the
checkpoint on that covers the event which announced it, since that checkpoint was signed by a key believed before.

Where a checkpoint covers a stretch of events, its digests say which event it was. Behind the last checkpoint there is
only the chain: a change there shows unless all hashes behind it were computed anew.
"""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

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


def verify(
    writer: str,
    links: Iterable[Link],
    stored: Iterable[Checkpoint],
    witnessed: Iterable[Checkpoint],
    keys: Iterable[Ed25519PublicKey],
) -> Report:
    """Check one chain. ``links`` in order of number, checkpoints of this writer only."""
    report = Report(writer)
    try:
        _Check(report, list(links), {key_name(key): key for key in keys}).run(list(stored), list(witnessed))
    except _Found as found:
        report.finding = Finding(writer, found.number, found.fault, found.what, found.why)
    return report


class _Check:
    def __init__(self, report: Report, links: list[Link], keys: dict[str, Ed25519PublicKey]) -> None:
        self.report = report
        self.links = links
        self.keys = keys
        self.place = 0  # of the next link to check
        self.number = 0  # of the last event that is right
        self.hash = GENESIS
        self.announced = 0  # the event that says which old ones the owner removed
        report.events = len(links)

    def run(self, stored: list[Checkpoint], witnessed: list[Checkpoint]) -> None:
        seals = self._start(self._collect(stored, witnessed))
        for place, (checkpoint, seal) in enumerate(seals):
            self._signed(checkpoint, seal)
            self._stretch(seal, [later for _, later in seals[place + 1 : place + 3]])
            self.report.checkpoints += 1
            self.report.sealed = seal.number
            if seal.key not in self.report.keys:
                self.report.keys.append(seal.key)
        self._tail()
        if self.announced > self.report.sealed:
            raise _Found(
                self.report.pruned, Fault.REMOVED, why="who says that the owner did it has not signed it"
            )

    # -- checkpoints -----------------------------------------------------------------------------------

    def _collect(
        self, stored: list[Checkpoint], witnessed: list[Checkpoint]
    ) -> list[tuple[Checkpoint, Seal]]:
        """Those of the storage and those of the witness together; where they differ, one of them was changed."""
        by_number = {each.number: each for each in stored}
        if len(by_number) != len(stored):
            raise _Found(_twice(stored), Fault.INSERTED, "checkpoint")
        for each in witnessed:
            if by_number.setdefault(each.number, each) != each:
                raise _Found(each.number, Fault.CHANGED, "checkpoint", "the witness has another one")
        seals = []
        for number in sorted(by_number):
            try:
                seals.append((by_number[number], seal_of(by_number[number])))
            except StoreError as error:
                raise _Found(number, Fault.CHANGED, "checkpoint", str(error)) from None
        return seals

    def _start(self, seals: list[tuple[Checkpoint, Seal]]) -> list[tuple[Checkpoint, Seal]]:
        """Where old events were removed by the owner, the chain starts at the checkpoint that says their hash."""
        first = self.links[0].number if self.links else 1
        announced = _pruned(self.links, first - 1) if first > 1 else None
        if announced is None:
            return seals  # complete; or removed by somebody else, and `_stretch` says so
        for place, (checkpoint, seal) in enumerate(seals):
            if seal.number == first - 1:
                self._signed(checkpoint, seal, follow=False)
                self.number, self.hash, self.report.pruned = seal.number, seal.hash, seal.number
                self.announced = announced.number
                return seals[place + 1 :]
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

    def _stretch(self, seal: Seal, later: Sequence[Seal]) -> None:
        """The events that one checkpoint covers, against its digests."""
        expected = _leaves(seal)
        for offset, want in enumerate(expected):
            number = seal.first + offset
            link = self.links[self.place] if self.place < len(self.links) else None
            if link is None or link.number != number or leaf(link.body) != want:
                raise self._difference(
                    number, [*expected[offset:], *(n for each in later for n in _leaves(each))]
                )
            self._accept(link)
        if self.hash != seal.hash:
            raise _Found(seal.number, Fault.CHANGED, why="its hash is not the one that was signed")

    def _difference(self, number: int, expected: Sequence[bytes]) -> _Found:
        """Which of the four it was: the signed sequence of bodies beside the one that is there."""
        here = self.links[self.place : self.place + len(expected) + 1]
        leaves = [leaf(each.body) for each in here]
        if not here or leaves[0] == expected[0]:  # nothing, or the right one at another number
            return _Found(number, Fault.REORDERED if here else Fault.REMOVED)
        if expected[0] in leaves:
            return _Found(number, Fault.REORDERED if leaves[0] in expected else Fault.INSERTED)
        gone = here[0].number > number or leaves[0] in expected
        return _Found(number, Fault.REMOVED if gone else Fault.CHANGED)

    def _tail(self) -> None:
        """Events behind the last checkpoint: linked, and not signed yet."""
        while self.place < len(self.links):
            link = self.links[self.place]
            number = self.number + 1
            if link.number != number or link.hash != link_hash(self.hash, link.writer, number, link.body):
                raise self._break(number)
            self._accept(link)
            self.report.unsealed += 1

    def _break(self, number: int) -> _Found:
        link, rest = self.links[self.place], self.links[self.place + 1 :]
        for later in rest:
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
        self.place += 1
        if _KEY_MARK in link.body:
            self._learn(link)

    def _learn(self, link: Link) -> None:
        """A key that is announced. Where a checkpoint covers the event, its signature has been checked already;
        behind the last checkpoint there is none left that the key could have signed."""
        event = event_of(link.body)
        if event.kind is Kind.KEY:
            key = Ed25519PublicKey.from_public_bytes(b64decode(str(event.facts["public"])))
            self.keys[key_name(key)] = key


def _leaves(seal: Seal) -> list[bytes]:
    return [seal.leaves[place : place + LEAF_OCTETS] for place in range(0, len(seal.leaves), LEAF_OCTETS)]


_KEY_MARK = '"kind":"key"'
_PRUNED_MARK = '"kind":"pruned"'


def _pruned(links: Iterable[Link], upto: int) -> Link | None:
    """The event by which the owner removed what is up to that number."""
    for link in links:
        if _PRUNED_MARK in link.body:
            event = event_of(link.body)
            if event.kind is Kind.PRUNED and event.facts.get("upto") == upto:
                return link
    return None


def _twice(checkpoints: Iterable[Checkpoint]) -> int:
    return Counter(each.number for each in checkpoints).most_common(1)[0][0]
