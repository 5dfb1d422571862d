"""A domain, an anonymous call, and a call and a text that no server can read. In an empty directory:

ringfence init example.org --dir example --listen tls:127.0.0.1:5061 --host 127.0.0.1
ringfence user add alice --config example    # and bob; each command shows the password
ringfence cert issue --user alice@example.org --config example    # and bob: files in this directory
python private_and_protected.py example PASSWORD_OF_ALICE PASSWORD_OF_BOB
"""

import asyncio
import sys
from pathlib import Path

from ringfence import Config, Privacy, Smime, UserAgent, running


async def main(directory: str, *passwords: str) -> None:
    config = Config.load(Path(directory) / "ringfence.toml")
    proxy = f"sips:127.0.0.1:{config.listeners[0].port}"
    authority = Path(directory) / "tls" / "ca.pem"

    def person(name: str, password: str) -> UserAgent:
        address = f"{name}@{config.domain.name}"
        smime = Smime(
            certificate=Path(f"{address}.pem"),
            key=Path(f"{address}.key"),
            trust=(authority,),  # who may vouch for the other one
        )
        return UserAgent(f"sips:{address}", password=password, proxy=proxy, trust=authority, smime=smime)

    async with (
        running(config) as node,
        person("alice", passwords[0]) as alice,
        person("bob", passwords[1]) as bob,
    ):
        print(
            "alice is",
            alice.registration and alice.registration.state,
            "and the node serves",
            node.facts()["domain"],
        )

        call = await alice.call("bob", privacy=(Privacy.USER, Privacy.SESSION))
        ringing = await anext(bob.incoming())
        print("anonymous:", ringing.peer.anonymous, ringing.peer)
        await ringing.answer()
        await call.answered
        await call.hang_up()

        call = await alice.call("bob", encrypt=True, subject="The merger")
        ringing = await anext(bob.incoming())
        print("caller:", ringing.peer)
        if ringing.peer.protection:
            print("protected:", ringing.peer.protection, ringing.peer.protection.hidden)
        await ringing.answer()
        await call.answered
        print("verdict:", call.verdict)
        await call.hang_up()

        await alice.send_text("bob", "It is on.", sign=True)
        text = await anext(bob.texts())
        print("text:", text.text, text.peer.evidence)


asyncio.run(main(*sys.argv[1:]))
