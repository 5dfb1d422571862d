"""The embedded media plane: which descriptions come out, who may send where, and what frees the ports."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import pytest

from ringfence.message import Headers, Message, PeerError, Request, Response, sdp
from ringfence.roles.media import Outcome, Party, Rewritten
from ringfence.roles.media_relay import EmbeddedMedia, Timeouts
from ringfence.transport.flow import Endpoint
from ringfence.transport.relay import Relay
from ringfence.transport.sockets import address_toward

CALLER, CALLEE = Party.CALLER, Party.CALLEE
HERE = Endpoint("127.0.0.1", 5060)
RTP = b"\x80\x00" + bytes(10) + b"audio"

AUDIO = """\
v=0
o=alice 2890844526 7 IN IP4 {host}
s=Alice's call
i=about our merger
u=http://alice.example/
e=alice@example.org (Alice)
p=+358 9 1234
c=IN IP4 {host}
t=3724394400 3724398000
a=tool:Phone 7
m=audio {port} RTP/AVP 0 101
i=my microphone
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ssrc:77 cname:alice@10.0.0.7
a=ssrc:77 msid:alice-stream one
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:cname
a=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=rtcp:{port} IN IP4 {host}
a=candidate:1 1 UDP 2130706431 {host} {port} typ host
a=ice-ufrag:8hhY
a=ice-pwd:asd88fgpdd777uzjYhagZg
a=X-seat: 12B
a={direction}
"""


def text(host: str = "127.0.0.1", port: int = 4000, direction: str = "sendrecv") -> str:
    return AUDIO.format(host=host, port=port, direction=direction).replace("\n", "\r\n")


def request(
    body: str | bytes, content_type: str | None = "application/sdp", method: str = "INVITE"
) -> Request:
    fields = [("CSeq", f"1 {method}")] + ([("Content-Type", content_type)] if content_type else [])
    data = body.encode() if isinstance(body, str) else body
    return Request(method, "sip:bob@example.org", Headers(fields), data)


def response(body: str, status: int = 200) -> Response:
    return Response(
        status, None, Headers([("CSeq", "1 INVITE"), ("Content-Type", "application/sdp")]), body.encode()
    )


@pytest.fixture
async def plane() -> AsyncIterator[EmbeddedMedia]:
    tokens = (f"token{number}" for number in count())
    plane = EmbeddedMedia({4: Relay("127.0.0.1", range(43_000, 43_200))}, lambda: next(tokens))
    yield plane
    plane.close()


def described(rewritten: Rewritten) -> sdp.Session:
    assert rewritten.outcome is Outcome.REWRITTEN, rewritten.reason
    return sdp.parse(rewritten.body)


class Phone:
    """A socket that audio comes to."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, 0))
        self.udp.setblocking(False)
        self.host, self.port = self.udp.getsockname()

    def sdp(self, direction: str = "sendrecv") -> str:
        return text(self.host, self.port, direction)

    def send(self, where: tuple[str, int] | None, data: bytes = RTP) -> None:
        assert where is not None
        self.udp.sendto(data, where)

    async def heard(self) -> bytes:
        for _ in range(600):
            try:
                return self.udp.recv(4000)
            except BlockingIOError:
                await asyncio.sleep(0.005)
        raise AssertionError("nothing came in time")


@pytest.fixture
def phones() -> Iterator[Callable[..., Phone]]:
    made: list[Phone] = []

    def make(host: str = "127.0.0.1") -> Phone:
        made.append(Phone(host))
        return made[-1]

    yield make
    for phone in made:
        phone.udp.close()


def where(rewritten: Rewritten) -> tuple[str, int] | None:
    session = described(rewritten)
    return session.address_of(session.media[0])


async def test_audio_both_ways_through_an_offer_and_an_answer(
    plane: EmbeddedMedia, phones: Callable[..., Phone]
) -> None:
    alice, bob = phones(), phones()
    told_bob = where(plane.offer("k", CALLER, request(alice.sdp()), seen=HERE, toward=HERE))
    told_alice = where(plane.answer("k", CALLEE, response(bob.sdp(), 183), seen=HERE, toward=HERE))
    assert told_bob != told_alice
    alice.send(told_alice)
    assert await bob.heard() == RTP
    bob.send(told_bob)
    assert await alice.heard() == RTP
    again = where(plane.answer("k", CALLEE, response(bob.sdp()), seen=HERE, toward=HERE))
    assert again == told_alice
    plane.end("k")
    assert not len(plane)
    assert plane.figures().packets == 2
    assert not plane.relays[4].sessions


async def test_only_addresses_and_ice_change_for_a_caller_who_is_not_anonymous(plane: EmbeddedMedia) -> None:
    session = described(plane.offer("k", CALLER, request(text("10.0.0.7")), seen=HERE))
    assert (session.name, session.emails, session.origin.username) == (
        "Alice's call",
        ["alice@example.org (Alice)"],
        "alice",
    )
    assert session.origin.address == "127.0.0.1"
    assert session.media[0].attribute("X-seat") == " 12B"
    assert not session.media[0].has("candidate")
    assert not session.media[0].has("rtcp")


async def test_an_anonymous_description_names_nobody(plane: EmbeddedMedia) -> None:
    rewritten = plane.offer("k", CALLER, request(text("10.0.0.7")), seen=HERE, anonymous=True)
    session = described(rewritten)
    for secret in (
        b"alice", b"Alice", b"10.0.0.7", b"merger", b"358", b"Phone 7", b"12B", b"8hhY", b"asd88", b"2890844526",
        b"37243", b"microphone", b"sdes:cname",
    ):  # fmt: skip
        assert secret not in rewritten.body, secret
    media = session.media[0]
    assert media.formats == ["0", "101"]
    assert media.typed("fmtp", str) == ["101 0-15"]
    assert media.typed("ssrc", str) == ["77 cname:token0"]
    assert media.typed("extmap", str) == ["2 urn:ietf:params:rtp-hdrext:ssrc-audio-level"]


@pytest.mark.rfc("3264", "8")
async def test_the_version_of_an_anonymous_description_rises_when_it_changes_and_not_else(
    plane: EmbeddedMedia,
) -> None:
    def version(direction: str, port: int = 4000) -> tuple[int, int]:
        body = text("10.0.0.7", port, direction)
        origin = described(plane.offer("k", CALLER, request(body), seen=HERE, anonymous=True)).origin
        return origin.session_id, origin.version

    first = version("sendrecv")
    assert version("sendrecv") == first
    assert version("sendonly") == (first[0], first[1] + 1)
    assert version("sendonly", 4010) == (first[0], first[1] + 1)  # the other party is told nothing new


async def test_keys_pass_an_anonymous_description(plane: EmbeddedMedia) -> None:
    keys = (
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
        "a=fingerprint:SHA-256 "
        + ":".join(["AB"] * 32),
        "a=setup:actpass",
    )  # fmt: skip
    body = text().replace("RTP/AVP", "RTP/SAVP") + "\r\n".join(keys) + "\r\n"
    rewritten = plane.offer("k", CALLER, request(body), seen=HERE, anonymous=True)
    for key in keys:
        assert key.encode() in rewritten.body


@pytest.mark.parametrize(
    ("body", "content_type", "outcome"),
    [
        ("", None, Outcome.NO_MEDIA),
        ("hello", "text/plain", Outcome.NO_MEDIA),
        (text(), None, Outcome.UNREADABLE),
        ("v=0\r\nnonsense", "application/sdp", Outcome.UNREADABLE),
        ("x", "application/pkcs7-mime; smime-type=enveloped-data", Outcome.ENCRYPTED),
        ("x", "application/pkcs7-mime; smime-type=signed-data", Outcome.SIGNED),
        ("--b\r\n\r\nx\r\n--b--", 'multipart/signed; boundary="b"', Outcome.SIGNED),
        (text().replace("RTP/AVP", "UDP/TLS/RTP/SAVPF"), "application/sdp", Outcome.NEEDS_ICE),
        (text(port=9), "application/sdp", Outcome.NEEDS_ICE),
    ],
)
async def test_what_can_not_be_rewritten_comes_back_with_a_verdict(
    plane: EmbeddedMedia, body: str, content_type: str | None, outcome: Outcome
) -> None:
    message = request(body, content_type)
    verdict = plane.offer("k", CALLER, message, seen=HERE, anonymous=True)
    assert (verdict.outcome, verdict.body) == (outcome, message.body)
    assert verdict.safe is (outcome is Outcome.NO_MEDIA)
    assert not len(plane)


async def test_the_description_in_a_multipart_is_rewritten_and_the_rest_kept(plane: EmbeddedMedia) -> None:
    other = "Content-Type: application/x\r\n\r\n\0kept"
    parts = f"--b\r\n{other}\r\n--b\r\nContent-Type: application/sdp\r\nX: y\r\n\r\n{text('10.0.0.7')}\r\n--b--\r\n"
    verdict = plane.offer("k", CALLER, request(parts, "multipart/mixed; boundary=b"), seen=HERE)
    assert verdict.outcome is Outcome.REWRITTEN
    assert b"10.0.0.7 4000" not in verdict.body
    assert verdict.body.startswith(
        f"--b\r\n{other}\r\n--b\r\nContent-Type: application/sdp\r\nX: y\r\n\r\n".encode()
    )
    assert verdict.body.endswith(b"\r\n--b--\r\n")


async def test_a_refused_offer_moves_nobody(plane: EmbeddedMedia, phones: Callable[..., Phone]) -> None:
    alice, bob, moved = phones(), phones(), phones()
    told_bob = where(plane.offer("k", CALLER, request(alice.sdp()), seen=HERE))
    plane.answer("k", CALLEE, response(bob.sdp()), seen=HERE)
    plane.offer("k", CALLER, request(moved.sdp()), seen=HERE)  # and 488 comes back
    bob.send(told_bob)
    assert await alice.heard() == RTP
    plane.offer("k", CALLER, request(moved.sdp()), seen=HERE)
    plane.answer("k", CALLEE, response(bob.sdp()), seen=HERE)
    bob.send(told_bob)
    assert await moved.heard() == RTP


async def test_a_later_offer_may_come_from_the_callee_and_add_a_stream(plane: EmbeddedMedia) -> None:
    plane.offer("k", CALLER, request(text()), seen=HERE)
    plane.answer("k", CALLEE, response(text(port=5000)), seen=HERE)
    more = text(port=5000) + "m=video 6000 RTP/AVP 31\r\n"
    offered = described(plane.offer("k", CALLEE, request(more), seen=HERE))
    assert len({media.port for media in offered.media}) == 2
    answered = described(plane.answer("k", CALLER, response(text() + "m=video 0 RTP/AVP 31\r\n"), seen=HERE))
    assert answered.media[1].rejected
    assert len(plane.relays[4].sessions) == 1  # the refused stream has given its ports back


async def test_behind_nat_media_come_from_where_signalling_does_and_nothing_is_sent_elsewhere(
    plane: EmbeddedMedia, phones: Callable[..., Phone]
) -> None:
    behind, bob, stranger = phones("127.0.0.2"), phones(), phones("127.0.0.3")
    seen = Endpoint("127.0.0.2", 5060)
    told_bob = where(plane.offer("k", CALLER, request(text("192.168.1.7", 4000)), seen=seen))
    told_alice = where(plane.answer("k", CALLEE, response(bob.sdp()), seen=HERE))
    bob.send(told_bob)  # goes nowhere: nobody knows yet what the NAT makes of the caller
    stranger.send(told_alice)
    behind.send(told_alice)
    assert await bob.heard() == RTP
    stranger.send(told_alice, b"\x80evil")
    bob.send(told_bob, b"\x80two")
    assert await behind.heard() == b"\x80two"
    assert plane.relays[4].sessions.pop().a.rtp.dropped == 2


async def test_a_machine_elsewhere_must_not_aim_media_at_services_of_this_one() -> None:
    plane = EmbeddedMedia({4: Relay("0.0.0.0", range(43_200, 43_241), advertised="192.0.2.1")}, lambda: "x")
    far = Endpoint("198.51.100.7", 5060)
    for host, port in (("127.0.0.1", 53), ("192.0.2.1", 53), ("233.252.0.1", 4000)):
        with pytest.raises(PeerError) as caught:
            plane.offer("k", CALLER, request(text(host, port)), seen=far)
        assert caught.value.status == 488
    assert not len(plane)
    plane.offer("k", CALLER, request(text("192.0.2.1", 43_240)), seen=far)  # a call that passes here twice
    here = plane.offer("l", CALLER, request(text()), seen=HERE, toward=HERE)
    assert where(here) is not None
    plane.close()


async def test_four_and_six(phones: Callable[..., Phone]) -> None:
    relays = {4: Relay("127.0.0.1", range(43_300, 43_310)), 6: Relay("::1", range(43_300, 43_310))}
    plane = EmbeddedMedia(relays, lambda: "x")
    alice = phones()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bob:
        bob.bind(("::1", 0))
        six = Endpoint("::1", 5060)
        offered = described(plane.offer("k", CALLER, request(alice.sdp()), seen=HERE, toward=six))
        assert offered.connection is not None
        assert str(offered.connection) == "IN IP6 ::1"
        body = (
            text().replace("IP4 127.0.0.1", "IP6 ::1").replace("audio 4000", f"audio {bob.getsockname()[1]}")
        )
        told = plane.answer("k", CALLEE, response(body), seen=six, toward=HERE)
        alice.send(where(told))
        bob.settimeout(3)
        assert (await asyncio.to_thread(bob.recvfrom, 4000))[0] == RTP
    plane.close()


async def test_ports_that_run_out_are_a_503_and_leave_nothing() -> None:
    plane = EmbeddedMedia({4: Relay("127.0.0.1", range(43_400, 43_406))}, lambda: "x")
    with pytest.raises(PeerError) as caught:
        plane.offer("k", CALLER, request(text() + "m=video 6 RTP/AVP 31\r\n"), seen=HERE)
    assert caught.value.status == 503
    assert not plane.relays[4].sessions
    with pytest.raises(PeerError) as caught:
        plane.offer("k", CALLER, request(text() + "m=video 6 RTP/AVP 31\r\n" * 8), seen=HERE)
    assert caught.value.status == 488
    with pytest.raises(PeerError, match="IPv6"):
        plane.offer("k", CALLER, request(text()), seen=HERE, toward=Endpoint("2001:db8::1", 5060))
    plane.close()


async def test_silence_ends_a_call_that_is_up_and_holds_are_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.transport.relay.SWEEP", 0.1)
    told: list[str] = []
    plane = EmbeddedMedia(
        {4: Relay("127.0.0.1", range(43_500, 43_520))}, lambda: "x", Timeouts(0.2, 600, 0.02)
    )
    for key, direction, status in (
        ("up", "sendrecv", 200),
        ("held", "sendonly", 200),
        ("rings", "sendrecv", 183),
    ):
        plane.offer(key, CALLER, request(text(direction=direction)), seen=HERE, silent=told.append)
        plane.answer(key, CALLEE, response(text(port=5000), status), seen=HERE)
    for _ in range(100):
        await asyncio.sleep(0.02)
        if told:
            break
    await asyncio.sleep(0.2)
    assert told == ["up"]
    assert len(plane) == 2
    plane.close()


async def test_an_answer_to_nothing_does_not_pass(plane: EmbeddedMedia) -> None:
    message: Message = response(text())
    assert plane.answer("k", CALLEE, message, seen=HERE).outcome is Outcome.UNREADABLE
    plane.offer("k", CALLER, request(text()), seen=HERE)
    assert plane.answer("k", CALLER, message, seen=HERE).outcome is Outcome.UNREADABLE
    more = response(text() + "m=video 6 RTP/AVP 31\r\n")
    assert plane.answer("k", CALLEE, more, seen=HERE).outcome is Outcome.UNREADABLE


async def test_a_stream_over_tcp_stays_or_is_refused_for_an_anonymous_caller(plane: EmbeddedMedia) -> None:
    body = text() + "m=message 7654 TCP/MSRP *\r\na=path:msrp://10.0.0.7:7654/x;tcp\r\n"
    open_ = described(plane.offer("k", CALLER, request(body), seen=HERE))
    assert open_.media[1].port == 7654
    hidden = plane.offer("l", CALLER, request(body), seen=HERE, anonymous=True)
    assert described(hidden).media[1].rejected
    assert b"10.0.0.7" not in hidden.body


async def test_on_all_addresses_a_party_is_told_the_one_that_its_packets_come_from() -> None:
    plane = EmbeddedMedia({4: Relay("0.0.0.0", range(43_600, 43_640))}, lambda: "x")
    away = Endpoint("198.51.100.7", 5060)
    offered = plane.offer("k", CALLER, request(text()), seen=HERE, toward=away, anonymous=True)
    address = where(offered)
    assert address is not None
    own = address_toward("198.51.100.7") or "127.0.0.1"
    assert address[0] == own
    assert described(offered).origin.address == address[0]
    told = where(plane.answer("k", CALLEE, response(text("198.51.100.7")), seen=away, toward=HERE))
    assert told is not None
    assert told[0] == "127.0.0.1"
    with pytest.raises(PeerError, match="this machine"):
        plane.offer("l", CALLER, request(text(own, 5060)), seen=away)
    plane.close()
