"""A RADIUS server on loopback that makes nonces and judges digests, as RFC 5090 section 2.2 says.

It holds a client to what the RFC says of it: what is wrong with a request is noted in ``faults`` and refused.
"""

from __future__ import annotations

import hmac
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyrad.dictionary import Dictionary  # type: ignore[import-untyped]
from pyrad.packet import (  # type: ignore[import-untyped]
    AccessAccept,
    AccessChallenge,
    AccessReject,
    AuthPacket,
)

import ringfence.ledger
from ringfence.security.credentials import Credentials
from ringfence.security.digest import Algorithm, make_ha1, request_digest
from tests.interop.freeradius import SECRET

REALM = "example.org"
KEY = b"the server's own"
STATE, OPAQUE = b"\x00state\xff", 'of the \\"server\\"'
OLD = 60
"""Seconds after which a nonce is stale."""

DICTIONARY = Dictionary(str(Path(str(ringfence.ledger.__file__)).with_name("radius.dictionary")))


class Server:
    """Its behaviour may be changed between requests. ``age`` is its clock, in seconds."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        self.requests: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.named: list[str] = []
        self.age = 1000
        self.algorithm = "SHA-256"
        self.serial = 0
        self.silent = self.unsigned = self.refuses = self.controls = False
        self.proves = self.names_next = False

    def run(self) -> None:
        """Answer until the socket is closed."""
        while True:
            try:
                data, source = self.socket.recvfrom(4096)
            except OSError:
                return
            if not data:
                return
            request = AuthPacket(packet=data, dict=DICTIONARY, secret=SECRET.encode())
            self.requests.append({name: request[name] for name in request.keys()})  # noqa: SIM118
            if self.silent:
                continue
            reply = request.CreateReply(message_authenticator=not self.unsigned)
            self.answer(request, reply)
            self.socket.sendto(reply.ReplyPacket(), source)

    def answer(self, request: Any, reply: Any) -> None:
        """Section 2.2."""
        if not request.verify_message_authenticator():
            self.fault(reply, "no Message-Authenticator")
        elif self.refuses:
            reply.code = AccessReject
        elif "Digest-Nonce" not in request:
            self.challenge(reply)
        else:
            self.judge(request, reply)

    def challenge(self, reply: Any, *, stale: bool = False) -> None:
        """An Access-Challenge with a new nonce."""
        reply.code = AccessChallenge
        self.serial += 1
        head = f"{self.age}.{self.serial}"
        reply["Digest-Nonce"] = f"{head}\r\n" if self.controls else f"{head}.{_mac(head)}"
        reply["Digest-Realm"] = REALM
        reply["Digest-Algorithm"] = self.algorithm
        for qop in ("auth", "auth-int"):
            reply.AddAttribute("Digest-Qop", qop)
        for uri in ("sip:example.org", "sips:example.org"):
            reply.AddAttribute("Digest-Domain", uri)
        reply["Digest-Opaque"] = OPAQUE
        reply["State"] = STATE
        if stale:
            reply["Digest-Stale"] = "true"

    def judge(self, request: Any, reply: Any) -> None:
        """Section 2.2.1 and 2.2.2."""
        given = {
            name: request.get(name, [""])[0] for name in DICTIONARY.attributes if name.startswith("Digest-")
        }
        head, _, mac = given["Digest-Nonce"].rpartition(".")
        if not hmac.compare_digest(mac, _mac(head)):
            return self.fault(reply, "a nonce that is not ours")
        if given["Digest-Opaque"] != OPAQUE and given["Digest-Nonce"] not in self.named:
            return self.fault(reply, f"another opaque: {given['Digest-Opaque']}")
        if given["Digest-Realm"] != REALM or not given["Digest-Username"]:
            return self.fault(reply, "mandatory attributes are missing")
        right = _response(given, given["Digest-Method"])
        if not hmac.compare_digest(right, given["Digest-Response"]):
            reply.code = AccessReject
            return None
        if self.age - int(head.split(".")[0]) > OLD:
            if "State" in request:
                return self.fault(reply, "State, so that it can't be challenged")
            return self.challenge(reply, stale=True)
        reply.code = AccessAccept
        if self.proves:
            reply["Digest-Response-Auth"] = _response(given, "")
        if self.names_next:
            self.serial += 1
            head = f"{self.age}.{self.serial}"
            self.named.append(f"{head}.{_mac(head)}")
            reply["Digest-Nextnonce"] = self.named[-1]
        return None

    def fault(self, reply: Any, what: str) -> None:
        """The client does what it must not."""
        self.faults.append(what)
        reply.code = AccessReject


def _mac(head: str) -> str:
    return hmac.new(KEY, head.encode(), sha256).hexdigest()[:16]


def _response(given: dict[str, str], method: str) -> str:
    user = given["Digest-Username"]
    credentials = Credentials(
        user,
        REALM,
        given["Digest-Nonce"],
        given["Digest-URI"],
        "",
        given["Digest-Algorithm"],
        given["Digest-CNonce"],
        None,
        given["Digest-Qop"] or None,
        given["Digest-Nonce-Count"],
    )
    ha1 = make_ha1(user, REALM, f"secret-{user}", Algorithm(given["Digest-Algorithm"]))
    return request_digest(credentials, ha1, method, body_hash=given["Digest-Entity-Body-Hash"])


@contextmanager
def radius_server() -> Iterator[Server]:
    """The server while the block runs, on a thread of its own."""
    server = Server()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", server.port))
        thread.join(5)
        server.socket.close()
