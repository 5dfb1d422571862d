"""The messages of RFC 4475 and RFC 5118, sent to a node: what it answers, and that it always does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ringfence.message import Request, parse
from ringfence.roles.policy import ChallengeMode
from tests.conversations.network import Network, Wire
from tests.conversations.phones import Phone
from tests.torture.judge import load, stored

ALL = [(suite, name) for suite in ("rfc4475", "rfc5118") for name in sorted(stored(suite))]
RESPONSES = {"bcast", "bigcode", "noreason", "scalarlg", "unreason"}

# What a node of example.org and example.com says that challenges nobody. 480 is said of users who are not there, 500
# of hosts that the DNS does not know.
ANSWERS = {
    "wsinv": 500, "intmeth": 480, "esc01": 500, "escnull": 200, "esc02": 500, "lwsdisp": 480, "longreq": 480,
    "dblreq": 200, "semiuri": 480, "transports": 480, "badinv01": 400, "clerr": 400, "ncl": 400, "scalar02": 400,
    "quotbal": 400, "ltgtruri": 400, "lwsruri": 400, "lwsstart": 400, "trws": 400, "escruri": 480, "baddate": 480,
    "regbadct": 400, "badaspec": 400, "baddn": 400, "badvers": 505, "mismatch01": 400, "mismatch02": 400,
    "badbranch": 480, "insuf": 400, "unkscm": 416, "novelsc": 416, "unksm2": 400, "bext01": 420, "invut": 480,
    "regaut01": 200, "multi01": 400, "mcl01": 400, "zeromf": 200, "cparam01": 200, "cparam02": 200, "regescrt": 200,
    "sdp01": 480, "inv2543": 480, "ipv6-bad": 400, "ipv6-bug-abnf-3-colons": 400, "ipv4-mapped-ipv6": 480,
    "mult-ip-in-header": 500,
}  # fmt: skip


def sent_for(network: Network, data: bytes) -> list[bytes]:
    """What the node sends for a datagram; it must not lose its composure."""
    sent: list[bytes] = []

    def carry(data: bytes, wire: Wire) -> None:
        sent.append(data)

    network.carry = carry  # type: ignore[method-assign]
    source = Phone(network, "source", "198.51.100.77")
    with capture_logs() as logs:
        network.deliver(data, source.wire)
        network.wait(40)
    assert not [entry for entry in logs if entry["log_level"] in {"error", "critical"}]
    return sent


def status_of(data: bytes) -> int:
    match = re.match(rb"SIP/2\.0 (\d{3}) ", data)
    return int(match[1]) if match else 0


@pytest.mark.rfc("4475", "3")
@pytest.mark.rfc("5118", "4")
@pytest.mark.parametrize(("suite", "name"), ALL, ids=[name for _, name in ALL])
def test_what_an_open_node_answers(network: Network, suite: str, name: str) -> None:
    network.policy.challenge = ChallengeMode.NONE
    sent = sent_for(network, load(suite, name))
    if name in RESPONSES:
        assert sent == []  # RFC 6026 section 7.3: nobody waits for them
    elif name in ANSWERS:
        assert status_of(sent[0]) == ANSWERS[name]
    else:
        forwarded = parse(sent[0])
        assert isinstance(forwarded, Request)
        assert load(suite, name).startswith(forwarded.method.encode() + b" ")


@pytest.mark.parametrize(("suite", "name"), ALL, ids=[name for _, name in ALL])
def test_a_node_that_challenges_forwards_none_of_them(network: Network, suite: str, name: str) -> None:
    sent = sent_for(network, load(suite, name))
    assert all(status_of(data) for data in sent)
    assert bool(sent) == (name not in RESPONSES)


@pytest.mark.rfc("3261", "8.2.7")
@pytest.mark.parametrize("name", ["ncl", "clerr", "mismatch01"])
def test_an_answer_that_nothing_is_kept_of_has_the_same_tag_each_time(network: Network, name: str) -> None:
    tags = [parse(sent_for(network, load("rfc4475", name))[0]).to.tag for _ in range(2)]
    assert tags[0] is not None
    assert tags[0] == tags[1]


LINES = sorted(
    {line for suite, name in ALL for line in load(suite, name).partition(b"\r\n\r\n")[0].split(b"\r\n")}
)
SINGLE = (b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq", b"via", b"v", b"content-length", b"l")
EXTRA = [line for line in LINES if b":" in line and line.split(b":")[0].strip().lower() not in SINGLE]
URIS = (
    b"sip:user@example.org",
    b"sip:example.org",
    b"sips:user@example.com;gr",
    b"tel:+1234",
    b"sip:x@203.0.113.1;maddr=192.0.2.1",
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_mixture_of_their_lines_is_survived(data: st.DataObject) -> None:
    """A request with whatever header fields: it is answered or forwarded, and no state stays."""
    network = Network()
    network.account("user")
    network.policy.challenge = data.draw(st.sampled_from(ChallengeMode))
    method = data.draw(
        st.sampled_from([b"INVITE", b"REGISTER", b"OPTIONS", b"ACK", b"CANCEL", b"SUBSCRIBE", b"X"])
    )
    body = data.draw(st.binary(max_size=40))
    lines = [
        b"%b %b SIP/2.0" % (method, data.draw(st.sampled_from(URIS))),
        b"Via: SIP/2.0/UDP 198.51.100.77;branch=z9hG4bKx",
        b"From: <sip:user@example.net>;tag=1",
        b"To: <sip:user@example.org>",
        b"Call-ID: x",
        b"CSeq: 1 " + method,
        *data.draw(st.lists(st.sampled_from(EXTRA), max_size=8)),
    ]
    sent = sent_for(network, b"\r\n".join(lines) + b"\r\n\r\n" + body)
    assert sent or method == b"ACK"
    network.wait(300)
    assert network.transactions == 0
