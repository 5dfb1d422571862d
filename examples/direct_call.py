"""Two user agents call each other on this machine, without any server: python examples/direct_call.py"""

import asyncio

from ringfence import UserAgent


async def main() -> None:
    async with (
        UserAgent("sip:alice@127.0.0.1", host="127.0.0.1") as alice,
        UserAgent("sip:bob@127.0.0.1", host="127.0.0.1") as bob,
    ):
        call = await alice.call(bob.addresses[0])
        ringing = await anext(bob.incoming())
        print("bob's phone rings:", ringing.peer)
        await ringing.answer()
        await call.answered
        await call.audio.send_tone(440, 0.5)
        print("bob has heard", ringing.audio.stats.received, "packets")
        await call.hang_up()
        ending = await ringing.ended
        print("over:", ending.reason)


asyncio.run(main())
