"""How things fail, and what is read by hand: python examples/failures.py"""

import asyncio

from ringfence import CallError, LocalError, MessageError, PeerError, Request, UserAgent, parse

OPTIONS = b"""\
OPTIONS sip:bob@example.org SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1
f: <sip:alice@example.org>;tag=1
t: <sip:bob@example.org>
i: 1@192.0.2.1
CSeq: 7 OPTIONS
Content-Length: 0

""".replace(b"\n", b"\r\n")


def read() -> None:
    message = parse(OPTIONS)
    assert isinstance(message, Request)
    print(message.method, message.uri, "from", message.from_.uri, message.headers.get("From"))
    try:
        parse(OPTIONS.replace(b"7 OPTIONS", b"7 BYE"))
    except PeerError as error:  # theirs: the status to answer, and the header field
        print("PeerError:", error.status, error.header, error.reason)


async def main() -> None:
    async with (
        UserAgent("sip:alice@127.0.0.1", host="127.0.0.1") as alice,
        UserAgent("sip:bob@127.0.0.1", host="127.0.0.1") as bob,
    ):
        await alice.send_text(bob.addresses[0], "Are you there?")
        text = await anext(bob.texts())
        print("bob reads:", text.text, "from", text.peer)

        call = await alice.call(bob.addresses[0])
        (await anext(bob.incoming())).reject(486)
        try:
            await call.answered
        except CallError as error:  # the peer, or the network, said no
            print("CallError:", error.status, error.reason)
        try:
            await alice.send_text("sip:nobody@127.0.0.1:9;transport=tcp", "Hello?")
        except MessageError as error:
            print("MessageError:", error.status)
        try:
            await alice.call("tel:+358 9 1234")
        except LocalError as error:  # ours: asked for what SIP does not allow
            print("LocalError:", error)


read()
asyncio.run(main())
