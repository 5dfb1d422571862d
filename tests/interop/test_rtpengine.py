"""The media plane by a real rtpengine, in user space: what it relays, and what survives when it does not answer."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

from ringfence.message import PeerError
from ringfence.roles.media import Outcome, Party
from ringfence.roles.media_engine import RtpengineMedia
from ringfence.roles.media_relay import Timeouts
from ringfence.transport.flow import Endpoint
from ringfence.transport.rtpengine import Rtpengine
from tests.interop.processes import HOST, Program, eventually, free_port
from tests.roles.test_media_relay import HERE, Phone, described, request, response, text, where

pytestmark = pytest.mark.interop("rtpengine")

RTP = b"\x80\x6f\0\1\0\0\0\1\1\2\3\4audio"
SSRC = b"\1\2\3\4"
NAMED = b"\x80\xc9\0\1" + SSRC + b"\x81\xca\0\4" + SSRC + b"\x01\x08alice@pc\0\0"


class Daemon:
    """One rtpengine."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        first = 36_000 + self.port % 1000 * 20
        self.program = Program(
            ["rtpengine", "--config-file=none", "--table=-1", f"--interface={HOST}", "--foreground",
             f"--listen-ng={HOST}:{self.port}", f"--port-min={first}", f"--port-max={first + 18}", "--log-stderr",
             "--log-level=5", "--num-threads=1", "--endpoint-learning=heuristic", f"--pidfile={directory}/pid"],
            directory,
        )  # fmt: skip

    def up(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            probe.connect((HOST, self.port))
            try:
                probe.send(b"x d7:command4:pinge")
                return b"pong" in probe.recv(100)
            except OSError:
                assert self.program.running, self.program.tail()
                return False


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Daemon]]:
    made = [Daemon(tmp_path_factory.mktemp("rtpengine")) for _ in range(2)]
    for each in made:
        eventually(each.up, "rtpengine answers")
    yield made
    for each in made:
        each.program.end()


@pytest.fixture
async def plane(daemons: list[Daemon]) -> AsyncIterator[RtpengineMedia]:
    tokens = count()
    engine = Rtpengine([Endpoint(HOST, daemons[0].port)])
    plane = RtpengineMedia(engine, lambda: f"token{next(tokens)}", Timeouts(look=0.2))
    yield plane
    plane.close()


@pytest.fixture
def phones() -> Iterator[list[Phone]]:
    made = [Phone() for _ in range(4)]
    yield made
    for phone in made:
        phone.udp.close()


async def connected(
    plane: RtpengineMedia,
    key: str,
    alice: Phone,
    bob: Phone,
    *,
    anonymous: bool = False,
    secure: bool = False,
) -> tuple[tuple[str, int], tuple[str, int]]:
    """Where alice, and where bob has to send."""
    profile = "RTP/SAVP" if secure else "RTP/AVP"
    one, other = (phone.sdp().replace("RTP/AVP", profile) for phone in (alice, bob))
    offer = await plane.offer(key, Party.CALLER, request(one), seen=HERE, toward=HERE, anonymous=anonymous)
    answer = await plane.answer(key, Party.CALLEE, response(other), seen=HERE, toward=HERE)
    for_bob, for_alice = where(offer), where(answer)
    assert for_bob is not None
    assert for_alice is not None
    return for_alice, for_bob


@pytest.mark.parametrize(
    "packet",
    [RTP, b"\x80\0" + os.urandom(150), b"\x16\xfe\xfd" + os.urandom(50)],
    ids=["rtp", "srtp", "dtls"],
)
async def test_packets_pass_both_ways_as_they_are(
    plane: RtpengineMedia, phones: list[Phone], packet: bytes
) -> None:
    alice, bob, *_ = phones
    for_alice, for_bob = await connected(plane, "k" + packet[:20].hex(), alice, bob)
    alice.send(for_alice, packet)
    assert await bob.heard() == packet
    bob.send(for_bob, packet)
    assert await alice.heard() == packet
    plane.end("k" + packet[:20].hex())


async def test_a_later_offer_of_the_callee_moves_it(plane: RtpengineMedia, phones: list[Phone]) -> None:
    alice, bob, moved, _ = phones
    for_alice, _ = await connected(plane, "m", alice, bob)
    again = where(await plane.offer("m", Party.CALLEE, request(moved.sdp()), seen=HERE, toward=HERE))
    assert again == for_alice
    await plane.answer("m", Party.CALLER, response(alice.sdp()), seen=HERE, toward=HERE)
    alice.send(for_alice)
    await moved.heard()
    plane.close()  # the node stops: what is set up goes on
    alice.send(for_alice)
    await moved.heard()


async def test_an_anonymous_caller_s_rtcp_does_not_arrive_and_srtcp_does(
    plane: RtpengineMedia, phones: list[Phone]
) -> None:
    alice, bob, rtcp, bob_rtcp = phones
    for secure in (False, True):
        key = f"a{secure}"
        pair = (f"a=rtcp:{phone.port} IN IP4 {phone.host}" for phone in (rtcp, bob_rtcp))
        one, other = (
            phone.sdp()
            .replace(f"a=rtcp:{phone.port} IN IP4 {phone.host}", line)
            .replace("RTP/AVP", "RTP/SAVP" if secure else "RTP/AVP")
            for phone, line in zip((alice, bob), pair, strict=True)
        )
        offer = await plane.offer(key, Party.CALLER, request(one), seen=HERE, toward=HERE, anonymous=True)
        assert b"alice" not in offer.body
        answer = await plane.answer(key, Party.CALLEE, response(other), seen=HERE, toward=HERE)
        host, port = where(answer) or ("", 0)
        rtcp.send((host, port + 1), NAMED)
        alice.send((host, port))
        await bob.heard()
        if secure:
            assert await bob_rtcp.heard() == NAMED  # as far as anybody here can tell it is encrypted
        else:
            with pytest.raises(BlockingIOError):
                bob_rtcp.udp.recv(2000)
        plane.end(key)


async def test_ports_that_are_freed_can_be_used_again_and_silence_is_noticed(
    plane: RtpengineMedia, phones: list[Phone]
) -> None:
    alice, bob, *_ = phones
    for number in range(12):  # there are ports for two calls at a time
        await connected(plane, f"f{number}", alice, bob)
        plane.end(f"f{number}")
        while plane._tasks and len(plane._tasks) > 1:
            await asyncio.sleep(0.01)
    told: list[str] = []
    plane._timeouts.silent = 0.5
    await plane.offer("s", Party.CALLER, request(alice.sdp()), seen=HERE, silent=told.append)
    await plane.answer("s", Party.CALLEE, response(bob.sdp()), seen=HERE)
    async with asyncio.timeout(5):
        while not told:
            await asyncio.sleep(0.05)
    assert told == ["s"]
    assert plane.figures().sessions == 0


async def test_calls_go_to_the_other_one_when_one_does_not_answer(
    daemons: list[Daemon], phones: list[Phone]
) -> None:
    dead = Endpoint(HOST, free_port())
    engine = Rtpengine([dead, Endpoint(HOST, daemons[1].port)])
    plane = RtpengineMedia(engine, lambda: "token")
    alice, bob, *_ = phones
    key = next(key for key in map(str, range(50)) if engine.choose(key) is engine.instances[0])
    for_alice, _ = await connected(plane, key, alice, bob)
    alice.send(for_alice)
    await bob.heard()
    assert not engine.instances[0].alive
    plane.end(key)
    plane.close()
    plane = RtpengineMedia(Rtpengine([dead]), lambda: "token")
    with pytest.raises(PeerError) as caught:
        await plane.offer("k", Party.CALLER, request(text()), seen=HERE)
    assert caught.value.status == 503
    assert plane.figures().sessions == 0
    plane.close()


async def test_the_same_verdicts_as_of_the_embedded_plane(plane: RtpengineMedia) -> None:
    ice = request(text().replace("RTP/AVP", "UDP/TLS/RTP/SAVPF"))
    assert (await plane.offer("v", Party.CALLER, ice, seen=HERE)).outcome is Outcome.NEEDS_ICE
    far = Endpoint("198.51.100.7", 5060)
    for host in ("127.0.0.1", "233.252.0.1"):
        with pytest.raises(PeerError) as caught:
            await plane.offer("v", Party.CALLER, request(text(host)), seen=far)
        assert caught.value.status == 488
    two = await plane.offer(
        "v", Party.CALLER, request(text() + "m=message 7 TCP/MSRP *\r\n"), seen=HERE, anonymous=True
    )
    assert described(two).media[1].rejected
    plane.end("v")
