"""Whatever is done to the stored ledger is found, and the event is named."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.ledger.chain import (
    GENESIS,
    Checkpoint,
    Link,
    Seal,
    extend,
    key_name,
    leaf,
    public_octets,
    sign,
)
from ringfence.ledger.events import Event, Kind, body_of
from ringfence.ledger.verification import Fault, Report, verify

from .samples import KEY, NOW, OTHER_KEY, WRITER, bodies, ledger, seal

FORGED = '{"call":"c9","kind":"stop","reason":"forged","time":"1800000001.000000"}'


def check(
    links: list[Link],
    stored: list[Checkpoint],
    witnessed: Sequence[Checkpoint] = (),
    key: Ed25519PrivateKey = KEY,
) -> Report:
    return verify(WRITER, links, stored, witnessed, [key.public_key()])


def found(report: Report) -> tuple[int, Fault]:
    assert report.finding is not None
    assert report.finding.what == "event"
    return report.finding.number, report.finding.fault


def relinked(bodies: list[str]) -> list[Link]:
    """What somebody makes who can write the database, and has no key: all hashes are right."""
    return extend(WRITER, 0, GENESIS, bodies)


@dataclass(frozen=True)
class Edit:
    """One thing done to the bodies of a ledger, at a place that counts from 0."""

    kind: Fault
    place: int

    def of(self, bodies: list[str]) -> list[str]:
        done = list(bodies)
        match self.kind:
            case Fault.CHANGED:
                done[self.place] = FORGED
            case Fault.REMOVED:
                del done[self.place]
            case Fault.INSERTED:
                done.insert(self.place, FORGED)
            case Fault.REORDERED:
                done[self.place], done[self.place + 1] = done[self.place + 1], done[self.place]
        return done


KINDS = st.sampled_from([Fault.CHANGED, Fault.REMOVED, Fault.INSERTED, Fault.REORDERED])
EDITS = st.builds(Edit, KINDS, st.integers(0, 10))


def test_what_was_written_is_right() -> None:
    links, checkpoints = ledger()
    report = check(links, checkpoints)
    assert report.finding is None
    assert (report.events, report.checkpoints, report.sealed, report.unsealed) == (12, 3, 12, 0)


def test_events_behind_the_last_checkpoint_are_counted() -> None:
    links, checkpoints = ledger()
    report = check(links, checkpoints[:-1])
    assert report.finding is None
    assert (report.sealed, report.unsealed) == (10, 2)


@given(EDITS)
@settings(max_examples=100)
def test_an_edit_is_named_although_all_hashes_were_computed_anew(edit: Edit) -> None:
    links, checkpoints = ledger()
    edited = relinked(edit.of([link.body for link in links]))
    assert found(check(edited, checkpoints)) == (edit.place + 1, edit.kind)


@given(EDITS)
@settings(max_examples=100)
def test_an_edit_of_rows_is_named_without_any_checkpoint(edit: Edit) -> None:
    links, _ = ledger()
    rows = [(link.body, link.hash) for link in links]
    place = edit.place
    match edit.kind:
        case Fault.CHANGED:
            rows[place] = (FORGED, rows[place][1])
        case Fault.REMOVED:
            del rows[place]
        case Fault.INSERTED:
            rows.insert(place, (FORGED, b"h" * 32))
        case Fault.REORDERED:
            rows[place], rows[place + 1] = rows[place + 1], rows[place]
    renumbered = edit.kind in {Fault.INSERTED, Fault.REORDERED}
    kept = [n for n in range(1, 13) if renumbered or edit.kind is Fault.CHANGED or n != place + 1]
    numbers = range(1, len(rows) + 1) if renumbered else kept
    edited = [Link(WRITER, number, body, hash_) for number, (body, hash_) in zip(numbers, rows, strict=True)]
    report = check(edited, [])
    if edit.kind is Fault.REMOVED and place == 11:
        assert report.finding is None  # the end, cut off before it was ever signed
    else:
        assert found(report) == (place + 1, edit.kind)


@given(st.integers(0, 11), st.integers(0, 31), st.integers(1, 255))
@settings(max_examples=60)
def test_a_changed_hash_is_found(place: int, octet: int, flip: int) -> None:
    links, checkpoints = ledger()
    hash_ = bytearray(links[place].hash)
    hash_[octet] ^= flip
    links[place] = links[place]._replace(hash=bytes(hash_))
    assert found(check(links, checkpoints)) == (place + 1, Fault.CHANGED)


@given(st.integers(0, 11), st.data())
@settings(max_examples=60)
def test_any_single_character_of_any_body_counts(place: int, data: st.DataObject) -> None:
    links, checkpoints = ledger()
    body = links[place].body
    at = data.draw(st.integers(0, len(body) - 1))
    links[place] = links[place]._replace(body=body[:at] + chr(ord(body[at]) ^ 1) + body[at + 1 :])
    assert found(check(links, checkpoints)) == (place + 1, Fault.CHANGED)


@given(st.integers(0, 2), st.data())
@settings(max_examples=60)
def test_any_octet_of_any_checkpoint_counts(place: int, data: st.DataObject) -> None:
    links, checkpoints = ledger()
    body = checkpoints[place].body
    at = data.draw(st.integers(0, len(body) - 1))
    changed = body[:at] + chr(ord(body[at]) ^ 1) + body[at + 1 :]
    checkpoints[place] = checkpoints[place]._replace(body=changed)
    finding = check(links, checkpoints).finding
    assert finding is not None
    assert finding.what == "checkpoint"


def test_a_changed_signature_is_found() -> None:
    links, checkpoints = ledger()
    checkpoints[1] = checkpoints[1]._replace(signature=bytes(64))
    finding = check(links, checkpoints).finding
    assert str(finding) == "checkpoint 10 of node1 was changed (its signature is wrong)"


@pytest.mark.parametrize("place", [0, 1])
def test_a_checkpoint_that_was_removed_is_missed(place: int) -> None:
    links, checkpoints = ledger()
    number = checkpoints.pop(place).number
    finding = check(links, checkpoints).finding
    assert finding is not None
    assert (finding.number, finding.fault, finding.what) == (number, Fault.REMOVED, "checkpoint")


@pytest.mark.parametrize("kept", range(12))
def test_the_witness_knows_what_was_cut_off(kept: int) -> None:
    links, checkpoints = ledger()
    left = [each for each in checkpoints if each.number <= kept]
    assert check(links[:kept], left).finding is None
    assert found(check(links[:kept], left, checkpoints)) == (kept + 1, Fault.REMOVED)


def test_a_chain_that_was_written_anew_with_another_key_is_found() -> None:
    links, checkpoints = ledger()
    forged = [seal(links, OTHER_KEY)]
    finding = check(links, forged).finding
    assert finding is not None
    assert finding.fault is Fault.UNSIGNED
    finding = check(links, [seal(links)], checkpoints).finding
    assert finding is not None
    assert str(finding) == "checkpoint 12 of node1 was changed (the witness has another one)"


def test_a_new_key_is_believed_from_its_announcement_on() -> None:
    public = b64encode(public_octets(OTHER_KEY.public_key())).decode()
    name = key_name(OTHER_KEY.public_key())
    announcement = body_of(Event(Kind.KEY, NOW, "", {"public": public, "name": name}))
    links = relinked([*bodies(1), announcement, *bodies(1)])
    assert check(links, [seal(links[:4]), seal(links[4:], OTHER_KEY)]).finding is None
    finding = check(links, [seal(links[:3]), seal(links[3:], OTHER_KEY)]).finding
    assert finding is not None
    assert finding.fault is Fault.UNSIGNED, "a key does not announce itself"
    old_key = check(links, [seal(links[:4]), seal(links[4:], OTHER_KEY)], key=OTHER_KEY).finding
    assert old_key is not None


def test_what_the_owner_pruned_is_not_missed() -> None:
    links, checkpoints = ledger()
    pruned = body_of(Event(Kind.PRUNED, NOW, "", {"upto": 5}))
    (last,) = extend(WRITER, 12, links[-1].hash, [pruned])
    kept, seals = [*links[5:], last], [*checkpoints, seal([last])]
    report = check(kept, seals)
    assert report.finding is None
    assert (report.pruned, report.sealed) == (5, 13)
    assert check(kept, seals[1:]).finding is not None, "the checkpoint that it starts from is gone"
    assert check(kept[1:], seals).finding is not None, "more is gone than the owner removed"


def test_who_removes_events_cannot_say_that_the_owner_did() -> None:
    links, checkpoints = ledger()
    (last,) = extend(WRITER, 12, links[-1].hash, [body_of(Event(Kind.PRUNED, NOW, "", {"upto": 5}))])
    assert found(check([*links[5:], last], checkpoints)) == (5, Fault.REMOVED)
    assert found(check(links[5:], checkpoints)) == (1, Fault.REMOVED)


def test_a_hash_covers_writer_number_body_and_the_hash_before() -> None:
    """As others compute it who verify a ledger without us; and so it stays, or no old ledger could be verified."""
    first, second = extend(WRITER, 6, bytes(32), ["{}", '{"a":1}'])
    assert first.hash == sha256(bytes(32) + b"5\0node1\0007\0{}").digest()
    assert second.hash == sha256(first.hash + b'5\0node1\0008\0{"a":1}').digest()


def test_the_signed_hash_convicts_where_the_short_digests_agree() -> None:
    """They have 64 bits: somebody with time may find another body with the same one."""
    links, _ = ledger()
    name = key_name(KEY.public_key())
    leaves = b"".join(leaf(link.body) for link in links)
    other = sign(Seal(WRITER, 1, 12, b"x" * 32, 1, NOW, name, leaves), KEY)
    assert str(check(links, [other]).finding) == (
        "event 12 of node1 was changed (its hash is not the one that was signed)"
    )


@pytest.mark.parametrize(
    "body", ['{"kind":"key"}', '{"kind":"key","time":"1.0"}', '{"kind":"key"', '"kind":"key"']
)
def test_what_announces_no_key_is_named(body: str) -> None:
    links = relinked([*bodies(1), body])
    assert found(check(links, [seal(links[:3])])) == (4, Fault.CHANGED)


@pytest.mark.parametrize("body", ['{"kind":"pruned"', '{"kind":"pruned","time":"1.0"}', '"kind":"pruned"'])
def test_what_says_nothing_of_pruning_is_no_excuse(body: str) -> None:
    links = relinked([*bodies(3), body])
    assert found(check(links[4:], [seal(links[:5]), seal(links[5:])])) == (1, Fault.REMOVED)


def test_an_event_that_was_moved_far_is_found_to_be_moved() -> None:
    links, checkpoints = ledger(calls=40)
    moved = [link.body for link in links]
    moved.insert(100, moved.pop(3))
    assert found(check(relinked(moved), checkpoints)) == (4, Fault.REORDERED)
