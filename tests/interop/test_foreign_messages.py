"""Requests as other makers' phones, gateways and networks write them, through a served node: byte for byte.

``messages/`` has one file for each: LF ends a line, ``$words`` are filled in. What a proxy has to change is left out
of the comparison; all else has to arrive as it was sent: order, case, folding, spaces, unknown fields, bodies, binary
ones too. They pass twice: with the settings of ``ringfence init``, and with routes hidden from everybody and media led
through the relay, where no more than the addresses in the session description may differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from string import Template

import pytest

from ringfence.message import Message, Request, Response, ack_for, parse, response_to
from ringfence.security.digest_client import answer, choose
from tests.interop.node import Node, password_of
from tests.interop.raw import RawPhone

MESSAGES = sorted((Path(__file__).parent / "messages").glob("*.sip"))

OURS = {"via", "v", "max-forwards", "max-breadth", "route", "record-route", "p-asserted-identity"}
"""Fields that a proxy changes (RFC 3261 section 16.6), and the caller's name, which the node vouches for (RFC 3325)."""

NOT_BELIEVED = {"remote-party-id", "p-preferred-identity", "p-charging-vector"}
"""What a phone is not believed, or says to us alone: docs/callers.md, RFC 3325 section 9.2, RFC 7315 section 4.6."""

CONFIGURATIONS = {
    "as init leaves it": "",
    "routes hidden, media relayed": '[hiding]\ntoward = "everybody"\n[nat]\nmedia = "always"\n',
}

BINARY = bytes(range(256)).replace(b"\r\n", b"")
"""Stands for ISUP: all octets there are."""

_numbers = count(1)


class Caller(RawPhone):
    """Sends a message as it is written; the credentials go behind its last field, and nothing else is touched."""

    def __init__(self, node: Node, user: str) -> None:
        super().__init__(node, user)
        self.sent = b""

    def say(self, text: str, callee: str) -> None:
        """Fill in a message, send it, and once more with an answer to the challenge."""
        number = next(_numbers)
        head, _, body = text.partition("\n\n")
        octets = body.replace("\n", "\r\n").encode().replace(b"@ISUP@", BINARY)
        head = Template(head).substitute(
            callee=f"sip:{callee}@{self.node.domain}", caller=f"sip:{self.user}@{self.node.domain}",
            here=f"{self.host}:{self.port}", node=f"{self.server[0]}:{self.server[1]}", transport="UDP", suffix="",
            branch=f"z9hG4bK{number}", callid=f"foreign-{number}@{self.host}", length=len(octets),
        )  # fmt: skip
        first = head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + octets
        self.send(first)
        challenge = self.until(407)
        if first.startswith(b"INVITE"):
            self.send(ack_for(_request(first), challenge).to_bytes())
        request = _request(first)
        proved = answer(
            choose(challenge.headers.all("Proxy-Authenticate"))[0], method=request.method, uri=request.uri,
            username=self.user, cnonce="0a4f113b", password=password_of(self.user),
        )  # fmt: skip
        again = first.replace(f"z9hG4bK{number}".encode(), f"z9hG4bK{number}x".encode(), 1)
        end = again.index(b"\r\n\r\n")
        self.sent = again[:end] + f"\r\nProxy-Authorization: {proved}".encode() + again[end:]
        self.send(self.sent)

    def until(self, status: int) -> Response:
        """The next response with this status."""
        while True:
            message = parse(self.octets())
            assert not isinstance(message, Response) or message.status < 300 or message.status == status, (
                message
            )
            if isinstance(message, Response) and message.status == status:
                self.last = message
                return message

    def octets(self) -> bytes:
        """The next datagram."""
        self.socket.settimeout(15)
        return self.socket.recv(65_535)


class Callee(RawPhone):
    """Takes requests as octets."""

    def take(self) -> bytes:
        """The next request that is no ACK."""
        self.socket.settimeout(15)
        while (data := self.socket.recv(65_535)).startswith((b"ACK", b"SIP/2.0")):
            pass
        return data


def _request(data: bytes) -> Request:
    message: Message = parse(data)
    assert isinstance(message, Request)
    return message


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Caller, Callee]]:
    node = Node.create(
        tmp_path_factory.mktemp("foreign") / "node", old_phones=False, settings=CONFIGURATIONS[request.param]
    )
    node.add_user("alice", calls=100)
    node.add_user("bob")
    node.serve()
    alice, bob = Caller(node, "alice"), Callee(node, "bob")
    try:
        for phone in alice, bob:
            assert phone.register().status == 200
        yield request.param, alice, bob
    finally:
        alice.close()
        bob.close()
        node.end()


def fields(data: bytes, *but: str) -> list[str]:
    """The header lines with their folding, but for those that are ours to change."""
    head = data.partition(b"\r\n\r\n")[0].decode("latin-1")
    lines = re.split(r"\r\n(?![ \t])", head)[1:]
    return [line for line in lines if line.partition(":")[0].strip().lower() not in {*OURS, *but}]


def still(body: bytes) -> list[bytes]:
    """The lines of a body without what the relay has to write: addresses and ports; and with times as SDP has them."""
    lines = re.sub(rb"(?m)^(m=\w+) \d+", rb"\1", body).replace(b"t= ", b"t=").split(b"\r\n")
    return [line for line in lines if not line.startswith((b"c=IN", b"a=rtcp:"))]


@pytest.mark.rfc("3261", "16.6")
@pytest.mark.parametrize("message", MESSAGES, ids=lambda path: path.stem)
def test_it_arrives_as_it_was_sent(pair: tuple[str, Caller, Callee], message: Path) -> None:
    configuration, alice, bob = pair
    alice.say(message.read_text(encoding="utf-8"), "bob")
    received = bob.take()
    relayed = bool(CONFIGURATIONS[configuration])
    ignored = ("content-length", "l") if relayed else ()
    proof = fields(alice.sent)[-1]
    assert proof.startswith("Proxy-Authorization: ")
    sent = [each for each in fields(alice.sent, *ignored, *NOT_BELIEVED) if each != proof]
    assert fields(received, *ignored) == sent
    bodies = [data.partition(b"\r\n\r\n")[2] for data in (received, alice.sent)]
    if relayed:
        assert still(bodies[0]) == still(bodies[1])
    else:
        assert bodies[0] == bodies[1]
    request = _request(received)
    refusal = response_to(request, 486 if request.method == "INVITE" else 202, to_tag="foreign")
    refusal.headers.add("X-Odd", "a,  b ;c")
    refusal.headers.add("P-Access-Network-Info", "3GPP-NR;utran-cell-id-3gpp=1")
    refusal.headers.add("Warning", '399 phone.example "no, ""thank"" you"')
    bob.send(refusal.to_bytes())
    final = alice.until(refusal.status)
    assert fields(final.to_bytes()) == fields(refusal.to_bytes())
    if request.method == "INVITE":
        alice.send(ack_for(_request(alice.sent), final).to_bytes())
