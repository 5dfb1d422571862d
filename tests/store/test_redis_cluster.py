"""The same on a Redis cluster: what is changed together lies in one slot, and any node publishes for all.

Of one node that has all slots, so that nothing is moved; a key in the wrong slot is refused all the same.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ringfence.store.exchange import Exchange
from ringfence.store.records import Ban
from ringfence.store.redis import RedisBindings
from ringfence.store.redis_bans import RedisBans

from .samples import ALICE, BOB, FULL, NOW, binding, only

pytestmark = pytest.mark.interop("redis-server")

START_SECONDS = 10.0


def free_port() -> int:
    """One that is free, and so is the cluster's own, ten thousand above."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            if port < 55_000:
                try:
                    other.bind(("127.0.0.1", port + 10_000))
                except OSError:
                    continue
                return port


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("cluster")
    port = str(free_port())
    words = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
    with subprocess.Popen([*words, "--cluster-enabled", "yes"], stdout=subprocess.DEVNULL) as server:
        begun = time.monotonic()
        asked = ["redis-cli", "-p", port, "cluster"]
        while (
            b"cluster_state:ok"
            not in subprocess.run([*asked, "info"], capture_output=True, check=False).stdout
        ):
            assert time.monotonic() - begun < START_SECONDS, "the cluster is not ready"
            subprocess.run([*asked, "addslotsrange", "0", "16383"], capture_output=True, check=False)
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
        server.terminate()


async def test_bindings_and_their_index(url: str) -> None:
    held = await RedisBindings.open(url, cluster=True)
    await held.change(ALICE, only(FULL), NOW)
    await held.change(BOB, only(binding(BOB)), NOW)
    assert await held.lookup(ALICE, NOW) == (FULL,)
    assert await held.by_flow(FULL.flow) == (FULL,)
    assert await held.by_temporary_gruu(FULL.temporary_gruu, NOW) == (FULL,)
    assert len(await held.list(NOW)) == 2
    assert await held.counts() == (2, 2)
    assert len(await held.purge(NOW + 1e6)) == 2
    await held.close()


async def test_bans(url: str) -> None:
    ban = Ban("192.0.2.1", "guesses", NOW, NOW + 300.0, "guard")
    held = RedisBans(url, "example.org", cluster=True)
    assert await held.change([ban], []) == 1
    assert (await held.version(), await held.all()) == (1, {ban.network: ban})
    await held.close()


async def test_what_is_told(url: str) -> None:
    heard: asyncio.Queue[tuple[str, list[Any]]] = asyncio.Queue()
    one = Exchange(url, "ringfence:example.org", "one", "0", lambda *_: None)
    two = Exchange(url, "ringfence:example.org", "two", "0", lambda *told: heard.put_nowait(told))
    async with asyncio.timeout(START_SECONDS):
        for each in (one, two):
            each.open()
        while not (one.up and two.up):
            await asyncio.sleep(0.01)
        one.tell(["thing"])
        assert await heard.get() == ("one.0", ["thing"])
    for each in (one, two):
        await each.close()
