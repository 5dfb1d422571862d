"""The ng protocol: its encoding, and what becomes of commands that are lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import LocalError, PeerError
from ringfence.transport import rtpengine as module
from ringfence.transport.flow import Endpoint
from ringfence.transport.rtpengine import Instance, Rtpengine, decode, encode

VALUES = st.recursive(
    st.integers() | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_encoded_is_decoded(value: object) -> None:
    assert decode(encode(value)) == value


@given(st.binary(max_size=60))
def test_any_octets_are_a_value_or_an_error(data: bytes) -> None:
    with contextlib.suppress(PeerError):
        decode(data)


@pytest.mark.parametrize(
    "data", [b"", b"i5", b"5:abc", b"-1:abc", b"d1:ae", b"le1", b"l" * 100 + b"e" * 100, b"di1ei2ee"]
)
def test_what_is_no_bencode(data: bytes) -> None:
    with pytest.raises(PeerError):
        decode(data)


def test_text_is_utf_8_and_what_has_no_form_is_our_fault() -> None:
    assert encode({"ä": ["x", 1]}) == b"d2:\xc3\xa4l1:xi1eee"
    with pytest.raises(LocalError):
        encode(1.5)


class Server(asyncio.DatagramProtocol):
    """Answers commands as told; None is no answer."""

    def __init__(self, answer: Callable[[dict[str, object]], dict[str, object] | None]) -> None:
        self.answer = answer
        self.cookies: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        cookie, _, text = data.partition(b" ")
        self.cookies.append(cookie)
        command = decode(text)
        assert isinstance(command, dict)
        answer = self.answer(command)
        if answer is not None:
            self.transport.sendto(b"stray d6:result2:oke", addr)  # type: ignore[attr-defined]
            self.transport.sendto(cookie + b" " + encode(answer), addr)  # type: ignore[attr-defined]


async def serve(server: Server) -> Endpoint:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    return Endpoint(*transport.get_extra_info("sockname"))


async def test_a_lost_command_is_sent_again_with_the_same_cookie() -> None:
    answers: Iterator[dict[str, object] | None] = iter([None, {"result": "pong"}])
    server = Server(lambda command: next(answers))
    instance = Instance(await serve(server))
    assert await instance.ask("ping") == {"result": b"pong"}
    assert len(server.cookies) == 2
    assert len(set(server.cookies)) == 1
    instance.close()
    server.transport.close()


async def test_names_have_hyphens_and_an_error_has_its_reason() -> None:
    server = Server(lambda command: {"result": "error", "error-reason": ",".join(command)})
    instance = Instance(await serve(server))
    with pytest.raises(PeerError, match="command,call-id") as caught:
        await instance.ask("query", call_id="x")
    assert caught.value.status == 503
    assert instance.alive
    instance.close()
    server.transport.close()


async def test_one_that_is_silent_is_out_of_use_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITS", (0.02, 0.02))
    monkeypatch.setattr(module, "PING_SECONDS", 0.05)
    silent = {"": True}
    servers = [
        Server(lambda command: None if silent[""] else {"result": "pong"}),
        Server(lambda command: {"result": "pong"}),
    ]
    engine = Rtpengine([await serve(each) for each in servers])
    first, second = engine.instances
    mine = next(key for key in map(str, range(50)) if engine.choose(key) is first)
    with pytest.raises(PeerError, match="does not answer"):
        await first.ask("offer")
    assert engine.choose(mine) is second
    assert engine.choose(mine, frozenset({second})) is first  # there is no better one
    assert engine.choose(mine, frozenset({first, second})) is None
    silent[""] = False
    engine.watch()
    async with asyncio.timeout(3):
        while engine.choose(mine) is not first:
            await asyncio.sleep(0.01)
    engine.close()
    for each in servers:
        each.transport.close()
