"""Descriptions that tell nothing of their maker, whatever was in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import sdp
from ringfence.message.anonymous import KEPT, anonymize
from ringfence.message.sdp import Origin

SECRET = "alice-7"
ORIGIN = Origin("-", 9, 1, "192.0.2.1")
NAMES = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1, max_size=12
)
LINES = st.lists(st.tuples(NAMES, st.booleans()), max_size=12)


def hidden(*attributes: str, before: str = "") -> sdp.Session:
    lines = "\r\n".join(f"a={each}" for each in attributes)
    head = "v=0\r\no=alice 1 1 IN IP4 192.0.2.1\r\ns=x\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    return anonymize(sdp.parse(f"{head}{before}m=audio 4000 RTP/AVP 0\r\n{lines}\r\n"), ORIGIN, "c1")


@given(LINES, LINES)
def test_an_attribute_that_is_not_known_never_passes(
    session: list[tuple[str, bool]], media: list[tuple[str, bool]]
) -> None:
    def lines(wanted: list[tuple[str, bool]]) -> str:
        return "".join(
            f"a={name}:{SECRET}\r\n" if value else f"a={name}\r\n"
            for name, value in wanted
            if name not in KEPT and not name.startswith("T38") and name != "extmap"
        )

    head = f"v=0\r\no={SECRET} 7 7 IN IP4 10.0.0.7\r\ns={SECRET}\r\ni={SECRET}\r\nu=http://{SECRET}/\r\n"
    head += f"e={SECRET}\r\np={SECRET}\r\nc=IN IP4 192.0.2.1\r\nt=1 2\r\nk=clear:{SECRET}\r\n{lines(session)}"
    body = f"{head}m=audio 4000 RTP/AVP 0\r\ni={SECRET}\r\nk=clear:{SECRET}\r\n{lines(media)}"
    text = str(anonymize(sdp.parse(body), ORIGIN, "c1"))
    assert SECRET not in text
    assert (
        text
        == "v=0\r\no=- 9 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    )


@pytest.mark.parametrize(
    "attribute",
    ["rtpmap:0 PCMU/8000", "fmtp:101 0-15", "sendonly", "crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc", "rtcp-mux",
     "fingerprint:SHA-256 AB", "setup:actpass", "mid:1", "T38FaxVersion:0", "ssrc:7 fmtp:0 x",
     "des:qos mandatory local", "extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
     "extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level"],
)  # fmt: skip
def test_what_media_need_passes(attribute: str) -> None:
    assert [str(each) for each in hidden(attribute).media[0].attributes] == [attribute]


@pytest.mark.parametrize(
    "attribute",
    ["extmap:1 urn:ietf:params:rtp-hdrext:sdes:cname", "ssrc:7 msid:alice x", "ssrc:7 label:alice", "zrtp-hash:1.10 ab",
     "key-mgmt:mikey abc", "identity:abc", "msid:alice x", "candidate:1 1 UDP 1 10.0.0.7 1 typ host",
     "acap:1 crypto:1 alice", "path:msrp://10.0.0.7:1/x;tcp", "source-filter: incl IN IP4 * 10.0.0.7", "tool:x"],
)  # fmt: skip
def test_what_names_somebody_does_not(attribute: str) -> None:
    assert hidden(attribute).media[0].attributes == []


def test_a_cname_is_replaced_and_bandwidth_stays() -> None:
    made = hidden("ssrc:7 cname:alice@10.0.0.7", before="b=AS:64\r\n")
    assert [str(each) for each in made.media[0].attributes] == ["ssrc:7 cname:c1"]
    assert [str(each) for each in made.bandwidths] == ["AS:64"]
