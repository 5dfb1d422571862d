"""The certificates that calls are signed with, served over https to whoever verifies them (RFC 8224 section 7.1)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ringfence.transport.web import parse_url

MEDIA_TYPE = "application/pem-certificate-chain"

MAX_AGE = 3600
"""Seconds that verifiers may keep it. A new key is known everywhere after this time: publish its certificate under a
new URL when calls must not fail meanwhile."""


def publisher(certificates: Iterable[tuple[str, Path]]) -> Starlette:
    """An application that has each certificate at the path of its URL, and nothing else."""
    return Starlette(routes=[_route(url, path) for url, path in certificates])


def _route(url: str, certificate: Path) -> Route:
    def serve(_request: Request) -> Response:  # in a thread of Starlette: it reads a file
        try:
            text = certificate.read_bytes()  # a few kilobytes, and a renewed one is served at once
        except OSError:
            return PlainTextResponse("the certificate can't be read", status_code=503)
        return Response(text, media_type=MEDIA_TYPE, headers={"Cache-Control": f"public, max-age={MAX_AGE}"})

    return Route(parse_url(url).target.partition("?")[0], serve, methods=["GET"])
