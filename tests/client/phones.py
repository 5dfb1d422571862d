"""User agents for tests, and what a recording has to do with a tone."""

from __future__ import annotations

import asyncio
import itertools
import math
import wave
from array import array
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from ringfence.client import Call, CallEvent, IncomingCall, Media, OutgoingCall, UserAgent
from ringfence.client.session import SILENCE
from ringfence.engine.timers import Timers

TIMERS = Timers(t1=0.02, t2=0.16, t4=0.1)
"""64*T1 is 1.3 s."""


class Phones:
    """Opens agents and closes all of them."""

    def __init__(self) -> None:
        self._agents: list[UserAgent] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, name: str, *, transport: str = "UDP", **settings: Any) -> UserAgent:
        settings.setdefault("timers", TIMERS)
        agent = UserAgent(f"sip:{name}@127.0.0.1", host="127.0.0.1", transport=transport, **settings)
        await agent.open()
        self._agents.append(agent)
        return agent

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside the test, until its end."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    def answers(self, agent: UserAgent, media: Media = SILENCE) -> None:
        """Have this agent answer every call."""

        async def answer() -> None:
            async for call in agent.incoming():
                await call.answer(media)

        self.run(answer())

    async def call(
        self, caller: UserAgent, callee: UserAgent, media: Media = SILENCE, theirs: Media = SILENCE
    ) -> tuple[OutgoingCall, IncomingCall]:
        """A call that is up, seen from both ends."""
        outgoing = await caller.call(address(callee), media=media)
        incoming = await anext(callee.incoming())
        await incoming.answer(theirs)
        await outgoing.answered
        return outgoing, incoming

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(agent.close() for agent in self._agents))


def address(agent: UserAgent) -> str:
    """Where an agent can be called without a server."""
    return agent.addresses[0]


async def event(call: Call, kind: str) -> CallEvent:
    """The next event of this kind; those before it are passed over."""
    async with asyncio.timeout(5):
        async for found in call.events():
            if found.kind == kind:
                return found
    raise AssertionError(f"the call ended without {kind}")


def pitch(path: Path) -> float:
    """The frequency of a recorded tone in Hz, by its zero crossings; 0 for silence."""
    with wave.open(str(path), "rb") as file:
        rate = file.getframerate()
        samples = array("h", file.readframes(file.getnframes()))
    loud = [sample for sample in samples if abs(sample) > 500]
    if len(loud) < rate // 10:
        return 0.0
    first = next(place for place, sample in enumerate(samples) if abs(sample) > 500)
    last = len(samples) - next(place for place, sample in enumerate(reversed(samples)) if abs(sample) > 500)
    heard = samples[first:last]
    crossings = sum(a < 0 <= b for a, b in itertools.pairwise(heard))
    return crossings * rate / len(heard)


def loudness(path: Path) -> float:
    """The root mean square of a recording."""
    with wave.open(str(path), "rb") as file:
        samples = array("h", file.readframes(file.getnframes()))
    return math.sqrt(sum(sample * sample for sample in samples) / max(len(samples), 1))
