"""How the names of a certificate are proved to an ACME server: a page on port 80, or a record in the DNS."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ringfence.service.acme_client import AcmeError, Proof, Prover
from ringfence.service.acme_sections import Acme
from ringfence.service.addresses import Address
from ringfence.service.web import WebServer

COMMAND_SECONDS = 300.0
"""For the program that publishes a record: it may wait until all name servers have it."""

MAX_SAID = 200
"""Characters of what it says when it fails that are told."""


class Pages:
    """http-01 (RFC 8555 section 8.3): one page for each token, as long as it is asked for."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def add(self, proof: Proof) -> None:
        """From the thread that orders."""
        self._texts[proof.token] = proof.text

    def remove(self, proof: Proof) -> None:
        """From the thread that orders."""
        self._texts.pop(proof.token, None)

    def app(self) -> Starlette:
        """The application: these pages and nothing else."""

        async def show(request: Request) -> Response:
            text = self._texts.get(request.path_params["token"])
            if text is None:
                return PlainTextResponse("", status_code=404)
            return Response(text, media_type="application/octet-stream")

        return Starlette(routes=[Route("/.well-known/acme-challenge/{token}", show, methods=["GET"])])


class Records:
    """dns-01 (RFC 8555 section 8.4), by a program of the owner's. It may take its time: it runs in the thread that
    orders."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def add(self, proof: Proof) -> None:
        """Have the record published. Raises AcmeError."""
        if reason := self._run("add", proof):
            raise AcmeError(f"the record for {proof.name} could not be published: {reason}")

    def remove(self, proof: Proof) -> None:
        """Have it taken away. One that stays proves nothing any more, so that failing fails nothing."""
        self._run("remove", proof)

    def _run(self, what: str, proof: Proof) -> str | None:
        """What went wrong."""
        program = self._command[0]
        words = [*self._command, what, f"_acme-challenge.{proof.name}", proof.text]
        try:
            done = subprocess.run(  # noqa: S603  # the owner's own program
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"{program} did not end within {COMMAND_SECONDS:g} s"
        except OSError as error:
            return f"{program}: {error.strerror or error}"
        if done.returncode == 0:
            return None
        said = " ".join(done.stderr.decode(errors="replace").split())[-MAX_SAID:]
        return f"{program} ended with {done.returncode}{f': {said}' if said else ''}"


@contextlib.asynccontextmanager
async def proving(section: Acme) -> AsyncIterator[Prover]:
    """What publishes proofs; a port for pages is open while the block runs. Raises AcmeError when it can't be had."""
    if section.challenge == "dns-01":
        yield Records(section.dns_command)
        return
    pages = Pages()
    async with contextlib.AsyncExitStack() as stack:
        for host in section.hosts:
            server = WebServer(pages.app(), Address(host, section.port))
            try:
                await server.start()
            except OSError as error:
                reason = (error.strerror or str(error)).partition(" (")[0]
                fix = "free it, allow it (CAP_NET_BIND_SERVICE), or forward to another port under [acme]"
                raise AcmeError(f"port {section.port} for http-01 can't be opened: {reason}; {fix}") from None
            stack.push_async_callback(server.stop)
        yield pages
