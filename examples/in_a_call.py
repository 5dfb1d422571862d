"""What can be done in a call: hold, keys, a text, and a transfer to somebody else: python examples/in_a_call.py"""

import asyncio

from ringfence import UserAgent

HERE = "127.0.0.1"


async def main() -> None:
    async with (
        UserAgent("sip:alice@127.0.0.1", host=HERE) as alice,
        UserAgent("sip:bob@127.0.0.1", host=HERE, accept_transfers=True) as bob,
        UserAgent("sip:carol@127.0.0.1", host=HERE) as carol,
    ):
        call = await alice.call(bob.addresses[0])
        theirs = await anext(bob.incoming())
        await theirs.answer()
        await call.answered

        await call.hold()
        await call.resume()
        await call.send_digits("42#")
        await call.send_text("One moment, I connect you.")

        async for event in theirs.events():  # what happens, in order
            print("bob saw", event.kind, *event.facts.values())
            if event.facts.get("key") == "#":
                break

        transfer = asyncio.create_task(call.transfer(carol.addresses[0]))
        ringing = await anext(carol.incoming())
        print("carol's phone rings:", ringing.peer)
        await ringing.answer()
        await transfer
        print("alice is out:", (await call.ended).reason)
        await ringing.hang_up()


asyncio.run(main())
