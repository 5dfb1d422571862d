"""The messages of RFC 4475 and 5118 through the transaction layer: nothing is raised, and what is taken ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringfence.engine.effects import Deliver
from ringfence.message import PeerError, Request, Response, parse, response_to
from tests.conversations.playbook import UDP, Playbook

FILES = sorted((Path(__file__).parents[1] / "torture").glob("rfc*/*.dat"))


def readable(path: Path) -> Request | Response | None:
    """The message, or what could be read of it."""
    try:
        return parse(path.read_bytes())
    except PeerError:
        return None


@pytest.mark.rfc("4475", "3")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_is_taken_once_and_answered(path: Path) -> None:
    message = readable(path)
    if message is None:
        return  # the driver answers it without a transaction
    play = Playbook()
    first = play.transactions.receive(message, UDP, play.now)
    assert len(first) == 1
    if isinstance(message, Response) or message.method == "ACK":
        assert isinstance(first[0], Deliver)
        assert first[0].transaction is None
        return
    again = play.transactions.receive(readable(path), UDP, play.now)  # type: ignore[arg-type]
    assert not any(isinstance(effect, Deliver) for effect in again)
    if isinstance(first[0], Deliver):
        play.transactions.respond(first[0].transaction, response_to(message, 500), play.now)  # type: ignore[arg-type]
        play.transactions.expire(play.now + 100)
        assert len(play.transactions) == 0


@pytest.mark.rfc("4475", "3.2.1")
@pytest.mark.rfc("4475", "3.4.1")
@pytest.mark.parametrize("name", ["badbranch", "inv2543"])
def test_without_a_transaction_identifier_the_old_rules_match(name: str) -> None:
    data = (Path(__file__).parents[1] / "torture" / "rfc4475" / f"{name}.dat").read_bytes()
    play = Playbook()
    assert isinstance(play.transactions.receive(parse(data), UDP, play.now)[0], Deliver)
    play.transactions.receive(parse(data), UDP, play.now)
    assert play.transactions.counts.absorbed == 1
    other = parse(data)
    other.headers.set("Call-ID", "another")
    assert isinstance(play.transactions.receive(other, UDP, play.now)[0], Deliver)
    assert play.transactions.servers == 2
