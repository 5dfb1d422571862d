"""Keeps the certificate of an ACME server fresh, while the node serves.

Of several workers the first asks. All of them look every few seconds whether the file is another one, and read their
certificates again: so it does not matter who renewed it, a worker or `ringfence cert acme`. What blocks runs in a
thread of its own that nobody waits for when the node ends; it changes no file.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

import structlog
from cryptography import x509

from ringfence.message import LocalError
from ringfence.security.authority import new_key
from ringfence.service import acme_files as files
from ringfence.service.acme_client import AcmeError, AcmeServer
from ringfence.service.acme_proofs import proving
from ringfence.service.config import Config
from ringfence.service.control import Arguments, Command, CommandError, Json
from ringfence.service.metrics import Metrics

log = structlog.get_logger("ringfence.acme")

T = TypeVar("T")

LOOK_SECONDS = 2.0
"""How often each process looks whether the certificate is another one."""

FIRST_PAUSE = 300.0
LONGEST_PAUSE = 6 * 3600.0
"""Seconds after an attempt that failed; doubled each time. Let's Encrypt allows five failures an hour for a name."""

WAKE_SECONDS = 3600.0
"""The longest sleep: the clock may be set, and the file replaced, meanwhile."""

SHORTEST_SLEEP = 60.0
"""Seconds after an order that was filled, for the shortest certificates: those of step-ca may last five minutes."""

ASK_AFTER, ASK_WITHIN = 3600.0, 86_400.0
"""Seconds between questions when to renew: the server says how many (RFC 9773 section 4.3), within these limits."""


async def obtain(config: Config, *, revoke_old: bool = False) -> x509.Certificate:
    """Order a certificate, and put it in its place; then, if wanted, have the old one revoked.

    Raises:
        AcmeError: with the reason, which is noted in the data directory too.
    """
    names, old, key = files.names_of(config), files.current(config), new_key()
    try:
        account = files.account_key(config)
        async with proving(config.acme) as prover:

            def order() -> tuple[AcmeServer, bytes]:
                server = AcmeServer(config.acme, account)
                server.sign_in()
                return server, server.order(key, names, prover)

            server, chain = await in_thread(order)
        fresh = files.keep(config, chain, key)
    except (LocalError, OSError) as error:
        reason = str(error) if isinstance(error, LocalError) else f"{error.filename}: {error.strerror}"
        files.note_failure(config, reason)
        raise AcmeError(reason) from error
    if revoke_old and old is not None:
        try:
            await in_thread(lambda: server.revoke(old))
        except AcmeError as error:
            reason = f"a new certificate is in place, and the old one could not be revoked: {error}"
            raise AcmeError(reason) from error
    return fresh


async def in_thread(work: Callable[[], T]) -> T:
    """What ``work`` gives. Its thread is left to itself when we are cancelled: asyncio's own would be waited for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # it is a T: there was no error

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(tell, result, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=run, name="acme", daemon=True).start()
    return await done


def pause_after(failures: int) -> float:
    """Seconds until the next attempt, a fifth more or less so that many nodes don't come at once."""
    pause: float = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE)
    return pause * (0.8 + 0.4 * random.random())  # noqa: S311  # no secret


class AcmeKeeper:
    """The certificate of one node. ``taken`` has the node read its certificates again."""

    def __init__(self, config: Config, taken: Callable[[], None]) -> None:
        self._config = config
        self._taken = taken
        self._seen = self._mark()
        self._one_at_a_time = asyncio.Lock()
        self._failures = 0
        self._suggested: float | None = None
        self._ask_again = 0.0
        self.counts: Counter[str] = Counter()

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on until the node closes."""
        if not self._config.acme.enabled:
            return []
        return [self._watch(), *([] if self._config.worker else [self._keep()])]

    def commands(self) -> dict[str, Command]:
        """What the control socket takes."""
        return {"acme": self._command} if self._config.acme.enabled else {}

    def show(self, metrics: Metrics) -> None:
        """Count what became of orders."""
        if self._config.acme.enabled and not self._config.worker:
            metrics.counter(
                "ringfence_acme_orders",
                "Certificates ordered from the ACME server",
                ("outcome",),
                lambda: {(name,): self.counts[name] for name in ("issued", "failed")},
            )

    async def problem(self) -> str | None:
        """Why there is no new certificate, when the last attempt failed."""
        failure = files.last_failure(self._config) if self._config.acme.enabled else None
        return failure and f"the last order of a certificate failed: {failure[0]}"

    # -- the file --------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Take the certificate if it is another one. One that can't be used is tried again."""
        mark = self._mark()
        if mark == self._seen:
            return
        try:
            self._taken()
        except LocalError as error:
            log.error("the certificate of the ACME server can't be used", reason=str(error))
            return
        self._seen = mark

    def _mark(self) -> tuple[int, int] | None:
        path = self._config.acme_pair
        try:
            found = None if path is None else path.stat()
        except OSError:
            return None
        return found and (found.st_mtime_ns, found.st_ino)

    # -- renewal ---------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        if files.current(self._config) is None:
            log.warning(
                "the ACME server has not issued a certificate yet: another one is shown until then",
                shown=str(self._config.shown_pair[0]),
                names=files.names_of(self._config),
            )
        failure = files.last_failure(self._config)
        pause = failure[1] + FIRST_PAUSE - time.time() if failure is not None else 0.0
        if 0 < pause <= FIRST_PAUSE:
            # A node that is started again and again must not use up what the server allows.
            log.info(
                "the last order failed just now: ringfence cert acme orders at once", again_in=round(pause)
            )
            await asyncio.sleep(pause)
        while True:
            try:
                pause = await self._once()
            except Exception:  # one failure must not end it for good
                log.exception("keeping the certificate of the ACME server failed")
                pause = LONGEST_PAUSE
            await asyncio.sleep(pause)

    async def _once(self) -> float:
        """Renew what is due. Gives the seconds until the next look."""
        left = await self._due() - time.time()
        if left > 0:
            return min(left, WAKE_SECONDS)
        try:
            certificate = await self.renew()
        except AcmeError as error:
            pause = pause_after(self._failures)
            log.error("no certificate from the ACME server", reason=str(error), again_in=round(pause))
            return pause
        # Not at once, even if it is due again: a clock or a server that is wrong must not have us order on and on.
        lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        return min(max(lifetime.total_seconds() / 10, SHORTEST_SLEEP), WAKE_SECONDS)

    async def _due(self) -> float:
        """When to order, in seconds since 1970."""
        certificate = files.current(self._config)
        if certificate is None or not files.is_for(self._config, certificate):
            return 0.0
        if time.time() >= self._ask_again:
            await self._ask_when(certificate)
        return files.renewal_due(certificate, self._suggested)

    async def _ask_when(self, certificate: x509.Certificate) -> None:
        """Ask the server when it wants this one renewed. That it can't be asked changes nothing."""
        self._suggested, now = None, time.time()
        self._ask_again = now + ASK_WITHIN
        try:
            account = files.account_key(self._config)
            found = await in_thread(lambda: AcmeServer(self._config.acme, account).renewal(certificate))
        except (LocalError, OSError) as error:
            log.info("the ACME server does not say when to renew", reason=str(error))
            return
        self._suggested = found.at
        self._ask_again = now + min(max(found.ask_again - now, ASK_AFTER), ASK_WITHIN)

    async def renew(self, *, revoke_old: bool = False) -> x509.Certificate:
        """Order a certificate now, and use it. Raises AcmeError."""
        async with self._one_at_a_time:
            try:
                certificate = await obtain(self._config, revoke_old=revoke_old)
            except AcmeError:
                self._failures += 1
                self.counts["failed"] += 1
                raise
            self._failures, self._ask_again = 0, 0.0
            self.counts["issued"] += 1
            log.info("the ACME server has issued a certificate", **facts(self._config, certificate))
            self.look()
            return certificate

    async def _command(self, arguments: Arguments) -> AsyncGenerator[Json]:
        """``ringfence cert acme``: a stream of one item, since it may take minutes."""
        if self._config.worker:
            yield {}  # the first worker orders
            return
        certificate = files.current(self._config)
        force = bool(arguments.get("force"))
        if certificate is None or force or await self._due() <= time.time():
            try:
                certificate = await self.renew(revoke_old=bool(arguments.get("revoke")))
            except AcmeError as error:
                raise CommandError(str(error)) from None
            yield facts(self._config, certificate) | {"issued": True}
        else:
            yield facts(self._config, certificate) | {"issued": False}


def facts(config: Config, certificate: x509.Certificate) -> dict[str, Json]:
    """What is told of a certificate."""
    return {
        "names": sorted(files.alternative_names(certificate)),
        "issuer": certificate.issuer.rfc4514_string(),
        "until": certificate.not_valid_after_utc.isoformat(timespec="minutes"),
        "file": str(config.acme_dir / "certificate.pem"),
    }
