"""What two descriptions agree on, and the order in which offers and answers may come."""

import pytest

from ringfence.message import sdp
from ringfence.message.errors import LocalError, PeerError
from ringfence.message.negotiation import Negotiation, agreed, check_answer
from ringfence.message.sdp_attributes import Direction

from .test_offer import KEY_A, KEY_B, RFC4317, SHA80


def description(*lines: str) -> sdp.Session:
    head = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"]
    return sdp.parse("\n".join((*head, *lines)))


@pytest.mark.rfc("4317", "2.3")
def test_payload_types_to_send_are_those_of_the_peer() -> None:
    offer, answer = RFC4317["2.3 offer"], RFC4317["2.3 answer"]
    alice, bob = agreed(offer, answer)[0], agreed(answer, offer)[0]
    assert alice is not None
    assert bob is not None
    assert [format.payload_type for format in alice.send] == [99]
    assert [format.payload_type for format in bob.send] == [97]
    assert [format.payload_type for format in alice.receive] == [0, 8, 97]
    assert alice.remote == ("host.biloxi.example.com", 49172)
    assert alice.remote_rtcp == ("host.biloxi.example.com", 49173)


@pytest.mark.rfc("4317", "2.4")
def test_one_way_streams_and_rejected_ones() -> None:
    tones = agreed(RFC4317["2.4 answer"], RFC4317["2.4 offer"])[1]
    assert tones is not None
    assert tones.direction is Direction.RECVONLY
    assert agreed(RFC4317["2.6 offer"], RFC4317["2.6 answer"])[0] is None
    held = agreed(RFC4317["3.1 offer"], RFC4317["3.1 answer"])[0]
    assert held is not None
    assert held.direction is Direction.RECVONLY


@pytest.mark.rfc("3264", "8.4")
def test_nothing_is_sent_to_an_unspecified_address() -> None:
    for name in ("5.2", "5.3"):
        pair = RFC4317[f"{name} offer"], RFC4317[f"{name} answer"]
        local, remote = pair[::-1] if name == "5.2" else pair
        stream = agreed(local, remote)[0]
        assert stream is not None
        assert stream.remote is stream.remote_rtcp is None


@pytest.mark.rfc("5761", "5.1.1")
def test_rtcp_shares_the_port_when_both_say_so() -> None:
    both = description("m=audio 4000 RTP/AVP 0", "a=rtcp-mux", "a=ptime:30")
    one = description("m=audio 4000 RTP/AVP 0")
    shared, apart = agreed(both, both)[0], agreed(both, one)[0]
    assert shared is not None
    assert apart is not None
    assert (shared.remote_rtcp, shared.ptime) == (("192.0.2.1", 4000), 30)
    assert (apart.remote_rtcp, apart.rtcp_mux) == (("192.0.2.1", 4001), False)


@pytest.mark.rfc("4568", "5.1.3")
def test_keys_of_both_directions() -> None:
    ours = description("m=audio 4000 RTP/SAVP 0", f"a=crypto:1 X {KEY_A}", f"a=crypto:2 {SHA80} {KEY_A}")
    theirs = description("m=audio 5000 RTP/SAVP 0", f"a=crypto:2 {SHA80} {KEY_B}")
    stream = agreed(ours, theirs)[0]
    assert stream is not None
    assert stream.local_crypto is not None
    assert stream.remote_crypto is not None
    assert (str(stream.local_crypto.keys[0]), str(stream.remote_crypto.keys[0])) == (KEY_A, KEY_B)


@pytest.mark.rfc("4568", "7.1.2")
@pytest.mark.parametrize(
    "line", ["a=x", f"a=crypto:1 {SHA80} {KEY_B}", f"a=crypto:2 Y {KEY_B}", f"a=crypto:2 {SHA80} {KEY_A}"]
)
def test_an_answer_without_a_fresh_key_for_an_offered_suite_fails(line: str) -> None:
    ours = description("m=audio 4000 RTP/SAVP 0", f"a=crypto:2 {SHA80} {KEY_A}")
    with pytest.raises(PeerError):
        agreed(ours, description("m=audio 5000 RTP/SAVP 0", line))


@pytest.mark.rfc("3264", "6")
@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "the answer has 0 streams, the offer 2"),
        (["m=audio 1 RTP/AVP 0", "m=video 2 RTP/AVP 31"], "stream 2 has a port, the offer has none"),
        (["m=video 1 RTP/AVP 0", "m=video 0 RTP/AVP 31"], "stream 1 is video, the offer has audio"),
        (["m=audio 1 RTP/SAVP 0", "m=video 0 RTP/AVP 31"], "stream 1 is RTP/SAVP, the offer has RTP/AVP"),
        (["m=audio 1 RTP/AVP 8", "m=video 0 RTP/AVP 31"], "stream 1 has no format of the offer"),
        (["m=audio 0 RTP/AVP 8", "m=video 0 RTP/AVP 31"], None),
        (["m=audio 1 RTP/AVP 8 0", "m=video 0 RTP/AVP 31"], None),
    ],
)
def test_what_is_no_answer(lines: list[str], reason: str | None) -> None:
    offer = description("m=audio 1 RTP/AVP 0", "m=video 0 RTP/AVP 31")
    assert check_answer(offer, description(*lines)) == ([reason] if reason else [])


AUDIO = description("m=audio 4000 RTP/AVP 0")


@pytest.mark.rfc("3264", "4")
def test_an_exchange_each_way() -> None:
    dialog = Negotiation()
    dialog.send_offer(AUDIO)
    assert (dialog.local, dialog.complete, dialog.pending) == (None, False, AUDIO)
    assert dialog.receive_answer(AUDIO)[0] is not None
    assert dialog.complete
    dialog.receive_offer(RFC4317["2.1 offer"])
    assert dialog.remote == AUDIO  # until it is answered
    dialog.send_answer(RFC4317["2.1 answer"])
    assert (dialog.local, dialog.remote) == (RFC4317["2.1 answer"], RFC4317["2.1 offer"])


@pytest.mark.rfc("3264", "4")
def test_only_one_offer_may_wait() -> None:
    dialog = Negotiation()
    dialog.send_offer(AUDIO)
    with pytest.raises(LocalError):
        dialog.send_offer(AUDIO)
    with pytest.raises(PeerError) as glare:
        dialog.receive_offer(AUDIO)
    assert glare.value.status == 491
    dialog.abandon()
    dialog.receive_offer(AUDIO)
    with pytest.raises(LocalError):
        dialog.send_offer(AUDIO)
    with pytest.raises(PeerError) as second:
        dialog.receive_offer(AUDIO)
    assert second.value.status == 500


def test_answers_need_an_offer() -> None:
    with pytest.raises(LocalError):
        Negotiation().send_answer(AUDIO)
    with pytest.raises(PeerError):
        Negotiation().receive_answer(AUDIO)


@pytest.mark.rfc("3264", "8")
def test_a_later_offer_keeps_the_streams_and_a_bad_answer_keeps_the_pair() -> None:
    dialog = Negotiation()
    dialog.send_offer(AUDIO)
    dialog.receive_answer(AUDIO)
    with pytest.raises(PeerError) as fewer:
        dialog.receive_offer(description())
    assert fewer.value.status == 488
    dialog.send_offer(RFC4317["2.1 offer"])
    with pytest.raises(PeerError):
        dialog.receive_answer(AUDIO)
    assert (dialog.local, dialog.complete) == (AUDIO, True)
