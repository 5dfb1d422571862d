"""SDP: the grammar, its errors, and that what is not understood goes out as it came in."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import sdp
from ringfence.message.errors import LocalError, PeerError
from ringfence.message.sdp_attributes import Direction, Format

RFC4317 = (Path(__file__).parent / "data" / "rfc4317.txt").read_text()

SEMINAR = """\
v=0
o=jdoe 2890844526 2890842807 IN IP4 10.47.16.5
s=SDP Seminar
i=A Seminar on the session description protocol
u=http://www.example.com/seminars/sdp.pdf
e=j.doe@example.com (Jane Doe)
p=+1 617 555-6011
c=IN IP4 224.2.17.12/127
b=CT:128
t=2873397496 2873404696
r=7d 1h 0 25h
z=2882844526 -1h 2898848070 0
k=clear:secret
a=recvonly
m=audio 49170 RTP/AVP 0
m=video 51372 RTP/AVP 99
i=the speaker
c=IN IP4 224.2.1.1/127/3
b=AS:64
k=prompt
a=rtpmap:99 h263-1998/90000
"""

MINIMAL = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"


def crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def audio(*attributes: str, line: str = "m=audio 4000 RTP/AVP 0 8 101") -> sdp.Media:
    body = MINIMAL.replace("t=", "c=IN IP4 192.0.2.1\r\nt=") + "\r\n".join(
        (line, *(f"a={a}" for a in attributes))
    )
    return sdp.parse(body).media[0]


@pytest.mark.rfc("4566", "5")
def test_the_example_of_the_rfc_with_every_line_type() -> None:
    session = sdp.parse(crlf(SEMINAR))
    assert str(session) == crlf(SEMINAR)
    assert session.origin == sdp.Origin("jdoe", 2890844526, 2890842807, "10.47.16.5")
    assert session.emails == ["j.doe@example.com (Jane Doe)"]
    assert session.phones == ["+1 617 555-6011"]
    assert session.bandwidths == [("CT", 128)]
    assert session.key == ("clear", "secret")
    audio, video = session.media
    assert session.direction_of(audio) is session.direction_of(video) is Direction.RECVONLY
    assert session.address_of(audio) == ("224.2.17.12", 49170)
    assert session.address_of(video) == ("224.2.1.1", 51372)
    assert session.rtcp_address_of(video) == ("224.2.1.1", 51373)
    assert video.information == "the speaker"
    assert video.codecs == [Format(99, "h263-1998", 90000)]
    assert session.connection is not None
    assert session.connection.multicast


@pytest.mark.rfc("4566", "5.10")
def test_repeat_times_and_zones() -> None:
    timing = sdp.parse(SEMINAR).times[0]
    repeat = timing.repeats[0]
    assert [sdp.seconds(text) for text in (repeat.interval, repeat.duration, *repeat.offsets)] == [
        604800,
        3600,
        0,
        90000,
    ]
    assert [(time, sdp.seconds(offset)) for time, offset in timing.zone] == [
        (2882844526, -3600),
        (2898848070, 0),
    ]


@pytest.mark.rfc("8866", "5")
def test_zones_after_each_repeat_keep_their_place() -> None:
    text = MINIMAL.replace(
        "t=0 0\r\n", "t=3034423619 3042462419\r\nr=7d 1h 0\r\nz=2882844526 -1h\r\nt=0 0\r\n"
    )
    session = sdp.parse(text)
    assert [len(timing.zone) for timing in session.times] == [1, 0]
    assert str(session) == text


@pytest.mark.rfc("4317", "2")
@pytest.mark.parametrize("example", RFC4317.split("# ")[1:], ids=lambda text: text.partition("\n")[0])
def test_every_description_of_rfc_4317_round_trips(example: str) -> None:
    body = crlf(example.partition("\n")[2])
    session = sdp.parse(body.encode())
    assert session.to_bytes() == body.encode()


@pytest.mark.rfc("3264", "9")
def test_connection_after_time_as_figure_1_of_rfc_3264_prints_it() -> None:
    text = """v=0
o=carol 28908764872 28908764872 IN IP4 100.3.6.6
s=-
t=0 0
c=IN IP4 192.0.2.4
m=audio 0 RTP/AVP 0 1 3
a=rtpmap:0 PCMU/8000
a=rtpmap:1 1016/8000
a=rtpmap:3 GSM/8000
m=video 0 RTP/AVP 31 34
a=rtpmap:31 H261/90000
a=rtpmap:34 H263/90000
"""
    session = sdp.parse(text)
    assert session.connection == sdp.Connection("192.0.2.4")
    assert [format.encoding for format in session.media[0].codecs] == ["PCMU", "1016", "GSM"]
    assert session.address_of(session.media[0]) is None


@pytest.mark.rfc("3204", "5")
def test_a_space_before_the_times_as_rfc_3204_prints_it() -> None:
    text = """v=0
o=jpeterson 2890844526 2890842807 IN IP4 126.16.64.4
s=SDP seminar
c=IN IP4 MG122.level3.com
t= 2873397496 2873404696
m=audio 9092 RTP/AVP 0 3 4
"""
    (timing,) = sdp.parse(text).times
    assert (timing.start, timing.stop) == (2873397496, 2873404696)


@pytest.mark.rfc("4475", "3.1.1.1")
def test_the_description_of_the_torture_tests_with_a_malformed_rtpmap() -> None:
    text = (
        "v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\n"
        "m=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n"
    )
    session = sdp.parse(text)
    assert str(session) == text
    assert [format.encoding for format in session.media[0].codecs] == ["PCMU", "QCELP"]
    # The rtpmap names no clock rate: it is ignored, and the static assignment stands.
    assert session.media[1].codecs[0] == Format(31, "H261", 90000)


def test_unknown_attributes_and_media_round_trip_byte_for_byte() -> None:
    body = (
        b"v=0\r\no=- 1 1 IN IP4 a.example\r\ns=\xe9t\xe9\r\nc=IN IP4 a.example\r\nt=0 0\r\n"
        b"a=charset:ISO-8859-1\r\n"
        b"a=X-odd:  two  spaces \r\n"
        b"m=hologram 9/3 TCP/X/Y * 1a\r\na=ice-thing::;=\xff\r\n"
    )
    assert sdp.parse(body).to_bytes() == body


def test_lf_alone_a_missing_last_line_end_and_empty_last_lines_are_read() -> None:
    expected = sdp.parse(crlf(SEMINAR))
    assert (
        sdp.parse(SEMINAR) == sdp.parse(SEMINAR.rstrip()) == sdp.parse(crlf(SEMINAR) + "\r\n\n") == expected
    )


@pytest.mark.rfc("4566", "9")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "SDP line 1: v= is required here, found the end"),
        ("v=1\r\n", "SDP line 1: v= the only version is 0"),
        ("v=0\r\ns=-\r\n", "SDP line 2: o= is required here, found 's='"),
        ("v=0\r\no=- 1 1 IN IP4\r\n", "SDP line 2: o= has 5 fields, not 6"),
        ("v=0\r\no=- 1  IN IP4 h\r\n", "SDP line 2: o= has an empty field: one space separates fields"),
        ("v=0\r\no=- x 1 IN IP4 h\r\n", "SDP line 2: o= 'x' is not a number"),
        ("v=0\r\no=- " + "1" * 21 + " 1 IN IP4 h\r\n", "SDP line 2: o= '" + "1" * 21 + "' is not a number"),
        ("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\n", "SDP line 4: t= is required here, found the end"),
        (MINIMAL.replace("s=-", "s=-\r\ns=-"), "SDP line 4: t= is required here, found 's='"),
        (MINIMAL.replace("t=0 0", "t=0"), "SDP line 4: t= has 1 fields, not 2"),
        (
            MINIMAL.replace("t=0 0", "t=0 0\r\nr=7d 1h"),
            "SDP line 5: r= needs an interval, a duration and an offset",
        ),
        (
            MINIMAL.replace("t=0 0", "t=0 0\r\nr=7w 1h 0"),
            "SDP line 5: r= '7w' is not a time such as 3600 or 7d",
        ),
        (MINIMAL.replace("t=0 0", "t=0 0\r\nz=1"), "SDP line 5: z= has a time without an offset"),
        (MINIMAL + "c=IN IP4\r\n", "SDP line 5: c= has 2 fields, not 3"),
        (MINIMAL + "c=IN IP4 h/x\r\n", "SDP line 5: c= 'x' is not a number"),
        (MINIMAL + "b=AS\r\n", "SDP line 5: b= reads <type>:<bandwidth>"),
        (MINIMAL + "a=\r\n", "SDP line 5: a= names no attribute"),
        (MINIMAL + "k=:x\r\n", "SDP line 5: k= names no method"),
        (MINIMAL + "x=1\r\n", "SDP line 5: 'x=' is unknown or out of order"),
        (MINIMAL + "\r\na=x\r\n", "SDP line 5: '' is unknown or out of order"),
        (MINIMAL + "i=late\r\n", "SDP line 5: 'i=' is unknown or out of order"),
        (MINIMAL + "m=audio 1 RTP/AVP\r\n", "SDP line 5: m= reads <media> <port> <proto> <fmt> ..."),
        (MINIMAL + "m=audio 65536 RTP/AVP 0\r\n", "SDP line 5: m= 65536 is over 65535"),
        (MINIMAL + "m=audio 1 RTP//AVP 0\r\n", "SDP line 5: m= names no media or protocol that is a token"),
        (MINIMAL + "m=audio 1 RTP/AVP 0\r\n", "SDP line 5: neither this stream nor the session has c="),
        (MINIMAL + "a=x\ry\r\n", "SDP line 5: CR and NUL are not allowed inside a line"),
        (MINIMAL + "a=x\0y\r\n", "SDP line 5: CR and NUL are not allowed inside a line"),
    ],
)
def test_errors_name_the_line_and_the_reason(text: str, reason: str) -> None:
    with pytest.raises(PeerError) as caught:
        sdp.parse(text, status=488)
    assert caught.value.reason == reason
    assert caught.value.status == 488


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL + "a=" + "x" * 9000,
        MINIMAL + "a=x\r\n" * 2100,
        MINIMAL + "m=audio 0 RTP/AVP 0\r\n" * 65,
        MINIMAL + "a=x\r\n" * 20_000,
    ],
)
def test_limits(text: str) -> None:
    with pytest.raises(PeerError):
        sdp.parse(text)


@pytest.mark.rfc("3264", "8.4")
def test_an_unspecified_address_asks_that_nothing_be_sent() -> None:
    for address in ("IP4 0.0.0.0", "IP6 ::"):
        session = sdp.parse(f"{MINIMAL}c=IN {address}\r\nm=audio 9 RTP/AVP 0\r\n")
        assert session.address_of(session.media[0]) is None
        assert session.rtcp_address_of(session.media[0]) is None


@pytest.mark.rfc("3605", "2.1")
def test_rtcp_goes_where_the_attribute_says() -> None:
    body = MINIMAL + "c=IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 0\r\n"
    for text, expected in [
        ("53020", ("192.0.2.1", 53020)),
        ("53020 IN IP4 126.16.64.4", ("126.16.64.4", 53020)),
    ]:
        session = sdp.parse(f"{body}a=rtcp:{text}\r\n")
        assert session.rtcp_address_of(session.media[0]) == expected
        assert str(session.media[0].rtcp) == text


def test_views_of_attributes() -> None:
    media = audio(
        "rtpmap:101 telephone-event/8000", "fmtp:101 0-16", "ptime:20", "sendonly", "mid:1", "setup:actpass"
    )
    assert media.codecs[2] == Format(101, "telephone-event", 8000, 1, "0-16")
    assert (media.ptime, media.direction, media.mid, media.setup) == (20, Direction.SENDONLY, "1", "actpass")
    assert not media.secure
    assert audio("ptime:0").ptime is None
    assert audio(line="m=audio 4000 RTP/SAVPF 0").secure
    assert audio(line="m=application 4000 TCP/BFCP *").codecs == []


def test_setting_a_direction_replaces_the_old_one() -> None:
    media = audio("x", "sendonly", "y")
    media.direction = Direction.INACTIVE
    assert [str(attribute) for attribute in media.attributes] == ["x", "y", "inactive"]
    media.direction = None
    assert not media.has("inactive")


def test_replacing_and_removing_attributes() -> None:
    media = audio("x:1", "y", "x:2")
    media.replace("x", 3)
    media.replace("z")
    assert [str(attribute) for attribute in media.attributes] == ["x:3", "y", "z"]
    media.remove("x", "z")
    assert [str(attribute) for attribute in media.attributes] == ["y"]


def test_a_value_cannot_add_lines() -> None:
    session = sdp.parse(MINIMAL)
    session.add("tool", "x\r\na=crypto:1")
    with pytest.raises(LocalError):
        str(session)


token = st.text("abcXYZ019-_.!", min_size=1, max_size=8)
word = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="/\x7f"), min_size=1, max_size=10
)
free = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=12)
number = st.integers(0, 2**63 - 1)
value = st.none() | free
attribute = st.builds(sdp.Attribute, token, value)
time = st.from_regex(r"[0-9]{1,9}[dhms]?", fullmatch=True)
connection = st.builds(sdp.Connection, word, token, token)
bandwidth = st.builds(sdp.Bandwidth, token, number)
key = st.builds(sdp.EncryptionKey, token, value)
repeat = st.builds(sdp.Repeat, time, time, st.lists(time, min_size=1, max_size=2))
zone = st.lists(st.builds(sdp.ZoneAdjustment, number, time | time.map("-{}".format)), max_size=2)
timing = st.builds(sdp.Timing, number, number, st.lists(repeat, max_size=2), zone)
media = st.builds(
    sdp.Media,
    token,
    st.integers(0, 65_535),
    st.lists(token, min_size=1, max_size=3).map("/".join),
    st.lists(word, min_size=1, max_size=3),
    st.none() | st.integers(0, 65_535),
    value,
    st.lists(connection, max_size=2),
    st.lists(bandwidth, max_size=2),
    st.none() | key,
    st.lists(attribute, max_size=3),
)
sessions = st.builds(
    sdp.Session,
    st.builds(sdp.Origin, word, number, number, word, token, token),
    free,
    value,
    value,
    st.lists(free, max_size=2),
    st.lists(free, max_size=2),
    connection,
    st.lists(bandwidth, max_size=2),
    st.lists(timing, min_size=1, max_size=2),
    st.none() | key,
    st.lists(attribute, max_size=3),
    st.lists(media, max_size=2),
)


@settings(max_examples=150, deadline=None)
@given(sessions)
def test_what_is_written_is_read_back(session: sdp.Session) -> None:
    assert sdp.parse(str(session)) == session
    assert sdp.parse(session.to_bytes()) == session
    assert session.copy() == session


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(crlf(SEMINAR).splitlines(keepends=True)) | st.text(max_size=9)).map("".join)
    | st.binary()
)
def test_anything_gives_a_session_or_a_peer_error(data: str | bytes) -> None:
    try:
        session = sdp.parse(data)
    except PeerError:
        return
    assert sdp.parse(str(session)) == session
    for media in session.media:
        assert session.address_of(media) is None or media.port
        assert media.codecs is not None
