"""Every byte that reaches the other side of a private call, searched for everything that names a party (RFC 3323).

The party puts a mark into each value that could name it, in each message that it sends: requests, answers, failures,
bodies. What the other side has received is then searched for all of them. What a priv-value does not cover is named in
the test; so is what every value covers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import Message, Request, Response
from ringfence.message.fields import REGISTRY
from ringfence.roles.media_relay import EmbeddedMedia
from ringfence.transport.relay import Relay
from tests.conversations.network import NODE4, Network, Wire
from tests.conversations.phones import Phone

HOST = "198.51.100.77"
SDP_TYPE = ("Content-Type", "application/sdp")

WAY = {
    "Via": "SIP/2.0/UDP via-mark.alice-corp.example;branch=z9hG4bKvia-mark",
    "Record-Route": f"<sip:route-mark@{HOST};lr>",
    "P-Access-Network-Info": "3GPP-UTRAN-TDD;utran-cell-id-3gpp=cell-mark",
    "Session-ID": "ab30317f1a784dc48ff824d0d3715d86",
    "Geolocation": "<cid:place-mark@alice-corp.example>",
    "P-Charging-Vector": "icid-value=icid-mark",
}
"""What header privacy covers, and user privacy too."""

ABOUT = {
    "User-Agent": "agent-mark/1",
    "Server": "server-mark/1",
    "Organization": "organization-mark",
    "Subject": "subject-mark",
    "Reply-To": "<sip:reply-mark@alice-corp.example>",
    "In-Reply-To": "irt-mark@alice-corp.example",
    "Call-Info": "<http://info-mark.example/alice.jpg>;purpose=icon",
    "Warning": '399 warning-mark.example "alice says so"',
    "Referred-By": "<sip:alice@example.org>",
    "Alert-Info": "<http://ring-mark.example/alice.wav>",
    "Reason": 'SIP;cause=200;text="reason-mark"',
    "User-to-User": "56a390f3d2b7310023;encoding=hex",
    "Remote-Party-ID": "<sip:rpid-mark@example.org>",
    "X-Anything": "x-mark",
    "P-Preferred-Identity": "<sip:alice@example.org>",
}
"""What user privacy covers."""

LINES = (
    "origin-mark",
    "session-mark",
    "information-mark",
    "email-mark",
    "phone-mark",
    "uri-mark",
    "cname-mark",
)

DIALOG = ("call-id-mark", "tag-mark", "contact-mark")
"""What a back-to-back user agent covers for whatever value it is there."""


def description(direction: str = "sendrecv", port: int = 41_000) -> bytes:
    return (
        f"v=0\r\no=origin-mark 1 1 IN IP4 {HOST}\r\ns=session-mark\r\ni=information-mark\r\n"
        "u=http://uri-mark.example/\r\n"
        f"e=email-mark@example.org\r\np=phone-mark <+1 555 0100>\r\nc=IN IP4 {HOST}\r\nt=0 0\r\na=tool:tool-mark\r\n"
        f"m=audio {port} RTP/AVP 0\r\na=rtcp:{port + 1} IN IP4 {HOST}\r\n"
        f"a=ssrc:1234 cname:cname-mark\r\na={direction}\r\n"
    ).encode()


def marked(message: Message, *, way: bool = True, about: bool = True) -> Message:
    """The message with everything that its sender may write of itself."""
    headers = message.headers
    response = isinstance(message, Response)
    for name, value in ({**WAY, **ABOUT} if about else WAY).items() if way else ():
        if response and name in {"Via", "Record-Route", "P-Preferred-Identity"}:
            continue
        if isinstance(message, Request) and message.method == "REGISTER":
            continue
        if name not in headers.names or name == "Via":
            headers.add(name, value)
    return message


class Listener:
    """All that the node sends to one address."""

    def __init__(self, network: Network, host: str) -> None:
        self.heard: list[bytes] = []
        carry = network.carry

        def listen(data: bytes, wire: Wire) -> None:
            if wire.remote.host == host:
                self.heard.append(data)
            carry(data, wire)

        network.carry = listen  # type: ignore[method-assign]

    def found(self, marks: Iterable[str]) -> list[str]:
        """The marks that were heard."""
        whole = b"\n".join(self.heard).decode("utf-8", "replace").lower()
        assert whole, "nothing was heard"
        return [mark for mark in marks if mark.lower() in whole]


@pytest.fixture
async def plane(network: Network) -> AsyncIterator[EmbeddedMedia]:
    tokens = count()
    relay = Relay("127.0.0.1", range(44_200, 44_400), advertised=NODE4)
    plane = EmbeddedMedia({4: relay}, lambda: f"t{next(tokens)}")
    assert network.services.bridges is not None
    network.services.bridges.media = plane
    yield plane
    plane.close()


@pytest.fixture
def alice(network: Network) -> Phone:
    """Whose every message is marked."""
    phone = Phone(network, "alice", HOST)
    phone.tag = "tag-mark"
    phone.contact = f"sip:contact-mark@{HOST}:5060"
    return phone


NAMES = ("alice", "Liddell", HOST, "mark", "198.51.100")


UNCHANGED = ("", "none", "id")


def call(alice: Phone, bob: Phone, privacy: str) -> None:
    invite = alice.invite(
        bob.aor,
        *([("Privacy", privacy)] if privacy else []),
        ("Supported", "100rel"),
        body=description(),
        from_='"Alice Liddell" <sip:alice@example.org>',
        call_id=f"call-id-mark@{HOST}",
    )
    marked(invite)
    alice >> invite << 407 >> alice.ack()
    again = alice.authorized(invite)
    again.headers.add("Via", WAY["Via"])
    alice >> again << 100
    bob << "INVITE" >> bob.answer(180)
    alice << 180
    if privacy in UNCHANGED:
        return  # no other dialog is made: what is said inside of it is not ours to change
    number = alice.response.cseq.number
    bob >> bob.answer(200, body=description_of_bob())
    alice << 200
    alice.begin()
    alice.dialog.cseq = number
    alice >> marked(alice.within("ACK", cseq=number))
    bob << "ACK"
    bob.dialog.cseq = 50


def description_of_bob(direction: str = "sendrecv") -> bytes:
    host = "203.0.113.20"
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio 42000 RTP/AVP 0\r\na={direction}\r\n"
    ).encode()


@pytest.fixture
def bob(network: Network) -> Phone:
    bob = Phone(network, "bob", "203.0.113.20")
    bob >> bob.register() << 401 >> bob.authorized() << 200
    return bob


def talk(alice: Phone, bob: Phone) -> None:
    """Whatever may be said inside a call, by both; alice marks all that she says."""
    for method in ("INFO", "UPDATE", "MESSAGE", "OPTIONS"):
        alice >> marked(alice.within(method))
        bob << method >> bob.answer(200)
        alice << 200
        bob >> bob.within(method)
        alice << method >> marked(alice.answer(488 if method == "INFO" else 200))
        bob << (488 if method == "INFO" else 200)
    dialogs = alice.dialog, bob.dialog
    alice >> marked(alice.within("INVITE", SDP_TYPE, body=description("sendonly", 41_010))) << 100
    bob << "INVITE" >> bob.answer(200, body=description_of_bob("recvonly"))
    alice << 200
    alice.dialog, bob.dialog = dialogs
    alice >> marked(alice.within("ACK", cseq=alice.dialog.cseq))
    bob << "ACK" >> bob.within("INVITE", SDP_TYPE, body=description_of_bob()) << 100
    alice << "INVITE" >> marked(alice.answer(200, body=description(port=41_020)))
    alice.dialog = dialogs[0]
    bob << 200 >> bob.within("ACK", cseq=bob.dialog.cseq)
    alice << "ACK"
    refer = alice.within("REFER", ("Refer-To", "<sip:carol@example.net>"))
    alice >> marked(refer)
    bob << "REFER" >> bob.answer(603)
    alice << 603
    bye = alice.within("BYE")
    alice >> marked(bye)
    bob << "BYE" >> bob.answer(200)
    alice << 200


ALL = (*NAMES, *DIALOG, *LINES)


@pytest.mark.rfc("3323", "5.1")
@pytest.mark.rfc("3323", "5.2")
@pytest.mark.rfc("3323", "5.3")
@pytest.mark.parametrize(
    "privacy", ["user;header;session", "session;user;critical", "header;user;session;id;history"]
)
async def test_nothing_of_the_caller_is_heard(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone, privacy: str
) -> None:
    ear = Listener(network, "203.0.113.20")
    call(alice, bob, privacy)
    talk(alice, bob)
    assert ear.found(ALL) == []


async def test_the_marks_are_heard_without_privacy(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    """So the search finds what is there."""
    ear = Listener(network, "203.0.113.20")
    call(alice, bob, "")
    assert set(ear.found(ALL)) == set(ALL)


async def test_user_privacy_names_nobody(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    """All but where media go to, which is what session privacy is for."""
    ear = Listener(network, "203.0.113.20")
    call(alice, bob, "user")
    talk(alice, bob)
    assert ear.found(("alice", "Liddell", "mark", *DIALOG, *LINES)) == []
    signalling = [data.partition(b"\r\n\r\n")[0] for data in ear.heard]
    assert HOST.encode() not in b"".join(signalling)


async def test_header_privacy_leads_nowhere(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    """What the caller writes of itself stays, its address in the header fields does not."""
    ear = Listener(network, "203.0.113.20")
    call(alice, bob, "header")
    talk(alice, bob)
    assert ear.found((*DIALOG, "via-mark", "route-mark", "cell-mark", "place-mark", "icid-mark")) == []
    assert b'"Alice Liddell" <sip:alice@example.org>' in ear.heard[0]
    signalling = [data.partition(b"\r\n\r\n")[0] for data in ear.heard]
    assert HOST.encode() not in b"".join(signalling)


async def test_session_privacy_hides_where_media_go(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    ear = Listener(network, "203.0.113.20")
    call(alice, bob, "session")
    talk(alice, bob)
    assert ear.found((HOST, *DIALOG, *LINES, "tool-mark")) == []
    assert b"agent-mark" in ear.heard[0]


@pytest.mark.rfc("3325", "7")
async def test_id_privacy_names_nobody_in_the_network_s_word(
    network: Network, alice: Phone, bob: Phone
) -> None:
    ear = Listener(network, "203.0.113.20")
    call(alice, bob, "id")
    assert b"P-Asserted-Identity" not in ear.heard[0]
    assert b"P-Preferred-Identity" not in ear.heard[0]
    assert bob.request.call_id.startswith("call-id-mark")  # it takes no other dialog


@pytest.mark.rfc("3323", "4.2")
async def test_none_is_obeyed_whatever_the_account_asks_for(
    network: Network, alice: Phone, bob: Phone
) -> None:
    ear = Listener(network, "203.0.113.20")
    call(alice, bob, "none")
    assert b"Privacy: none" in ear.heard[0]
    assert ear.found(DIALOG) == list(DIALOG)


async def test_a_call_that_comes_to_nothing_tells_nothing(
    network: Network, plane: EmbeddedMedia, alice: Phone, bob: Phone
) -> None:
    ear = Listener(network, "203.0.113.20")
    invite = alice.invite(
        bob.aor, ("Privacy", "user;session"), body=description(), call_id=f"call-id-mark@{HOST}"
    )
    alice >> marked(invite) << 407 >> alice.ack() >> alice.authorized(invite) << 100
    bob << "INVITE" >> bob.answer(180)
    alice << 180
    theirs = bob.request
    cancel = alice.cancel()
    alice >> marked(cancel) << 200
    bob << "CANCEL" >> bob.answer(200) >> bob.answer(487, request=theirs) << "ACK"
    alice << 487 >> alice.ack()
    assert ear.found(ALL) == []


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "INFO", "PUBLISH", "SUBSCRIBE", "REFER"])
async def test_requests_outside_a_call_tell_nothing(
    network: Network, alice: Phone, bob: Phone, method: str
) -> None:
    ear = Listener(network, "203.0.113.20")
    request = alice.ask(
        method, bob.aor, ("Privacy", "user"), ("Event", "presence"), ("Refer-To", "<sip:x@y.z>")
    )
    alice >> marked(request) << 407
    alice >> alice.authorized(request)
    bob << method >> bob.answer(202)
    alice << 202
    assert ear.found(("alice", "mark", HOST)) == []


@pytest.mark.rfc("3323", "4.4")
async def test_nothing_of_the_callee_is_heard(network: Network, plane: EmbeddedMedia, alice: Phone) -> None:
    """The other way round: who is called has registered with the same wish."""
    caller = Phone(network, "bob", "203.0.113.20")
    callee = alice
    callee >> callee.register(("Privacy", "user;header;session")) << 401 >> callee.authorized() << 200
    ear = Listener(network, "203.0.113.20")
    caller >> caller.invite(callee.aor, body=description_of_bob(), to="<sip:alice@example.org>") << 407
    caller >> caller.ack() >> caller.authorized() << 100
    callee << "INVITE" >> marked(callee.answer(180))
    caller << 180
    callee >> marked(callee.answer(200, body=description()))
    caller << 200
    number = caller.response.cseq.number
    caller.begin()
    caller.dialog.cseq = number
    caller >> caller.within("ACK", cseq=number)
    callee << "ACK"
    callee.dialog.cseq = 70
    talk(callee, caller)
    known = b"\n".join(ear.heard).replace(b"sip:alice@example.org", b"")  # whom the caller has called
    ear.heard = [known]
    assert ear.found((*NAMES, *DIALOG[1:], *LINES)) == []


async def test_a_redirection_of_a_private_callee_leads_nowhere(network: Network, alice: Phone) -> None:
    caller = Phone(network, "bob", "203.0.113.20")
    alice >> alice.register(("Privacy", "header")) << 401 >> alice.authorized() << 200
    caller >> caller.invite(alice.aor) << 407 >> caller.ack() >> caller.authorized() << 100
    alice << "INVITE" >> alice.answer(302, ("Contact", "<sip:contact-mark@mobile.example>")) << "ACK"
    caller << 480
    assert b"contact-mark" not in caller.response.to_bytes()


NAMED = [
    name
    for name in REGISTRY
    if name not in {"Content-Length", "Via", "CSeq", "Call-ID", "From", "To", "Max-Forwards"}
]
VALUES = [
    "<sip:leak@leak.example>",
    "leak",
    "leak;a=leak",
    '"leak" <sip:leak@leak.example>;leak=leak',
    "1 (leak)",
    'SIP;cause=1;text="leak"',
    "sip:leak@leak.example",
    "leak/leak",
    "<http://leak.example/>",
    "leak@leak.example",
    'Digest realm="leak", username="leak"',
]
FIELDS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(NAMED), st.from_regex(r"[A-Z][A-Za-z-]{1,12}", fullmatch=True)),
        st.sampled_from(VALUES),
    ),
    max_size=6,
)

CARRIED = frozenset(
    {"Accept", "Accept-Contact", "Accept-Encoding", "Accept-Language", "Accept-Resource-Priority"}
)


@settings(max_examples=150, deadline=None)
@given(FIELDS)
def test_any_header_fields(fields: list[tuple[str, str]]) -> None:
    """Whatever a caller writes of itself into any field that could say it, known or not."""
    from ringfence.security.privacy import HARMLESS

    network = Network()
    network.account("alice")
    network.account("bob")
    bob = Phone(network, "bob", "203.0.113.20")
    bob >> bob.register() << 401 >> bob.authorized() << 200
    alice = Phone(network, "alice", "198.51.100.10")
    ear = Listener(network, "203.0.113.20")
    told = [
        (name, value)
        for name, value in fields
        if name not in (*HARMLESS, "Route", "To", "Privacy", "Refer-To")
    ]
    request = alice.ask("MESSAGE", bob.aor, ("Privacy", "user;header"), *told)
    alice >> request
    if alice.inbox and alice.inbox[0][0].to_bytes().startswith(b"SIP/2.0 407"):
        alice << 407
        alice >> alice.authorized(request)
    assert not ear.heard or ear.found(("leak", "alice", "198.51.100")) == []


@pytest.mark.rfc("3323", "5.1")
@pytest.mark.parametrize("privacy", ["user", "header", "user;header;id"])
async def test_a_callee_may_ask_when_it_answers(network: Network, alice: Phone, privacy: str) -> None:
    """What it has not said before it answers is not known to the caller; from then on there are two dialogs."""
    caller, callee = Phone(network, "bob", "203.0.113.20"), alice
    callee >> callee.register() << 401 >> callee.authorized() << 200
    wish = ("Privacy", privacy)
    ear = Listener(network, "203.0.113.20")
    (
        caller
        >> caller.invite(callee.aor, body=description_of_bob())
        << 407
        >> caller.ack()
        >> caller.authorized()
        << 100
    )
    callee << "INVITE" >> marked(callee.answer(180, wish))
    caller << 180
    callee >> marked(callee.answer(200, wish, body=description_of_bob()))
    caller << 200
    number = caller.response.cseq.number
    caller.begin()
    caller.dialog.cseq = number
    caller >> caller.within("ACK", cseq=number)
    callee << "ACK"
    callee.dialog.cseq = 70
    for method in ("INFO", "UPDATE", "MESSAGE"):
        caller >> caller.within(method)
        callee << method >> marked(callee.answer(200))
        caller << 200
        callee >> marked(callee.within(method))
        caller << method >> caller.answer(200)
        callee << 200
    callee >> marked(callee.within("BYE"))
    caller << "BYE" >> caller.answer(200)
    callee << 200
    assert not network.services.bridges
    ear.heard = [b"\n".join(ear.heard).replace(b"sip:alice@example.org", b"")]
    kept = ("contact-mark", "tag-mark", HOST, *(("agent-mark", "x-mark") if "user" in privacy else ()))
    assert ear.found(kept) == []


async def test_a_refusal_that_asks_for_it_tells_nothing(network: Network, alice: Phone) -> None:
    caller, callee = Phone(network, "bob", "203.0.113.20"), alice
    callee >> callee.register() << 401 >> callee.authorized() << 200
    ear = Listener(network, "203.0.113.20")
    caller >> caller.invite(callee.aor) << 407 >> caller.ack() >> caller.authorized() << 100
    callee << "INVITE" >> marked(callee.answer(486, ("Privacy", "user"))) << "ACK"
    caller << 486
    assert not network.services.bridges
    assert ear.found(("mark", HOST)) == []
