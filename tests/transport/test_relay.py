"""The media relay: who gets through, where packets go, and what ends a session."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from ringfence.message import LocalError, PeerError
from ringfence.transport import legs
from ringfence.transport import relay as module
from ringfence.transport.legs import Leg, Screen
from ringfence.transport.ports import bind_pair
from ringfence.transport.relay import Relay, RelaySession, Side

PORTS = range(42_000, 42_400)
RTP = b"\x80\x00" + bytes(10) + b"audio"
SECRET = b"\x90\x00" + bytes(range(200))  # whatever SRTP looks like


class Party:
    """One UDP socket of a phone."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, 0))
        self.udp.setblocking(False)
        self.address: tuple[str, int] = self.udp.getsockname()

    def send(self, side: Side, data: bytes = RTP, rtcp: bool = False) -> None:
        self.udp.sendto(data, (side.host, side.rtcp_port if rtcp else side.port))

    async def heard(self) -> tuple[bytes, int]:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            try:
                data, source = self.udp.recvfrom(4000)
            except BlockingIOError:
                await asyncio.sleep(0.002)
            else:
                return data, source[1]
        raise AssertionError("nothing came in time")

    def silent(self) -> bool:
        try:
            self.udp.recv(4000)
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def parties() -> Iterator[list[Party]]:
    made = [Party() for _ in range(4)]
    yield made
    for party in made:
        party.udp.close()


MakeLeg = Callable[..., Leg]
KINDS: dict[str, MakeLeg] = {"fastest": module.Leg, "pure": legs.Leg}  # type: ignore[attr-defined]


@pytest.fixture(params=KINDS)
def make_leg(request: pytest.FixtureRequest) -> MakeLeg:
    return KINDS[request.param]


@pytest.fixture
async def relay(make_leg: MakeLeg) -> AsyncIterator[Relay]:
    relay = Relay("127.0.0.1", PORTS, make_leg=make_leg)
    yield relay
    relay.close()
    await asyncio.sleep(0)


async def dropped(side: Side, count: int, rtcp: bool = False) -> None:
    end = time.monotonic() + 3
    while (side.rtcp if rtcp else side.rtp).dropped != count:
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def test_both_ways_untouched_and_from_the_port_that_was_told(
    relay: Relay, parties: list[Party]
) -> None:
    alice, bob, alice_rtcp, bob_rtcp = parties
    session = relay.open()
    session.a.expect(alice.address, alice_rtcp.address)
    session.b.expect(bob.address, bob_rtcp.address)
    alice.send(session.a, SECRET)
    assert await bob.heard() == (SECRET, session.b.port)
    bob.send(session.b)
    assert await alice.heard() == (RTP, session.a.port)
    bob_rtcp.send(session.b, b"\x80\xc9rtcp", rtcp=True)
    assert await alice_rtcp.heard() == (b"\x80\xc9rtcp", session.a.rtcp_port)
    assert (session.a.rtp.packets, session.a.rtp.octets) == (1, len(SECRET))
    assert session.b.rtcp.packets == 1
    assert session.a.source == alice.address
    assert session.a.port % 2 == 0


async def test_answers_go_to_the_port_that_packets_come_from(relay: Relay, parties: list[Party]) -> None:
    behind_nat, bob, *_ = parties
    session = relay.open()
    session.a.expect(("10.0.0.7", 4000), also=["127.0.0.1"])
    session.b.expect(bob.address)
    behind_nat.send(session.a)
    await bob.heard()
    bob.send(session.b)
    assert (await behind_nat.heard())[0] == RTP


async def test_strangers_and_junk_do_not_get_in(relay: Relay, parties: list[Party]) -> None:
    alice, bob, late, _ = parties
    stranger = Party("127.0.0.2")
    session = relay.open()
    alice.send(session.a)  # before signalling has named anybody
    await dropped(session.a, 1)
    session.a.expect(alice.address)
    session.b.expect(bob.address)
    stranger.send(session.a)
    alice.send(session.a, b"")
    alice.send(session.a, b"INVITE sip:x SIP/2.0")
    await dropped(session.a, 4)
    alice.send(session.a)
    assert (await bob.heard())[0] == RTP
    late.send(session.a)  # another port of the same host, while the first one is alive
    await dropped(session.a, 5)
    assert bob.silent()
    stranger.udp.close()


async def test_another_port_of_the_party_takes_over_after_silence(relay: Relay, parties: list[Party]) -> None:
    alice, bob, moved, _ = parties
    session = relay.open()
    session.a.expect(alice.address)
    session.b.expect(bob.address)
    alice.send(session.a)
    await bob.heard()
    for _ in range(legs.QUIET_SWEEPS + 1):
        session.sweep()
    moved.send(session.a)
    await bob.heard()
    assert session.a.source == moved.address


async def test_a_new_description_moves_the_party_and_the_same_one_does_not(
    relay: Relay, parties: list[Party]
) -> None:
    alice, bob, moved, _ = parties
    session = relay.open()
    session.a.expect(alice.address)
    session.b.expect(bob.address)
    alice.send(session.a)
    await bob.heard()
    session.a.expect(alice.address)
    assert session.a.source == alice.address
    session.a.expect(moved.address)
    assert session.a.source is None
    bob.send(session.b)
    assert (await moved.heard())[0] == RTP
    session.a.expect(None, also=["127.0.0.1"])  # on hold: it may send, and gets nothing
    bob.send(session.b)
    alice.send(session.a)
    await bob.heard()


async def test_a_flood_is_cut_to_the_limit(make_leg: MakeLeg, parties: list[Party]) -> None:
    alice, bob, *_ = parties
    relay = Relay("127.0.0.1", PORTS, make_leg=lambda udp: make_leg(udp, 5))
    session = relay.open()
    session.a.expect(alice.address)
    session.b.expect(bob.address)
    for _ in range(8):
        alice.send(session.a)
    await dropped(session.a, 3)
    assert session.a.rtp.packets == 5
    session.sweep()
    alice.send(session.a)
    for _ in range(6):
        await bob.heard()
    relay.close()


@pytest.mark.parametrize("host", ["233.252.0.1", "255.255.255.255", "ff02::1", "name.example"])
async def test_media_goes_to_no_group_and_no_name(relay: Relay, host: str) -> None:
    session = relay.open()
    with pytest.raises(PeerError) as caught:
        session.a.expect((host, 4000))
    assert caught.value.status == 488


async def test_media_goes_in_no_circle_and_to_no_local_service(relay: Relay) -> None:
    session = relay.open()
    for port in (session.a.port, session.b.rtcp_port):
        with pytest.raises(PeerError, match="circle"):
            session.b.expect(("127.0.0.1", port))
    outside = Side(Relay("192.0.2.1", PORTS), 9, *session._legs[:2])
    with pytest.raises(PeerError, match="this machine"):
        outside.expect(("127.0.0.1", 5060))
    session.a.expect(("0.0.0.0", 4000))
    session.a.expect(("192.0.2.9", 0))
    session.a.expect(None)


async def test_silence_is_told_once_and_again_after_speech(
    parties: list[Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP", 0.02)
    told: list[RelaySession] = []
    relay = Relay("127.0.0.1", PORTS, silence=0.1, on_silence=told.append)
    session = relay.open()
    session.a.expect(parties[0].address)
    session.b.expect(parties[1].address)
    await asyncio.sleep(0.4)
    assert told == [session]
    parties[0].send(session.a)
    await asyncio.sleep(0.4)
    assert told == [session] * 2
    relay.close()
    await asyncio.sleep(0)


async def test_ports_run_out_with_a_clear_error_and_come_back() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 42_500))
        relay = Relay(
            "127.0.0.1", range(42_499, 42_507), advertised="198.51.100.1"
        )  # three pairs, one of them taken
        session = relay.open()
        assert session.a.host == "198.51.100.1"
        assert {session.a.port, session.b.port} == {42_502, 42_504}
        for _ in range(2):
            with pytest.raises(LocalError, match="2 of 3 pairs between 42499 and 42506"):
                relay.open()
        session.close()
        session.close()
        await asyncio.sleep(0.01)
        assert not relay.sessions
        (relay.open()).close()
        await asyncio.sleep(0.01)


async def test_a_session_over_two_addresses_returns_what_it_took() -> None:
    near, far = Relay("127.0.0.1", range(42_600, 42_602)), Relay("127.0.0.2", range(42_600, 42_602))
    session = near.open(far)
    assert (session.a.host, session.b.host) == ("127.0.0.1", "127.0.0.2")
    other = Relay("127.0.0.3", range(42_600, 42_602))
    with pytest.raises(LocalError):
        other.open(far)
    session.close()
    await asyncio.sleep(0.01)
    for pair in ((near, far), (other, far)):
        (pair[0].open(pair[1])).close()
        await asyncio.sleep(0.01)


async def test_ipv6(parties: list[Party]) -> None:
    six, four = Relay("::1", range(42_700, 42_702)), Relay("127.0.0.1", range(42_700, 42_702))
    session = six.open(four)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as phone:
        phone.bind(("::1", 0))
        session.a.expect(("0:0:0:0:0:0:0:1", phone.getsockname()[1]))
        session.b.expect(parties[0].address)
        phone.sendto(RTP, ("::1", session.a.port))
        assert (await parties[0].heard())[0] == RTP
        assert session.a.source == phone.getsockname()[:2]
    session.close()
    await asyncio.sleep(0.01)


def test_pairs_of_ports() -> None:
    rtp, rtcp = bind_pair("127.0.0.1")
    with rtp, rtcp:
        port = rtp.getsockname()[1]
        assert (port % 2, rtcp.getsockname()[1]) == (0, port + 1)
        with pytest.raises(LocalError, match="no free pair"):
            bind_pair("127.0.0.1", range(port, port + 2))
    with pytest.raises(LocalError, match="cannot receive media"):
        bind_pair("192.0.2.1", range(4000, 4010))


async def test_rtcp_of_an_anonymous_party_loses_its_names_and_stun_does_not_pass(
    relay: Relay, parties: list[Party]
) -> None:
    alice, bob, alice_rtcp, bob_rtcp = parties
    session = relay.open()
    session.a.expect(alice.address, alice_rtcp.address)
    session.b.expect(bob.address, bob_rtcp.address)
    session.a.screen(Screen.CLEAR, b"x1")
    report = b"\x80\xc9\x00\x01\1\2\3\4"
    names = b"\x81\xca\x00\x03\1\2\3\4\x01\x05alice\0"
    alice_rtcp.send(session.a, report + names, rtcp=True)
    heard, _ = await bob_rtcp.heard()
    assert heard == report + b"\x81\xca\x00\x03\1\2\3\4\x01\x02x1\0\0\0\0"
    alice.send(session.a, report + names)  # both on one port (RFC 5761)
    assert (await bob.heard())[0] == heard
    alice.send(session.a, b"\0\1\0\0stun")
    alice_rtcp.send(session.a, report + b"\x81\xca\xff\xff", rtcp=True)
    await dropped(session.a, 1)
    await dropped(session.a, 1, rtcp=True)
    session.a.screen(Screen.HIDDEN)
    alice.send(session.a, report + b"sealed")  # SRTCP passes
    assert (await bob.heard())[0] == report + b"sealed"
    bob.send(session.b, b"\0\1\0\0stun")  # the other party is not anonymous
    assert (await alice.heard())[0] == b"\0\1\0\0stun"


async def test_fax_passes_where_the_stream_is_no_rtp(relay: Relay, parties: list[Party]) -> None:
    alice, bob, *_ = parties
    session = relay.open()
    session.a.expect(alice.address)
    session.b.expect(bob.address)
    alice.send(session.a, b"\x50fax")
    await dropped(session.a, 1)
    session.a.screen(Screen.ANY)
    alice.send(session.a, b"\x50fax")
    assert (await bob.heard())[0] == b"\x50fax"


async def test_the_signalled_address_wins_over_whoever_was_first(relay: Relay, parties: list[Party]) -> None:
    alice, bob, other, _ = parties
    session = relay.open()
    session.a.expect(alice.address)
    session.b.expect(bob.address)
    other.send(session.a)  # from the same host, before her
    await bob.heard()
    alice.send(session.a)
    await bob.heard()
    assert session.a.source == alice.address
    other.send(session.a)
    await dropped(session.a, 1)


async def test_many_sessions_come_and_go(make_leg: MakeLeg, parties: list[Party]) -> None:
    relay = Relay("127.0.0.1", range(42_800, 43_000), make_leg=make_leg)
    alice, bob, *_ = parties
    for _ in range(3):
        sessions = [relay.open() for _ in range(40)]
        for session in sessions:
            session.a.expect(alice.address)
            session.b.expect(bob.address)
            alice.send(session.a)
        for _ in sessions:
            await bob.heard()
        for session in sessions:
            assert session.counts == (1, len(RTP), 0)
            session.close()
            assert session.counts == (1, len(RTP), 0)
    relay.close()
