"""Serve a domain from Python, and place a secure call through it.

ringfence init example.org --dir example --listen tls:127.0.0.1:5061 --host 127.0.0.1
ringfence user add alice --config example    # and bob; each command shows the password
python examples/node_and_call.py example PASSWORD_OF_ALICE PASSWORD_OF_BOB
"""

import asyncio
import sys
from pathlib import Path

from ringfence import Config, UserAgent, running


async def main(directory: str, *passwords: str) -> None:
    config = Config.load(Path(directory) / "ringfence.toml")
    domain, port = config.domain.name, config.listeners[0].port
    server = {"proxy": f"sips:127.0.0.1:{port}", "trust": config.tls.ca}
    async with (
        running(config),
        UserAgent(f"sips:alice@{domain}", password=passwords[0], **server) as alice,
        UserAgent(f"sips:bob@{domain}", password=passwords[1], **server) as bob,
    ):
        call = await alice.call("bob")
        ringing = await anext(bob.incoming())
        print("bob's phone rings:", ringing.peer)  # who, and on what evidence
        await ringing.answer()
        await call.answered
        await call.audio.send_tone(440, 0.5)
        print("audio encrypted:", call.encrypted)
        await call.hang_up()


asyncio.run(main(*sys.argv[1:]))
