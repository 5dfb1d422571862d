"""A small registrar and proxy with a switch for each weakness: what an audit has to find, one at a time.

Without a switch it does what the nine requirements ask for; every switch takes one thing away. It is no part of the
project: nothing of it is on the way of a real call.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ringfence.engine.places import Endpoint
from ringfence.message import (
    Headers,
    PeerError,
    Request,
    Response,
    SipUri,
    parse,
    parse_address,
    response_to,
)
from ringfence.security.authority import Authority, new_key
from ringfence.security.credentials import Challenge, Credentials, parse_credentials
from ringfence.security.digest import Algorithm, make_ha1, request_digest, same_resource
from ringfence.transport.contexts import Contexts
from ringfence.transport.flow import Flow
from ringfence.transport.limits import Limits
from ringfence.transport.pool import Pool

DOMAIN = "weak.example"
PASSWORDS = {"caller": "secret-of-caller", "callee": "secret-of-callee"}
IMPATIENT = Limits(first_message_time=1.0, message_time=1.0, sweep_time=0.1, close_time=0.2)

BURST, WINDOW = 60, 0.25
"""Requests of one address in so many seconds that are answered; paced probes stay below."""

GUESSES = 8

AGREEMENT = "tls;q=0.2, digest;q=0.1;d-alg=SHA-256;d-qop=auth"
ADDED = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Identity", "P-Charging-Vector")
CHARGING = ("P-Charging-Vector", "P-Charging-Function-Addresses")


class Server:
    """One server. ``weak`` holds the switches that are on."""

    def __init__(self, *weak: str, limits: Limits = IMPATIENT, contexts: Contexts | None = None) -> None:
        self.weak = set(weak)
        self.pool = Pool(self, limits, contexts=contexts)
        self.places: list[tuple[str, Endpoint]] = []
        self.nonces: dict[str, list[Any]] = {}
        self.bindings: dict[str, dict[str, Flow]] = {user: {} for user in PASSWORDS}
        self.forwarded: dict[str, tuple[Flow, Request, list[str]]] = {}
        self.seen: dict[str, deque[float]] = defaultdict(deque)
        self.wrong: dict[str, int] = defaultdict(int)
        self.dead = False
        self.tasks: set[asyncio.Task[None]] = set()

    async def open(self, *transports: str) -> None:
        for transport in transports:
            listener = await self.pool.listen(transport, "127.0.0.1", 0)
            self.places.append((transport, listener.local))

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.pool.close()

    # -- in and out ------------------------------------------------------------------------------------

    def opened(self, flow: Flow) -> None:
        pass

    def closed(self, flow: Flow, reason: str) -> None:
        for contacts in self.bindings.values():
            for contact in [each for each, over in contacts.items() if over is flow]:
                del contacts[contact]

    def received(self, data: bytes, flow: Flow) -> None:
        if self.dead:
            return
        try:
            message = parse(data)
            if isinstance(message, Response):
                self.back(message)
            elif message.method != "ACK" and not self.limit(message, flow):
                self.handle(message, flow)
        except PeerError as error:
            if b"\0" in data and "crash" in self.weak:
                self.dead = True
            if isinstance(error.message, Request):
                status = 200 if "lenient" in self.weak else error.status
                flow.send(response_to(error.message, status, to_tag="1").to_bytes())

    def answer(
        self, request: Request, flow: Flow, status: int, *fields: tuple[str, str], reason: str = ""
    ) -> None:
        response = response_to(request, status, reason or None, to_tag=secrets.token_hex(4))
        for name, value in fields:
            response.headers.add(name, value)
        if "version" in self.weak:
            response.headers.add("Server", "weakproxy 1.2.3")
        if "inner" in self.weak:
            response.headers.add("Warning", '392 10.1.2.3:5060 "noisy feedback"')
        if "amplify" in self.weak:
            response.headers.add("X-Advice", "a" * 4000)
        flow.send(response.to_bytes())
        if "repeat" in self.weak and status in {401, 407}:
            self.later(0.3, flow, response.to_bytes())

    def later(self, seconds: float, flow: Flow, data: bytes) -> None:
        async def send() -> None:
            await asyncio.sleep(seconds)
            flow.send(data)

        task = asyncio.create_task(send())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def limit(self, request: Request, flow: Flow) -> bool:
        if "unlimited" in self.weak:
            return False
        times, now = self.seen[flow.remote.host], time.monotonic()
        times.append(now)
        while times[0] < now - WINDOW:
            times.popleft()
        if len(times) > BURST:
            self.answer(request, flow, 503, ("Retry-After", "1"))
            return True
        return False

    # -- what it decides -------------------------------------------------------------------------------

    def handle(self, request: Request, flow: Flow) -> None:
        target = request.target
        tag = request.to.tag
        if self.relays(request, target, flow):
            return None
        if request.headers.get("Max-Forwards") == "0" and "hops" not in self.weak:
            return self.answer(request, flow, 483)
        if request.method == "OPTIONS" and isinstance(target, SipUri) and not target.user:
            return self.answer(request, flow, 200)
        if self.extensions(request, flow):
            return None
        if request.method == "REGISTER":
            return self.register(request, flow)
        if not isinstance(target, SipUri):
            return self.answer(request, flow, 416)
        if target.host != DOMAIN:
            return self.answer(request, flow, 403)
        if tag is not None and not self.knows(request):
            return self.answer(request, flow, 200 if "dialog" in self.weak else 481)
        if self.told(request, target, flow):
            return None
        return self.route(request, target, flow)

    def relays(self, request: Request, target: Any, flow: Flow) -> bool:
        """The ways in which it is an open relay."""
        route = request.headers.values("Route")
        uri: Any = None
        if "relay-uri" in self.weak and isinstance(target, SipUri) and target.host != DOMAIN:
            uri = target
        if "relay-route" in self.weak and route:
            uri = parse_address(route[-1]).uri
        if "relay-dialog" in self.weak and route and request.to.tag:
            uri = target
        if "relay-tried" in self.weak and isinstance(target, SipUri) and target.host != DOMAIN:
            self.answer(request, flow, 408)
            return True
        if "refer-acts" in self.weak and request.method == "REFER":
            uri = parse_address(request.headers.get("Refer-To") or "").uri
        if not isinstance(uri, SipUri) or not uri.port:
            return False
        self.pool.flow_to("UDP", Endpoint(uri.host, uri.port)).send(request.to_bytes())
        self.answer(request, flow, 404)
        return True

    def extensions(self, request: Request, flow: Flow) -> bool:
        required = request.headers.values("Require") + request.headers.values("Proxy-Require")
        if "sec-agree" in required and "no-agreement" not in self.weak:
            if "agreement-refused" in self.weak:
                self.answer(request, flow, 420, ("Unsupported", "sec-agree"))
                return True
            verify = request.headers.get("Security-Verify")
            if verify is None or (verify != AGREEMENT and "downgrade" not in self.weak):
                self.answer(request, flow, 494, ("Security-Server", AGREEMENT))
                return True
        unknown = [
            each for each in request.headers.values("Proxy-Require") if each not in {"sec-agree", "privacy"}
        ]
        if unknown and "unknown" not in self.weak:
            self.answer(request, flow, 420, ("Unsupported", unknown[0]))
            return True
        return False

    def told(self, request: Request, target: SipUri, flow: Flow) -> bool:
        if request.method == "SUBSCRIBE" and "presence" in self.weak:
            self.answer(request, flow, 200, ("Expires", "60"))
            return True
        if (
            request.method == "INVITE"
            and "redirects" in self.weak
            and "audit.invalid" in str(request.from_.uri)
        ):
            self.answer(request, flow, 302, ("Contact", "<sip:desk@192.0.2.7>"))
            return True
        if (
            "enumerates" in self.weak
            and target.user not in PASSWORDS
            and request.method in {"INVITE", "OPTIONS"}
        ):
            self.answer(request, flow, 404)
            return True
        return False

    # -- who is it -------------------------------------------------------------------------------------

    def challenge(self, request: Request, flow: Flow, stale: bool = False) -> None:
        status = 401 if request.method == "REGISTER" else 407
        if "constant" in self.weak:
            nonce = "always-the-same-nonce-of-many-characters"
        elif "counter" in self.weak:
            nonce = f"{len(self.nonces):040d}"
        else:
            nonce = secrets.token_hex(20)
        self.nonces[nonce] = [flow.remote.host, 0]
        algorithms = (
            ["MD5"] if "md5" in self.weak else ["SHA-256", "MD5"] if "md5-too" in self.weak else ["SHA-256"]
        )
        qop: tuple[str, ...] = (
            () if "no-qop" in self.weak else ("auth",) if "no-int" in self.weak else ("auth", "auth-int")
        )
        name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
        stale = (
            stale or ("stale" in self.weak and bool(self.credentials(request)))
        ) and "no-stale" not in self.weak
        fields = [(name, str(Challenge(DOMAIN, nonce, each, qop, stale=stale))) for each in algorithms]
        self.answer(request, flow, status, *fields)

    def credentials(self, request: Request) -> Credentials | None:
        name = "Authorization" if request.method == "REGISTER" else "Proxy-Authorization"
        value = request.headers.get(name)
        return parse_credentials(value, name) if value else None

    def user(self, request: Request, flow: Flow) -> str | None:
        """Who has proved to send it; None when that was answered."""
        if "open" in self.weak:
            return request.from_.uri.user if isinstance(request.from_.uri, SipUri) else ""
        given = self.credentials(request)
        if given is None:
            self.challenge(request, flow)
            return None
        if "unchecked" in self.weak:
            return given.username
        if self.wrong[given.username] >= GUESSES and "guesses" not in self.weak:
            self.answer(request, flow, 429)
            return None
        if self.proved(given, request, flow):
            self.wrong[given.username] = 0
            return given.username
        return None

    def proved(self, given: Credentials, request: Request, flow: Flow) -> bool:
        password = PASSWORDS.get(given.username)
        ha1 = make_ha1(given.username, DOMAIN, password or "?", Algorithm(given.algorithm or "MD5"))
        if password is None or not secrets.compare_digest(
            request_digest(given, ha1, request.method, request.body), given.response
        ):
            self.wrong[given.username] += 1
            if "timed" in self.weak and password is not None:
                time.sleep(0.004)
            self.challenge(request, flow)
            return False
        known = self.nonces.get(given.nonce)
        if "any-uri" not in self.weak and not same_resource(given.uri, request.uri):
            self.challenge(request, flow)
            return False
        if known is None:
            known = [flow.remote.host, 0]
            if "any-nonce" not in self.weak:
                self.challenge(request, flow, stale=True)
                return False
        if (known[0] != flow.remote.host and "any-source" not in self.weak) or (
            given.count <= known[1] and given.qop and "replay" not in self.weak
        ):
            self.challenge(request, flow, stale=True)
            return False
        known[1] = given.count
        return True

    # -- the registrar ---------------------------------------------------------------------------------

    def register(self, request: Request, flow: Flow) -> None:
        to = request.to.uri
        assert isinstance(to, SipUri)
        if to.host != DOMAIN and "abroad" not in self.weak:
            return self.answer(request, flow, 403)
        contact = request.headers.get("Contact")
        if "open-bind" in self.weak and contact:
            return self.answer(request, flow, 200)
        user = self.user(request, flow)
        if user is None:
            return None
        if user != to.user and not {"other", "abroad"} & self.weak:
            return self.answer(request, flow, 403)
        if contact is None or contact == "*":
            return self.answer(request, flow, 200)
        uri = parse_address(contact).uri
        assert isinstance(uri, SipUri)
        if uri.secure and not request.uri.startswith("sips:") and "sips-contact" not in self.weak:
            return self.answer(request, flow, 400)
        own = any(uri.port == place.port for _, place in self.places)
        if own and "loop" not in self.weak:
            return self.answer(request, flow, 403)
        contacts = self.bindings.setdefault(to.user or "", {})
        if request.headers.get("Expires") == "0" or "expires=0" in contact:
            contacts.pop(str(uri), None)
        else:
            contacts[str(uri)] = flow
        return self.answer(request, flow, 200, ("Contact", f"<{uri}>;expires=300"))

    # -- the proxy -------------------------------------------------------------------------------------

    def route(self, request: Request, target: SipUri, flow: Flow) -> None:
        sender = request.from_.uri
        assert isinstance(sender, SipUri)
        user: str | None = ""
        if sender.host in {DOMAIN, "anonymous.invalid"}:
            user = self.user(request, flow)
            if user is None:
                return None
            if user != sender.user and sender.host == DOMAIN and not {"forged", "open"} & self.weak:
                return self.answer(request, flow, 403)
            if sender.host != DOMAIN and "named-only" in self.weak:
                return self.answer(request, flow, 403)
        elif not {"strangers", "stranger-marked", "verified"} & self.weak:
            return self.answer(request, flow, 403)
        if target.secure and not flow.secure and "sips-arrival" not in self.weak:
            return self.answer(request, flow, 480)
        contacts = self.bindings.get(target.user or "", {})
        if not contacts:
            return self.answer(request, flow, 404)
        contact, over = next(iter(contacts.items()))
        if target.secure and not over.secure and "sips-downgrade" not in self.weak:
            return self.answer(request, flow, 480)
        if any(f":{place.port}" in contact for _, place in self.places):
            return self.answer(request, flow, 483)  # it would go round: see the switch "loop"
        privacy = request.headers.get("Privacy") or ""
        if "critical" in privacy and "critical" not in self.weak:
            return self.answer(request, flow, 500)
        return self.forward(request, contact, flow, over, privacy, stranger=not user)

    def forward(
        self, request: Request, contact: str, flow: Flow, over: Flow, privacy: str, *, stranger: bool
    ) -> None:
        new = request.copy()
        new.uri = contact
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        vias = request.headers.all("Via")
        own = f"SIP/2.0/{over.transport} {over.local};branch={branch}"
        self.forwarded[branch] = (flow, request, vias)
        self.clean(new.headers, privacy, over, stranger)
        shown = {"topology", "headers"} & self.weak
        lines = [("Via", own), *((("Via", via) for via in vias) if shown else ())]
        if request.method == "INVITE" and "no-record" not in self.weak:
            lines.append(("Record-Route", f"<sip:{over.local};lr>"))
        if "breadth" not in self.weak:
            lines.append(("Max-Breadth", "60"))
        rest = [
            (name, new.headers.all(name)[place])
            for name, place in _places(new.headers.names)
            if name not in {"Via", "Max-Breadth", "Route"}
        ]
        if "changes" in self.weak and new.body:
            new.body = new.body.replace(b"quick", b"quiet")
        over.send(Request(new.method, new.uri, Headers([*lines, *rest]), new.body).to_bytes())
        self.answer(request, flow, 100)

    def clean(self, headers: Headers, privacy: str, over: Flow, stranger: bool) -> None:
        """Take out what the callee is not to see."""
        if "credentials" not in self.weak:
            headers.remove("Proxy-Authorization")
        for name in ADDED:
            if "asserted" not in self.weak and name not in CHARGING:
                headers.remove(name)
        if "privacy-id" in self.weak and "id" in privacy:
            headers.add("P-Asserted-Identity", f"<sip:caller@{DOMAIN}>")
        if "charging" not in self.weak:
            for name in CHARGING:
                headers.remove(name)
        if headers.get("Contact") and not {"topology", "headers", "critical"} & self.weak:
            headers.set("Contact", f"<sip:hidden@{over.local}>")
        if privacy.startswith("user") and "privacy-user" not in self.weak:
            headers.set("From", "<sip:anonymous@anonymous.invalid>;tag=1")
        if stranger and "stranger-marked" in self.weak:
            headers.add("Alert-Info", "<urn:alert:source:external>")
        if stranger and "verified" in self.weak:
            headers.add("P-Asserted-Identity", "<sip:+1202;verstat=TN-Validation-Passed@x.example>")

    def knows(self, request: Request) -> bool:
        return "forged-end" in self.weak

    def back(self, response: Response) -> None:
        found = self.forwarded.get(response.via.branch or "")
        if found is None:
            return
        flow, request, vias = found
        if response.status == 302 and "recursion" in self.weak:
            uri = parse_address(response.headers.get("Contact") or "").uri
            assert isinstance(uri, SipUri)
            self.pool.flow_to("UDP", Endpoint(uri.host, uri.port or 5060)).send(request.to_bytes())
        rest = [
            (name, response.headers.all(name)[place])
            for name, place in _places(response.headers.names)
            if name != "Via"
        ]
        headers = Headers([*(("Via", via) for via in vias), *rest])
        flow.send(Response(response.status, response.reason, headers, response.body).to_bytes())


def _places(names: list[str]) -> list[tuple[str, int]]:
    """Each name with the number of its line among those of that name."""
    seen: dict[str, int] = defaultdict(int)
    found = []
    for name in names:
        found.append((name, seen[name]))
        seen[name] += 1
    return found


def certificates(
    directory: Path, *names: str, lifetime: float = 90 * 86_400.0, age: float = 0.0, bits: int = 0
) -> tuple[Path, Path, Path]:
    """A root, a certificate for these names and its key (RSA with so many bits, if any), as files."""
    now = time.time() - age
    root = Authority.create("A root of tests", now=now, serial=secrets.randbits(100))
    key = rsa.generate_private_key(65537, bits) if bits else new_key()
    leaf = root.issue_server(
        key.public_key(), names, now=now, serial=secrets.randbits(100), lifetime=lifetime
    )
    directory.mkdir(exist_ok=True)
    (directory / "root.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    (directory / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (directory / "leaf.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return directory / "root.pem", directory / "leaf.pem", directory / "leaf.key"
