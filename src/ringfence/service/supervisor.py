"""The process that has workers: it starts one for each core, starts a dead one anew, and hands on commands.

It serves nothing itself, so that nothing a peer sends can bring it down. A worker that ends takes its transactions and
connections with it, and no more: the others serve on, and phones that it had come back to one of them. One that ends
before it was ever ready has told why, and ends the node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from ringfence.service.config import Config
from ringfence.service.control import Arguments, CommandError, ControlServer, Json
from ringfence.service.notify import SOCKET_VARIABLE, Notifier
from ringfence.store.migrate import upgrade
from ringfence.transport.mesh import forget_sockets

log = structlog.get_logger("ringfence.workers")

WORKER_VARIABLE = "RINGFENCE_WORKER"
"""The number of a worker, in its environment."""

RUN_VARIABLE = "RINGFENCE_RUN"
"""What the workers of a node have in common, and those of another node don't."""

_RUN = secrets.token_hex(8)

READY_SECONDS = 60.0
"""For a worker to open its ports: it reads the accounts and bindings first."""

LOOK_SECONDS = 0.05
"""How often it is looked whether a worker is ready."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds before a worker that has died is started anew; doubled each time, as long as it dies soon."""

SOON = 60.0
"""A worker that has lived so long had another reason to die than the one before."""

STOP_SECONDS = 15.0
"""For workers to end after a signal, besides what they may take to drain: to close connections and databases."""

MAX_LINE = 16_000_000
"""Of an answer of a worker: see ``control_client``."""


class WorkerAway(CommandError):
    """It does not answer: it does not run, or has just died."""


class Worker:
    """One child process, and its restarts."""

    def __init__(self, config: Config, number: int) -> None:
        self.config = config
        self.number = number
        self.ready = asyncio.Event()
        self.starts = 0
        self.process: asyncio.subprocess.Process | None = None

    async def run(self, stopping: asyncio.Event) -> int:
        """Keep it running until the node stops. Gives the exit code of one that never was ready; else 0."""
        pause = FIRST_PAUSE
        while not stopping.is_set():
            begun = time.monotonic()
            code = await self._once()
            if stopping.is_set():
                break
            if not self.ready.is_set() and self.starts == 1:
                return code or 70
            lived = time.monotonic() - begun
            pause = FIRST_PAUSE if lived > SOON else min(2 * pause, LONGEST_PAUSE)
            log.error(
                "a worker has ended; it is started anew", worker=self.number, code=code, after=round(lived)
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stopping.wait()
        return 0

    async def _once(self) -> int:
        self.starts += 1
        environment = {**os.environ, WORKER_VARIABLE: str(self.number), RUN_VARIABLE: _RUN}
        environment.pop(SOCKET_VARIABLE, None)  # the service manager hears of us, not of each worker
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ringfence", "serve", "--config", str(self.config.file), env=environment
        )
        watching = asyncio.create_task(self._watch())
        try:
            return await self.process.wait()
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        """See when it answers."""
        async with asyncio.timeout(READY_SECONDS):
            while True:
                with contextlib.suppress(CommandError):
                    async for _ in ask_worker(self.config.socket_of(self.number), "status", {}):
                        self.ready.set()
                        return
                await asyncio.sleep(LOOK_SECONDS)

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)


async def ask_worker(path: Path, command: str, arguments: Arguments) -> AsyncGenerator[Json]:
    """The answer of one worker: a value, or items as they come. Raises CommandError, also when it is not there."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE)
    except OSError:
        raise WorkerAway("a worker does not answer", "it is being started anew; try again") from None
    try:
        writer.write(json.dumps({"command": command, "arguments": dict(arguments)}).encode() + b"\n")
        while line := await reader.readline():
            reply = json.loads(line)
            if "error" in reply:
                raise CommandError(reply["error"], reply.get("fix", ""))
            if "end" in reply:
                return
            yield reply.get("item", reply.get("value"))
            if "value" in reply:
                return
    except (OSError, ValueError):
        raise WorkerAway("a worker hung up", "see its log") from None
    finally:
        writer.close()


class Relay(Mapping[str, Callable[[Arguments], Any]]):
    """The commands of the workers, each asked of all of them."""

    def __init__(self, workers: list[Worker], stopping: asyncio.Event) -> None:
        self._workers = workers
        self._stopping = stopping

    def __getitem__(self, name: str) -> Callable[[Arguments], Any]:
        if name == "stop":
            return self._stop
        if name == "trace":
            return self._trace
        return lambda arguments: self._ask(name, arguments)

    def __iter__(self) -> Iterator[str]:
        return iter(("status", "reload", "stop", "trace"))

    def __len__(self) -> int:
        return 4

    async def _stop(self, _arguments: Arguments) -> Json:
        self._stopping.set()
        return {"stopping": True}

    async def _ask(self, name: str, arguments: Arguments) -> Json:
        answers = await asyncio.gather(*(self._one(worker, name, arguments) for worker in self._workers))
        if name == "status":
            return combined(answers, self._workers)
        return merged(answers)

    async def _one(self, worker: Worker, name: str, arguments: Arguments) -> Json:
        async for value in ask_worker(worker.config.socket_of(worker.number), name, arguments):
            return value
        return None

    async def _trace(self, arguments: Arguments) -> AsyncGenerator[Json]:
        """What passes any of them, as it comes."""
        items: asyncio.Queue[Json] = asyncio.Queue(1000)

        async def follow(worker: Worker) -> None:
            async for item in ask_worker(worker.config.socket_of(worker.number), "trace", arguments):
                await items.put(item | {"worker": worker.number})

        following = [asyncio.create_task(follow(worker)) for worker in self._workers]
        try:
            while True:
                taking = asyncio.create_task(items.get())
                done, _ = await asyncio.wait({taking, *following}, return_when=asyncio.FIRST_COMPLETED)
                if taking not in done:
                    taking.cancel()
                    for each in done:
                        each.result()  # what a worker refuses, all refuse
                    return
                yield taking.result()
        finally:
            for each in following:
                each.cancel()
            await asyncio.gather(*following, return_exceptions=True)


def combined(answers: list[Json], workers: list[Worker]) -> Json:
    """The status of the node: counts added up, and what each worker does."""
    facts = dict(answers[0])
    counts: dict[str, int] = {}
    for answer in answers:
        for name, count in answer.get("counts", {}).items():
            counts[name] = counts.get(name, 0) + count
    for each in ("transactions", "requests"):
        facts[each] = sum(answer[each] for answer in answers)
    facts["counts"] = counts
    facts["workers"] = {
        str(worker.number): {
            "pid": worker.process.pid if worker.process is not None else None,
            "starts": worker.starts,
            "uptime_seconds": answer["uptime_seconds"],
            "requests": answer["requests"],
        }
        for worker, answer in zip(workers, answers, strict=True)
    }
    return facts


def merged(answers: list[Json]) -> Json:
    """One answer for all: lists put together, other values the first, which is everybody's."""
    if not all(isinstance(answer, list) for answer in answers):
        return answers[0]
    found: list[Json] = []
    for answer in answers:
        found += (each for each in answer if each not in found)
    return found


async def supervise(config: Config) -> int:
    """Run the workers of a node until a signal or ``ringfence stop``. Gives the exit code.

    Raises:
        OSError: the control socket can't be opened, among others when another node has it.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    config.mesh_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    forget_sockets(config.mesh_dir)
    workers = [Worker(config, number) for number in range(config.node.workers)]
    control = ControlServer(config.control_socket, Relay(workers, stopping))
    await control.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, _signal, workers, signal.SIGHUP)
    running = [asyncio.create_task(worker.run(stopping)) for worker in workers]
    manager = Notifier()
    telling = asyncio.create_task(_tell(manager, config, workers))
    try:
        ended = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait({ended, *running}, return_when=asyncio.FIRST_COMPLETED)
        stopping.set()
        log.info("stopping")
        manager.stopping(config.limits.drain_seconds + STOP_SECONDS)
        codes = [task.result() for task in done if task is not ended]
        await _stop(workers, running)
    finally:
        telling.cancel()
        await control.stop()
    return max((int(code) for code in codes), default=0)


async def _tell(manager: Notifier, config: Config, workers: list[Worker]) -> None:
    """Say that all serve, and from then on that we live."""
    for worker in workers:
        await worker.ready.wait()
    log.info("serving with workers", domain=config.domain.name, workers=len(workers))
    manager.ready()
    while manager.pause:
        await manager.alive()
        await asyncio.sleep(manager.pause)


def _signal(workers: list[Worker], number: int) -> None:
    for worker in workers:
        worker.signal(number)


async def _stop(workers: list[Worker], running: list[asyncio.Task[int]]) -> None:
    _signal(workers, signal.SIGTERM)
    patience = workers[0].config.limits.drain_seconds + STOP_SECONDS
    _, late = await asyncio.wait(running, timeout=patience)
    if late:
        log.error("workers did not end in time", workers=len(late))
        _signal(workers, signal.SIGKILL)
        await asyncio.wait(late)


def prepare(config: Config) -> None:
    """Bring the databases up to date once, before several processes open them. Raises StoreError."""
    upgrade(config.database_url)
    if config.ledger.enabled:
        upgrade(config.ledger_url)


def worker_of_environment() -> int | None:
    """Which worker this process is; None for one that nobody has made one."""
    text = os.environ.get(WORKER_VARIABLE, "")
    return int(text) if text.isdigit() else None
