"""What media costs: microseconds of CPU for one packet of 20 ms, or for one description.

python bench/media.py
"""

from __future__ import annotations

import asyncio
import socket
import time
import timeit
from collections.abc import Callable

import uvloop

from ringfence.client.media.g711 import PCMU
from ringfence.client.media.rtp import RtpPacket, pack, unpack
from ringfence.client.media.srtp import Srtp, new_crypto
from ringfence.message import offer, sdp
from ringfence.transport import relay

BURST, ROUNDS = 100, 200
ORIGIN = sdp.Origin("-", 1, 1, "192.0.2.1")
CAPABILITY = offer.Capability("audio", "192.0.2.1", 4000, (offer.PCMU, offer.PCMA, offer.TELEPHONE_EVENT))


def cost(work: Callable[[], object], number: int = 20_000) -> float:
    """The best of five, in microseconds."""
    return min(timeit.repeat(work, number=number, repeat=5)) / number * 1e6


async def relayed() -> float:
    """One RTP packet through the relay, both sockets included, the sender of the test left out."""
    limit = BURST * ROUNDS + 1
    ports = relay.Relay("127.0.0.1", range(45_000, 45_100), make_leg=lambda udp: relay.Leg(udp, limit))
    session = ports.open()
    with socket.socket(type=socket.SOCK_DGRAM) as alice, socket.socket(type=socket.SOCK_DGRAM) as bob:
        alice.bind(("127.0.0.1", 0))
        bob.bind(("127.0.0.1", 0))
        session.a.expect(alice.getsockname())
        session.b.expect(bob.getsockname())
        data, spent = b"\x80" + bytes(171), 0.0
        for number in range(1, ROUNDS + 1):
            for _ in range(BURST):
                alice.sendto(data, (session.a.host, session.a.port))
            began = time.process_time()
            while session.a.rtp.packets < number * BURST:
                await asyncio.sleep(0)
            spent += time.process_time() - began
    ports.close()
    return spent / (BURST * ROUNDS) * 1e6


def main() -> None:
    """Print one line for each piece of work."""
    pcm, payload = bytes(range(160)) * 2, bytes(range(160))
    packet = pack(RtpPacket(0, 1, 160, 7, payload))
    sender = Srtp(new_crypto(1, "AES_CM_128_HMAC_SHA1_80"))
    numbers = iter(range(1 << 40))

    def protect() -> bytes:
        return sender.protect(packet[:2] + (next(numbers) & 0xFFFF).to_bytes(2, "big") + packet[4:])

    offered = offer.make_offer([CAPABILITY], ORIGIN)
    text = offered.to_bytes()
    for name, microseconds in (
        ("G.711 encode", cost(lambda: PCMU.encode(pcm))),
        ("G.711 decode", cost(lambda: PCMU.decode(payload))),
        ("RTP unpack", cost(lambda: unpack(packet))),
        ("SRTP protect", cost(protect)),
        ("relay, one packet", uvloop.run(relayed())),
        ("SDP parse", cost(lambda: sdp.parse(text), 5_000)),
        ("SDP answer", cost(lambda: offer.answer(offered, [CAPABILITY], ORIGIN).to_bytes(), 5_000)),
    ):
        print(f"{name:20} {microseconds:7.1f} us")


if __name__ == "__main__":
    main()
