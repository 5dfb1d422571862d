"""One GET over one new connection: what fetching a certificate needs of HTTP, and nothing else.

No redirects, cookies, proxies, compression or reuse, so that there is little for the other side to play with.
The address is given apart from the name, since ``fetch`` has looked at it: a name that is resolved a second time may
lead elsewhere (DNS rebinding). The certificate has to be good for the name. Without TLS only what is signed itself is
asked for: revocation lists, and answers of OCSP.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import NamedTuple

import h11

MAX_URL = 2_048
"""Characters of a URL. Those in use have a hundred."""

MAX_BODY = 1_048_576
"""Bytes of what is fetched: a list of ten thousand telephone numbers, or of as many revoked certificates, fits. Chains
have a limit of their own, in ``security.chains``."""

MAX_HEAD = 16_384
"""Bytes of an answer's header, as usual with HTTP."""

USER_AGENT = "ringfence"
ACCEPT = "application/pem-certificate-chain, application/x-pem-file, application/pkix-cert, */*;q=0.1"

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<target>(?:/[!$-;=?-Z_a-z~\[\]@]*)?(?:\?[!$-;=?-Z_a-z~\[\]@]*)?)",
    re.IGNORECASE,
).fullmatch


class WebError(Exception):
    """Nothing could be had. The text says why, for a log."""


class WebUrl(NamedTuple):
    """An HTTP URL. ``host`` is in lower case, an IPv6 address without brackets."""

    host: str
    port: int
    target: str
    secure: bool = True

    @property
    def authority(self) -> str:
        """What goes into Host (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


class WebAnswer(NamedTuple):
    """What came back: header names in lower case, each with its values joined by commas."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_url(text: str, *, plain: bool = False) -> WebUrl:
    """Read an HTTPS URL; with ``plain`` an HTTP one too. No user, no fragment, and none of the characters that could
    break a request in two.

    Raises:
        WebError: for anything else.
    """
    match = _URL(text) if len(text) <= MAX_URL else None
    secure = match is not None and match["scheme"].lower() == "https"
    port = int(match["port"] or (443 if secure else 80)) if match else 0
    if match is None or not (secure or plain) or not 0 < port < 65536:
        raise WebError(f"{text[:80]!r} is not an http{'' if plain else 's'} URL")
    target = match["target"]
    target = target if target.startswith("/") else f"/{target}"
    return WebUrl(match["host"].strip("[]").lower(), port, target, secure)


async def get(url: WebUrl, address: str, context: ssl.SSLContext) -> WebAnswer:
    """Ask ``address`` for the URL. The caller sets the time limit.

    Raises:
        WebError: with the reason; whatever the other side does, nothing else.
    """
    try:
        reader, writer = await asyncio.open_connection(
            address,
            url.port,
            ssl=context if url.secure else None,
            server_hostname=url.host if url.secure else None,
            limit=MAX_HEAD,
        )
    except ssl.SSLCertVerificationError as error:
        raise WebError(f"its certificate is not good: {error.verify_message}") from None
    except OSError as error:
        raise WebError(f"{address} can't be reached: {error.strerror or error}") from None
    try:
        return await _exchange(url, reader, writer)
    except h11.RemoteProtocolError as error:
        raise WebError(f"its answer is not HTTP: {error}") from None
    except OSError as error:  # SSLError is one
        raise WebError(f"the connection broke: {error.strerror or error}") from None
    finally:
        writer.transport.abort()


async def _exchange(url: WebUrl, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> WebAnswer:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    headers = [("Host", url.authority), ("User-Agent", USER_AGENT), ("Accept", ACCEPT)]
    headers += [("Accept-Encoding", "identity"), ("Connection", "close")]
    request = http.send(h11.Request(method="GET", target=url.target, headers=headers))
    writer.write((request or b"") + (http.send(h11.EndOfMessage()) or b""))
    answer: h11.Response | None = None
    body = bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(MAX_HEAD))
        elif isinstance(event, h11.Response):
            answer = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise WebError(f"it is longer than {MAX_BODY} bytes")
        elif isinstance(event, h11.EndOfMessage):
            assert answer is not None  # h11 gives the parts in order
            return WebAnswer(answer.status_code, _joined(answer), bytes(body))
        elif not isinstance(event, h11.InformationalResponse):
            raise WebError("the connection was closed before an answer")


def _joined(answer: h11.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in answer.headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
