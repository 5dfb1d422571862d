"""Whatever two parties of a private call send, nothing breaks, nothing leaks, and nothing is left behind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ringfence.message import Headers, Message, Request, Response, response_to
from ringfence.roles.bridge.ending import sweep
from tests.conversations.network import Network
from tests.conversations.phones import SDP, Phone
from tests.conversations.test_private_bytes import Listener

JUNK = ["", "<", "<sip:", "leak", ";;", "<sip:leak@198.51.100.10>;tag=", "1 2 3", "*", "<tel:+1>", "\x80"]
FIELDS = ["Contact", "Record-Route", "RSeq", "Require", "Replaces", "Refer-To", "RAck", "Session-Expires", "Reason",
          "Subscription-State", "Privacy", "Content-Type", "Retry-After", "History-Info", "Warning"]  # fmt: skip
METHODS = ["INVITE", "ACK", "BYE", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "MESSAGE", "OPTIONS", "FROB"]

change = st.tuples(st.sampled_from(FIELDS), st.one_of(st.none(), st.sampled_from(JUNK)))
said = st.tuples(
    st.sampled_from(["alice", "bob"]),
    st.one_of(
        st.sampled_from(METHODS),
        st.sampled_from([100, 180, 183, 200, 202, 302, 401, 404, 481, 491, 500, 603]),
    ),
    st.lists(change, max_size=2),
    st.sampled_from([b"", SDP, b"junk"]),
)


def mess(message: Message, changes: list[tuple[str, str | None]]) -> Message:
    """The message with some fields gone or spoilt."""
    for name, value in changes:
        message.headers.remove(name)
        if value is not None:
            message.headers.add(name, value)
    return message


def say(phone: Phone, what: str | int, changes: list[tuple[str, str | None]], body: bytes) -> None:
    """A request in the phone's dialog, or an answer to the last request that it got."""
    if isinstance(what, str):
        if hasattr(phone, "dialog"):
            request = phone.within(what, ("Content-Type", "application/sdp"), body=body)
            phone >> mess(request, changes)
        return
    asked = next((each for each, _ in reversed(phone.inbox) if isinstance(each, Request)), None)
    if asked is None or asked.method == "ACK":
        return
    response = response_to(asked, what, to_tag=phone.tag)
    response.headers.add("Contact", f"<{phone.contact}>")
    if body:
        response.set_body(body, "application/sdp")
    phone.network.deliver(mess(response, changes), phone.wire)


@settings(max_examples=150, deadline=None)
@given(st.lists(said, max_size=8), st.booleans(), st.booleans())
def test_any_mess_is_survived(
    says: list[tuple[str, str | int, list[tuple[str, str | None]], bytes]],
    up: bool,
    late: bool,
) -> None:
    network = Network()
    network.account("alice")
    network.account("bob")
    bob = Phone(network, "bob", "203.0.113.20")
    bob >> bob.register() << 401 >> bob.authorized() << 200
    alice = Phone(network, "alice", "198.51.100.10")
    ear = Listener(network, "203.0.113.20")
    with capture_logs() as logs:
        wish = () if late else (("Privacy", "user;header"),)
        alice >> alice.invite(bob.aor, *wish, body=b"") << 407 >> alice.ack()
        alice >> alice.authorized() << 100
        invite = bob.inbox[0][0]
        assert isinstance(invite, Request)
        bob << "INVITE"
        bob.inbox.append((invite, bob.arrived_by))
        if up:
            bob >> bob.answer(200, *([("Privacy", "user;header")] if late else []), body=SDP)
            alice << 200
            number = alice.response.cseq.number
            alice.begin()
            alice.dialog.cseq = number
            alice >> alice.within("ACK", cseq=number)
            bob.dialog.cseq = 70
        for who, what, changes, body in says:
            say(alice if who == "alice" else bob, what, changes, body)
        network.wait(200)
        sweep(network.services)
        network.wait(15_000)
        sweep(network.services)
        network.wait(100)
    assert [each for each in logs if "failed" in str(each["event"])] == []
    assert not network.services.bridges
    assert network.transactions == 0
    if late:  # the callee has asked
        return
    heads = b"\n".join(data.partition(b"\r\n\r\n")[0] for data in ear.heard)
    assert b"198.51.100.10" not in heads.replace(b"<sip:leak@198.51.100.10>", b"")
    assert b"alice" not in heads


def test_the_mess_is_one() -> None:
    message = Response(200, None, Headers([("Contact", "<sip:a@b>")]))
    assert mess(message, [("Contact", None)]).headers.get("Contact") is None
