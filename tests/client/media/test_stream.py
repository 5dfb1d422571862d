"""Two audio streams on loopback: what is played is heard, and what is not meant for them is dropped."""

import asyncio
import math
import socket
import struct
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringfence.client.media import AudioStream, new_crypto
from ringfence.client.media.addresses import sources
from ringfence.client.media.rtp import RtpPacket, pack
from ringfence.client.media.srtp import Srtp
from ringfence.message import LocalError, PeerError
from ringfence.message.negotiation import Agreed
from ringfence.message.sdp_attributes import Crypto, Direction, Format

PCMU, PCMA = Format(0, "PCMU", 8000), Format(8, "PCMA", 8000)
EVENTS = Format(101, "telephone-event", 8000, 1, "0-16")


@pytest.fixture
async def pair() -> AsyncIterator[tuple[AudioStream, AudioStream]]:
    async with AudioStream() as alice, AudioStream() as bob:
        yield alice, bob


def connect(
    alice: AudioStream, bob: AudioStream, formats: tuple[Format, ...] = (PCMU, EVENTS), **more: object
) -> None:
    alice.set_remote((bob.host, bob.port), formats, **more)  # type: ignore[arg-type]
    bob.set_remote((alice.host, alice.port), formats, **more)  # type: ignore[arg-type]


async def until(condition: object, seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come about in time"
        await asyncio.sleep(0.01)


def tone_in(path: Path) -> float:
    """Seconds of the file that are not silence."""
    with wave.open(str(path), "rb") as file:
        count = file.getnframes()
        samples = struct.unpack(f"<{count}h", file.readframes(count))
    frames = [samples[start : start + 160] for start in range(0, count, 160)]
    return 0.02 * sum(max(map(abs, frame), default=0) > 1000 for frame in frames)


def sine_file(path: Path, rate: int = 16_000, seconds: float = 0.4) -> Path:
    samples = [round(9000 * math.sin(2 * math.pi * 500 * n / rate)) for n in range(int(rate * seconds))]
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return path


@pytest.mark.parametrize(
    "formats", [(PCMU,), (PCMA, PCMU), (Format(18, "G729", 8000), PCMA)], ids=["PCMU", "PCMA", "skip"]
)
async def test_a_file_is_heard_as_it_was_played(
    pair: tuple[AudioStream, AudioStream], tmp_path: Path, formats: tuple[Format, ...]
) -> None:
    alice, bob = pair
    connect(alice, bob, formats)
    bob.record_to(tmp_path / "heard.wav")
    await alice.send_file(sine_file(tmp_path / "played.wav"))
    await until(lambda: bob.stats.received >= 20)
    bob.stop_recording()
    assert tone_in(tmp_path / "heard.wav") == pytest.approx(0.4, abs=0.03)
    assert (bob.stats.lost, bob.stats.dropped) == (0, 0)


async def test_the_pace_does_not_drift_and_catches_up_after_a_delay(
    pair: tuple[AudioStream, AudioStream],
) -> None:
    alice, bob = pair
    connect(alice, bob)
    sent, began = alice.stats.sent, time.monotonic()
    await asyncio.sleep(0.2)
    time.sleep(0.1)  # the loop stands still: five packets become due
    await asyncio.sleep(0.2)
    elapsed = time.monotonic() - began
    assert alice.stats.sent - sent == pytest.approx(elapsed / 0.02, abs=3)
    sent = alice.stats.sent
    time.sleep(0.5)  # 25 packets are due: more than the peer could buffer
    for _ in range(2):
        await asyncio.sleep(0)
    assert 10 <= alice.stats.sent - sent <= 12


async def test_packet_times_that_the_peer_asks_for(pair: tuple[AudioStream, AudioStream]) -> None:
    alice, bob = pair
    connect(alice, bob, ptime=60)
    await until(lambda: alice.stats.sent >= 2)
    assert alice.stats.octets_sent == 480 * alice.stats.sent
    connect(alice, bob, ptime=7)  # not a packet time of ours: the default
    before = alice.stats
    await until(lambda: alice.stats.sent >= before.sent + 2)
    assert alice.stats.octets_sent - before.octets_sent == 160 * (alice.stats.sent - before.sent)


@pytest.mark.rfc("4733", "2.5")
async def test_keys_are_heard_in_order(pair: tuple[AudioStream, AudioStream]) -> None:
    alice, bob = pair
    connect(alice, bob)
    alice.press("11#")
    assert [await asyncio.wait_for(bob.next_key(), 3) for _ in range(3)] == ["1", "1", "#"]
    connect(alice, bob, (PCMU,))
    with pytest.raises(LocalError):
        alice.press("1")
    connect(alice, bob)
    with pytest.raises(LocalError):
        alice.press("1x")


async def test_hold_sends_nothing_and_what_plays_waits(
    pair: tuple[AudioStream, AudioStream], tmp_path: Path
) -> None:
    alice, bob = pair
    connect(alice, bob)
    bob.record_to(tmp_path / "heard.wav")
    playing = asyncio.create_task(alice.send_tone(500, 0.2))
    await until(lambda: alice.stats.sent >= 3)
    alice.hold()
    sent = alice.stats.sent
    await asyncio.sleep(0.1)
    assert alice.stats.sent == sent
    assert not playing.done()
    alice.hold(False)
    await asyncio.wait_for(playing, 3)
    await until(lambda: bob.stats.received == alice.stats.sent)
    bob.stop_recording()
    assert tone_in(tmp_path / "heard.wav") == pytest.approx(0.2, abs=0.03)


async def test_directions_are_kept(pair: tuple[AudioStream, AudioStream]) -> None:
    alice, bob = pair
    alice.set_remote((bob.host, bob.port), [PCMU], direction=Direction.SENDONLY)
    bob.set_remote((alice.host, alice.port), [PCMU], direction=Direction.RECVONLY)
    await until(lambda: bob.stats.received >= 3)
    assert (bob.stats.sent, alice.stats.received) == (0, 0)
    alice.set_remote(None, [PCMU])
    sent = alice.stats.sent
    await asyncio.sleep(0.06)
    assert alice.stats.sent == sent


def stranger(host: str = "127.0.0.1") -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((host, 0))
    udp.setblocking(False)
    return udp


GOOD = pack(RtpPacket(0, 1, 160, 7, b"\xff" * 160))


async def test_only_the_signalled_host_is_heard_and_its_first_good_packet_decides_the_port() -> None:
    async with AudioStream() as alice:
        with stranger() as nat, stranger("127.0.0.2") as other:
            alice.set_remote(("127.0.0.1", 9), [PCMU])
            target = (alice.host, alice.port)
            for udp, data in ((other, GOOD), (nat, b"junk"), (nat, pack(RtpPacket(18, 1, 0, 7, b"x")))):
                udp.sendto(data, target)
            await until(lambda: alice.stats.dropped == 3)
            assert (alice.stats.received, alice.stats.silent_for) == (0, None)
            nat.sendto(GOOD, target)
            await until(lambda: alice.stats.received == 1)
            loop = asyncio.get_running_loop()
            answer, source = await asyncio.wait_for(loop.sock_recvfrom(nat, 2000), 3)
            assert source == target
            assert len(answer) == 172
            with stranger() as second:  # another port of the host, while the first one speaks
                second.sendto(GOOD, target)
                await until(lambda: alice.stats.dropped == 4)


async def test_packets_may_come_from_where_signalling_does() -> None:
    async with AudioStream() as alice:
        with stranger("127.0.0.2") as phone:
            alice.set_remote(("192.0.2.7", 4000), [PCMU], also=["127.0.0.2"])
            phone.sendto(GOOD, (alice.host, alice.port))
            await until(lambda: alice.stats.received == 1)


def test_a_peer_on_this_machine_may_send_from_loopback() -> None:
    assert sources(("127.0.0.2", 9), []) == {"127.0.0.1", "::1", "127.0.0.2"}
    assert sources(("192.0.2.7", 9), ["2001:DB8:0::1"]) == {"192.0.2.7", "2001:db8::1"}
    assert sources(None, ["192.0.2.7"]) == set()


def keys() -> tuple[Crypto, Crypto]:
    return new_crypto(1, "AES_CM_128_HMAC_SHA1_80"), new_crypto(1, "AES_CM_128_HMAC_SHA1_80")


@pytest.mark.rfc("3711", "3.3")
async def test_a_secure_stream_takes_no_packet_that_is_not_authentic(
    pair: tuple[AudioStream, AudioStream],
) -> None:
    alice, bob = pair
    a, b = keys()
    alice.set_remote((bob.host, bob.port), [PCMU], local_crypto=a, remote_crypto=b)
    bob.set_remote((alice.host, alice.port), [PCMU], local_crypto=b, remote_crypto=a)
    await until(lambda: bob.stats.received >= 3)
    assert bob.stats.dropped == 0
    with stranger() as udp:
        async with AudioStream() as carol:
            carol.set_remote(udp.getsockname(), [PCMU], local_crypto=a, remote_crypto=b)
            udp.sendto(GOOD, (carol.host, carol.port))
            await until(lambda: carol.stats.dropped == 1)
    with pytest.raises(PeerError):
        alice.set_remote((bob.host, bob.port), [PCMU], local_crypto=a)


async def test_what_is_authentic_may_come_from_anywhere() -> None:
    a, b = keys()
    async with AudioStream() as alice:
        with stranger("127.0.0.2") as roaming:
            alice.set_remote(("127.0.0.1", 9), [PCMU], local_crypto=a, remote_crypto=b)
            roaming.sendto(Srtp(b).protect(GOOD), (alice.host, alice.port))
            await until(lambda: alice.stats.received == 1)


async def test_a_used_up_key_stops_sending_and_says_so(pair: tuple[AudioStream, AudioStream]) -> None:
    alice, bob = pair
    a, b = keys()
    short = Crypto(1, a.suite, (a.keys[0]._replace(lifetime=2),))
    alice.set_remote((bob.host, bob.port), [PCMU], local_crypto=short, remote_crypto=b)
    await until(lambda: alice.failure is not None)


@pytest.mark.rfc("3550", "6.4")
@pytest.mark.parametrize("mux", [False, True])
async def test_reports_tell_loss_and_the_round_trip(pair: tuple[AudioStream, AudioStream], mux: bool) -> None:
    alice, bob = pair
    connect(alice, bob, rtcp_mux=mux)
    await until(lambda: bob.stats.received >= 2)
    for stream in (alice, bob, alice, bob):
        stream._send_rtcp()
        await asyncio.sleep(0.02)
    await until(lambda: bob.stats.round_trip is not None)
    assert bob.stats.peer_lost == 0
    assert bob.stats.round_trip is not None
    assert bob.stats.round_trip < 1
    with stranger("127.0.0.2") as udp:
        udp.sendto(b"\x80\xc9\x00\x01\x00\x00\x00\x01", (bob.host, bob.rtcp_port))
        await until(lambda: bob.stats.dropped == 1)


async def test_an_agreement_is_followed_and_names_are_looked_up(
    pair: tuple[AudioStream, AudioStream],
) -> None:
    alice, bob = pair
    agreed = Agreed(
        media="audio",
        protocol="RTP/AVP",
        direction=Direction.SENDRECV,
        send=(PCMA,),
        receive=(PCMU, PCMA),
        remote=("localhost", bob.port),
        remote_rtcp=None,
        ptime=None,
        rtcp_mux=False,
        local_crypto=None,
        remote_crypto=None,
    )
    await alice.apply(agreed)
    bob.set_remote((alice.host, alice.port), [PCMA])
    await until(lambda: bob.stats.received >= 2)


@pytest.mark.parametrize(
    ("remote", "formats", "error"),
    [
        (("233.252.0.1", 9), [PCMU], PeerError),
        (("name.example", 9), [PCMU], LocalError),
        (("192.0.2.1", 9), [EVENTS], PeerError),
    ],
)
async def test_what_cannot_be_sent_to(
    remote: tuple[str, int], formats: list[Format], error: type[Exception]
) -> None:
    async with AudioStream() as stream:
        with pytest.raises(error):
            stream.set_remote(remote, formats)


async def test_closing_ends_what_plays_and_is_safe_twice(tmp_path: Path) -> None:
    stream = AudioStream()
    with pytest.raises(LocalError):
        await stream.send_tone(440, 1)
    await stream.start()
    stream.set_remote(("127.0.0.1", 9), [PCMU])
    stream.record_to(tmp_path / "a.wav")
    playing = asyncio.create_task(stream.send_tone(440, 10))
    await until(lambda: stream.stats.sent > 1)
    await stream.close()
    await stream.close()
    with pytest.raises(LocalError):
        await playing
    with wave.open(str(tmp_path / "a.wav"), "rb") as file:
        assert file.getnframes() == 0


async def test_ports_come_from_the_range_and_in_pairs() -> None:
    with pytest.raises(LocalError, match="no free pair"):
        await AudioStream().start(ports=range(40_001, 40_002))
    stream = AudioStream()
    await stream.start(ports=range(40_000, 41_000))
    assert stream.port in range(40_000, 41_000, 2)
    assert stream.rtcp_port == stream.port + 1
    await stream.close()
    with pytest.raises(LocalError, match="cannot receive media"):
        await AudioStream().start("192.0.2.1")
