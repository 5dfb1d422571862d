"""The scene of ``ringfence demo`` about privacy: a call from nobody, whose account pays for it."""

from __future__ import annotations

import asyncio

from ringfence.cli.demo_pair import Stage
from ringfence.cli.demo_verdict import Promise
from ringfence.client import Media, Privacy
from ringfence.ledger.keys import Privacy as Seal
from ringfence.ledger.reading import reading
from ringfence.ledger.records import records_of
from ringfence.service.secrets import read_secret
from ringfence.service.wiring import derive

HEARD_SECONDS = 0.4
ALL = (Privacy.USER, Privacy.HEADER, Privacy.SESSION, Privacy.CRITICAL)


async def anonymous(stage: Stage) -> list[Promise]:
    """Alice calls bob and does not want him to know; both speak."""
    alice = stage.phones["alice"]
    outgoing = await alice.call("bob", privacy=ALL)
    incoming = await stage.ringing("bob", outgoing)
    await incoming.answer(Media())
    await outgoing.answered
    await asyncio.gather(
        outgoing.audio.send_tone(660, HEARD_SECONDS), incoming.audio.send_tone(440, HEARD_SECONDS)
    )
    heard = min(outgoing.audio.stats.received, incoming.audio.stats.received)
    dialog = outgoing.dialog
    await outgoing.hang_up()
    await incoming.ended
    names = ["alice", *([dialog.call_id, dialog.local_tag] if dialog is not None else [])]
    told = [name for name in names if stage.recording.was_told("bob", name)]
    config = stage.domains["example.org"].config
    seal = Seal(derive(read_secret(config.secret_file), "ledger"))
    with reading(config.ledger_url) as reader:
        events = list(reader.events())
    shown, known = (list(records_of(events, each))[-1] for each in (None, seal))
    return [
        Promise("bob's phone shows a caller without a name", incoming.peer.anonymous),
        Promise("nothing that was sent to it names alice, her call or her phone", not told),
        Promise("each heard the other, through the relay", heard > 0),
        Promise(f"the ledger charges {known.account}", known.account == "sip:alice@example.org"),
        Promise("and tells that to nobody without the node's secret", shown.account == "" and shown.private),
    ]
