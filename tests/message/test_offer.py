"""Offers and answers: the exchanges of RFC 4317, hold and resume, keys, and what an offer can't ask for."""

from dataclasses import replace
from pathlib import Path

import pytest

from ringfence.message import offer as oa
from ringfence.message import sdp
from ringfence.message.errors import LocalError, PeerError
from ringfence.message.sdp_attributes import Crypto, Direction

ALICE = sdp.Origin("alice", 2890844526, 2890844526, "host.atlanta.example.com")
BOB = sdp.Origin("bob", 2808844564, 2808844564, "host.biloxi.example.com")
BOB_HOST = BOB.address

ILBC = oa.Codec("iLBC", payload_type=97)
H261 = oa.Codec("H261", 90000, payload_type=31)
MPV = oa.Codec("MPV", 90000, payload_type=32)
DTMF = oa.Codec("telephone-event", payload_type=98)

KEY_A = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
KEY_B = "inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
SHA80 = "AES_CM_128_HMAC_SHA1_80"


def examples() -> dict[str, sdp.Session]:
    text = (Path(__file__).parent / "data" / "rfc4317.txt").read_text()
    blocks = (block.partition("\n") for block in text.split("# ")[1:])
    return {name: sdp.parse(body) for name, _, body in blocks}


RFC4317 = examples()


def audio(port: int, *codecs: oa.Codec, host: str = BOB_HOST, **more: object) -> oa.Capability:
    return oa.Capability("audio", host, port, codecs, **more)  # type: ignore[arg-type]


def video(port: int, *codecs: oa.Codec, host: str = BOB_HOST) -> oa.Capability:
    return oa.Capability("video", host, port, codecs)


ALICE_AUDIO = audio(49170, oa.PCMU, oa.PCMA, ILBC, host=ALICE.address)
ALICE_VIDEO = video(51372, H261, MPV, host=ALICE.address)


@pytest.mark.rfc("4317", "2.1")
def test_the_offer_of_section_2_1() -> None:
    made = oa.make_offer([ALICE_AUDIO, ALICE_VIDEO], ALICE)
    made.name = " "
    assert made == RFC4317["2.1 offer"]


@pytest.mark.parametrize(
    ("section", "bob"),
    [
        ("2.1", [audio(49174, oa.PCMU), video(49170, MPV)]),
        ("2.2", [audio(49172, oa.PCMU, oa.PCMA)]),
        ("2.4", [audio(49172, ILBC), audio(49174, DTMF)]),
        ("2.6", [audio(49170, ILBC, replace(DTMF, payload_type=101))]),
        ("2.7", [audio(49172, ILBC), video(51374, H261, MPV)]),
        ("2.8", [audio(49174, oa.PCMU), video(49172, MPV, host="otherhost.biloxi.example.com")]),
        ("4.2", [audio(49172, oa.PCMU)]),
        ("4.3", [audio(49174, ILBC), video(49170, H261)]),
        ("5.1", []),
        ("5.2", [audio(49170, ILBC)]),
    ],
)
@pytest.mark.rfc("4317", "2")
def test_the_answers_of_rfc_4317(section: str, bob: list[oa.Capability]) -> None:
    answer = oa.answer(RFC4317[f"{section} offer"], bob, BOB)
    assert answer.media == RFC4317[f"{section} answer"].media
    assert answer.origin == BOB


@pytest.mark.rfc("4317", "2.2")
def test_a_second_exchange_counts_both_versions_up() -> None:
    offer = oa.make_offer([ALICE_AUDIO, ALICE_VIDEO], ALICE)
    second = oa.make_offer([audio(51372, oa.PCMU, host=ALICE.address), None], ALICE, offer)
    second.name = " "
    assert second == RFC4317["2.2 second offer"]
    bob = [audio(49172, oa.PCMU, oa.PCMA)]
    first_answer = oa.answer(offer, bob, BOB)
    answer = oa.answer(second, bob, BOB, first_answer)
    assert oa.answer(second, bob, BOB, answer) == answer  # nothing changed: the same version
    answer.name = " "
    assert answer == RFC4317["2.2 second answer"]


@pytest.mark.rfc("4317", "3.1")
def test_an_answer_on_hold_and_the_offer_that_resumes() -> None:
    bob = [audio(49172, ILBC, direction=Direction.SENDONLY)]
    answer = oa.answer(RFC4317["3.1 offer"], bob, BOB)
    assert answer.media == RFC4317["3.1 answer"].media
    resumed = oa.make_offer([audio(49170, ILBC)], BOB, answer)
    assert resumed.media == RFC4317["3.1 second offer"].media
    assert resumed.origin == RFC4317["3.1 second offer"].origin


@pytest.mark.rfc("3264", "8.4")
def test_hold_and_resume_change_directions_and_versions_only() -> None:
    before = sdp.parse(str(RFC4317["3.2 answer"]))
    held = oa.hold(before)
    assert [held.direction_of(media) for media in held.media] == [Direction.SENDONLY, Direction.INACTIVE]
    assert held.origin.version == before.origin.version + 1
    resumed = oa.resume(held)
    assert [resumed.direction_of(media) for media in resumed.media] == [
        Direction.SENDRECV,
        Direction.RECVONLY,
    ]
    assert resumed.origin.version == held.origin.version + 1
    assert before == RFC4317["3.2 answer"]


@pytest.mark.rfc("3264", "8.4")
def test_resume_gives_back_what_was_never_received() -> None:
    before = oa.make_offer([audio(4000, DTMF, direction=Direction.SENDONLY)], ALICE)
    held = oa.hold(before)
    assert held.origin.version == before.origin.version  # it was sendonly already: no new version
    assert oa.resume(held, before).media == before.media


@pytest.mark.rfc("3264", "6.1")
@pytest.mark.parametrize(
    ("offered", "able", "expected"),
    [
        ("sendrecv", "sendrecv", "sendrecv"),
        ("sendonly", "sendrecv", "recvonly"),
        ("recvonly", "sendrecv", "sendonly"),
        ("inactive", "sendrecv", "inactive"),
        ("sendrecv", "recvonly", "recvonly"),
        ("sendonly", "sendonly", "inactive"),
        ("recvonly", "recvonly", "inactive"),
    ],
)
def test_directions_of_the_answer(offered: str, able: str, expected: str) -> None:
    offer = oa.make_offer([audio(4000, oa.PCMU, direction=Direction(offered))], ALICE)
    answer = oa.answer(offer, [audio(5000, oa.PCMU, direction=Direction(able))], BOB)
    assert answer.direction_of(answer.media[0]) == expected


@pytest.mark.rfc("3264", "6.1")
def test_formats_keep_the_order_and_the_numbers_of_the_offer() -> None:
    offer = oa.make_offer(
        [audio(4000, oa.PCMA, replace(ILBC, parameters="mode=20"), oa.PCMU, oa.TELEPHONE_EVENT)], ALICE
    )
    ours = audio(5000, oa.PCMU, oa.PCMA, oa.Codec("ilbc"), oa.Codec("telephone-event", parameters="0-15"))
    answered = oa.answer(offer, [ours], BOB).media[0]
    assert answered.formats == ["8", "97", "0", "101"]
    assert [format.parameters for format in answered.codecs] == [None, "mode=20", None, "0-15"]


@pytest.mark.rfc("3264", "6.1")
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("m=audio 4000 RTP/AVP 18", "audio: no codec in common"),
        ("m=audio 4000 RTP/AVP 18 101", "audio: no codec in common"),
        ("m=audio 4000 RTP/SAVP 0", "audio: RTP/SAVP is not supported, RTP/AVP is"),
        ("m=video 4000 RTP/AVP 31", "video: this media type is not available"),
        ("c=IN IP4 233.252.0.1/127\r\nm=audio 4000 RTP/AVP 0", "audio: multicast is not supported"),
        ("c=ATM NSAP 47.0091\r\nm=audio 4000 RTP/AVP 0", "audio: no Internet address"),
    ],
)
def test_an_offer_without_an_acceptable_stream_is_refused(line: str, reason: str) -> None:
    c = "" if line.startswith("c=") else "c=IN IP4 192.0.2.1\r\n"
    text = f"v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n{c}{line}\r\na=rtpmap:101 telephone-event/8000\r\n"
    with pytest.raises(PeerError) as caught:
        oa.answer(sdp.parse(text), [audio(5000, oa.PCMU, oa.TELEPHONE_EVENT)], BOB)
    assert (caught.value.status, caught.value.reason) == (488, reason)


@pytest.mark.rfc("3264", "8.2")
def test_a_stream_offered_with_port_zero_stays_at_zero() -> None:
    first = oa.make_offer([ALICE_AUDIO, ALICE_VIDEO], ALICE)
    removed = oa.make_offer([None, None], ALICE, first)
    answer = oa.answer(removed, [audio(5000, oa.PCMU)], BOB)
    assert [media.port for media in answer.media] == [0, 0]
    assert [len(media.formats) for media in answer.media] == [1, 1]


@pytest.mark.rfc("3264", "8.3.2")
def test_payload_types_keep_their_meaning_over_the_session() -> None:
    first = oa.make_offer([audio(4000, oa.Codec("A"), oa.Codec("B"))], ALICE)
    assert first.media[0].formats == ["96", "97"]
    second = oa.make_offer(
        [audio(4000, oa.Codec("C", payload_type=97), oa.Codec("B"), oa.Codec("C", 16000))], ALICE, first
    )
    assert second.media[0].formats == ["98", "97", "99"]


def test_an_offer_of_more_than_the_payload_types_there_are_is_our_fault() -> None:
    with pytest.raises(LocalError):
        oa.make_offer([audio(4000, *(oa.Codec(f"c{n}") for n in range(33)))], ALICE)
    with pytest.raises(LocalError):
        oa.make_offer([None], ALICE)


def test_addresses_ptime_and_rtcp_are_written() -> None:
    capability = audio(4000, oa.PCMU, host="2001:db8::1", ptime=20, rtcp_port=4010, rtcp_mux=True)
    offer = oa.make_offer([capability, video(5000, H261)], ALICE)
    assert str(offer.connection) == "IN IP6 2001:db8::1"
    media = offer.media[0]
    assert [str(a) for a in media.attributes] == ["rtpmap:0 PCMU/8000", "ptime:20", "rtcp:4010", "rtcp-mux"]
    assert offer.address_of(offer.media[1]) == (BOB_HOST, 5000)
    answer = oa.answer(offer, [capability, video(5000, H261)], BOB)
    assert answer.media[0].has("rtcp-mux")
    assert not oa.answer(offer, [audio(4000, oa.PCMU), video(1, H261)], BOB).media[0].has("rtcp-mux")


def crypto(tag: int, key: str, suite: str = SHA80, parameters: str = "") -> Crypto:
    return Crypto.parse(f"{tag} {suite} {key}{parameters}")


def secure(port: int, *cryptos: Crypto) -> oa.Capability:
    return audio(port, oa.PCMU, protocols=("RTP/SAVP",), cryptos=cryptos)


@pytest.mark.rfc("4568", "5.1.2")
def test_the_answer_takes_one_suite_under_its_tag_with_its_own_key() -> None:
    offer = oa.make_offer([secure(4000, crypto(1, KEY_A, "F8_128_HMAC_SHA1_80"), crypto(2, KEY_A))], ALICE)
    assert offer.media[0].protocol == "RTP/SAVP"
    answer = oa.answer(offer, [secure(5000, crypto(1, KEY_B))], BOB)
    assert [str(item) for item in answer.media[0].cryptos] == [f"2 {SHA80} {KEY_B}"]


@pytest.mark.rfc("4568", "6.3.7")
def test_what_makes_a_suite_unacceptable() -> None:
    ours = [crypto(1, KEY_B)]
    assert oa.choose_crypto([crypto(1, KEY_A, parameters=" UNENCRYPTED_SRTP")], ours) is None
    assert oa.choose_crypto([crypto(1, KEY_A, parameters=" FEC_ORDER=FEC_SRTP")], ours) is None
    assert oa.choose_crypto([crypto(1, KEY_A[:-4])], ours) is None
    assert oa.choose_crypto([crypto(1, f"{KEY_A}|1:4;{KEY_B}|2:4")], ours) is None
    chosen = oa.choose_crypto([crypto(7, KEY_A, parameters=" WSH=128 -FUTURE=1")], ours)
    assert chosen is not None
    assert (chosen.tag, chosen.parameters) == (7, ())


@pytest.mark.rfc("4568", "4")
def test_suites_are_the_same_in_any_case() -> None:
    written = crypto(1, KEY_A.replace("inline", "InLine"), "AeS_Cm_128_HmAC_shA1_80", " wsh=128")
    assert written == crypto(1, KEY_A, SHA80, " WSH=128")
    assert oa.choose_crypto([written], [crypto(1, KEY_B)]) == crypto(1, KEY_B)


@pytest.mark.rfc("4568", "5.1.2")
def test_a_secure_stream_without_a_common_suite_is_refused() -> None:
    offer = oa.make_offer([secure(4000, crypto(1, KEY_A, "F8_128_HMAC_SHA1_80"))], ALICE)
    with pytest.raises(PeerError, match="no crypto suite in common"):
        oa.answer(offer, [secure(5000, crypto(1, KEY_B))], BOB)
    with pytest.raises(LocalError):
        oa.make_offer([secure(4000)], ALICE)
