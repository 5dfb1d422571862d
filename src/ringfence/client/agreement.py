"""Agreeing with our own server on the security of the hop to it (RFC 3329, the client's side).

Before anything else goes there, an OPTIONS in clear asks for the server's list. The best mechanism of it that we
know is turned on, and a second OPTIONS under it returns the list: only when the server finds it unchanged does
anything else follow. A list that was shortened on the way, and a server that knows of no agreement, end in 494.

An account that reaches its server by TLS has no use for this and must not try (section 2.3.1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from ringfence.client.account import Account
from ringfence.client.errors import RequestFailed
from ringfence.client.exchange import Exchange
from ringfence.client.ipsec import IpsecHop, IpsecSettings
from ringfence.client.keyring import Keyring, Place
from ringfence.client.line import SECURE, Hop, Line
from ringfence.message import Headers, LocalError, PeerError, Request, Response, SipUri
from ringfence.message.fields.security_agreement import Mechanism
from ringfence.security.agreement import OPTION, Name, choose, proof, read_list, returned_list
from ringfence.security.credentials import Credentials
from ringfence.security.digest import Algorithm
from ringfence.security.ipsec_3gpp import acceptable
from ringfence.transport.flow import Flow

MECHANISMS = (Name.TLS, Name.DIGEST)
"""What needs nothing further. IPsec needs keys, and the operating system (see ``client.ipsec``)."""

REFUSING = frozenset({421, 494})


def wanted_mechanisms(
    account: Account, wanted: bool | Iterable[str], ipsec: IpsecSettings | None
) -> tuple[str, ...]:
    """What an account may agree on; none when that was not asked for.

    Raises:
        LocalError: for a mechanism that we can't, or where there is no server to agree with.
    """
    able = (*(ipsec.mechanisms(account) if ipsec is not None else ()), *MECHANISMS)
    mechanisms: tuple[str, ...] = able if wanted is True else tuple(wanted or ())
    if unable := [name for name in mechanisms if name not in able]:
        lacking = ""
        if unable[0].startswith("ipsec"):
            lacking = f"; {unable[0]} needs keys: see IpsecSettings"
            if account.transport == "TCP" and unable[0] != Name.IPSEC_3GPP:
                lacking = (
                    f"; {unable[0]} goes over UDP: TCP needs ipsec-3gpp, which has a port to connect from"
                )
        raise LocalError(f"a security agreement can be on {', '.join(able)}{lacking}")
    if mechanisms and account.home() is None:
        raise LocalError("a security agreement is with a server: name a proxy, or give a password")
    return mechanisms


class Agreement:
    """What one agent has agreed on with its server. ``mechanism`` is None until then."""

    def __init__(
        self, line: Line, keyring: Keyring, mechanisms: tuple[str, ...], ipsec: IpsecSettings | None = None
    ) -> None:
        self.mechanism: Mechanism | None = None
        self.verified = False
        """Whether the server has found its list unchanged."""
        self.offered: tuple[str, ...] = ()
        """The server's list, as it came."""
        self._line, self._keyring = line, keyring
        self._known = frozenset(mechanisms)
        self._home: SipUri | None = None
        self._ipsec = IpsecHop(line, ipsec) if ipsec is not None else None
        self._flow = ""
        self._server = ""
        self._lock = asyncio.Lock()

    @property
    def by_tls(self) -> bool:
        """Whether nothing but TLS counts between the server and us."""
        return self._home is not None and self._line.home_local is None

    @property
    def opening(self) -> bool:
        """Whether nothing has been agreed on yet."""
        return self.mechanism is None and not self.verified

    # -- coming to it ----------------------------------------------------------------------------------

    async def ensure(self, hop: Hop) -> None:
        """Agree, if that has not been done yet.

        Raises:
            RequestFailed: 494 when the server has no such agreement, none that we know, or its list was changed on
                the way; otherwise why it can't be reached.
        """
        async with self._lock:
            if self.verified:
                return
            self.reset()
            if (await self._line.places(hop))[0].transport in SECURE:
                # Section 2.3.1: who gets TLS anyway "MUST NOT use the security agreement procedure".
                self._turn_to_tls(None)
            else:
                if self._ipsec is not None:
                    await self._ipsec.prepare(self._known, (await self._line.places(hop))[0].endpoint.host)
                await self._take(await self._ask(hop))
                response = await self._ask(hop)
                if response.status in REFUSING:
                    self.refuse(response)
            self.verified = True

    async def _ask(self, hop: Hop) -> Response:
        """The answer to an OPTIONS to our own domain."""
        account, token = self._line.account, self._line.driver.token
        domain = SipUri("sip", None, account.domain)
        headers = Headers()
        headers.add("Max-Forwards", 70)
        headers.add("From", f"<{account.aor}>;tag={token()}")
        headers.add("To", f"<{domain}>")
        headers.add("Call-ID", token())
        headers.add("CSeq", "1 OPTIONS")
        headers.add("User-Agent", account.user_agent)
        headers.add("Content-Length", 0)
        request = Request("OPTIONS", str(domain), headers)
        exchange = Exchange(self._line, self._keyring, request, hop._replace(uri=domain), negotiating=True)
        response = await exchange.run()
        self._flow = exchange.flow.key if exchange.flow is not None else ""
        self._server = exchange.flow.remote.host if exchange.flow is not None else ""
        return response

    async def _take(self, response: Response) -> None:
        """Choose from the list of a 494 or 421, and turn the mechanism on (section 2.4)."""
        self.offered = tuple(response.headers.values("Security-Server"))
        if response.status not in REFUSING or not self.offered:
            reason = (
                f"the server makes no security agreement: it answered {response.status} {response.reason}"
            )
            raise RequestFailed(494, reason, response)
        try:
            self.mechanism = choose(read_list(self.offered), self._can)
        except PeerError as error:
            raise RequestFailed(494, str(error), response) from None
        if self.mechanism is None:
            names = ", ".join(value.partition(";")[0] for value in self.offered)
            raise RequestFailed(494, f"the server only offers {names}", response)
        if self.mechanism.name == Name.TLS:
            self._turn_to_tls(self.mechanism.params.get("port"))
        elif self._ipsec is not None and self.mechanism.name != Name.DIGEST:
            await self._turn_to_ipsec(self._ipsec, self.mechanism, response)
        else:
            self._turn_to_digest(self.mechanism, response)

    def _can(self, mechanism: Mechanism) -> bool:
        if mechanism.name == Name.DIGEST:
            algorithm = mechanism.params.get("d-alg") or Algorithm.MD5
            if algorithm not in self._line.account.algorithms:
                return False
        if mechanism.name == Name.IPSEC_3GPP and not acceptable(mechanism):
            return False
        return mechanism.name in self._known

    async def _turn_to_ipsec(self, ipsec: IpsecHop, mechanism: Mechanism, response: Response) -> None:
        """Section 2.4: from now on the server is its protected port, at the address that has answered."""
        home = self._line.home
        assert home is not None  # there is an agreement with a server only
        try:
            transport = home.transport or self._line.account.transport or "UDP"
            port = await ipsec.turn_on(mechanism, self._server, transport)
        except (LocalError, PeerError) as error:
            raise RequestFailed(494, f"{mechanism.name} can't be turned on: {error}", response) from None
        self._home = home
        host = f"[{self._server}]" if ":" in self._server else self._server
        self._line.home = home.replace(
            host=host, port=port, params=home.params.with_("transport", transport.lower())
        )

    def _turn_to_tls(self, port: str | None) -> None:
        """Section 2.4: the URI of the next hop is taken as if its scheme were ``sips``; its port was that of another
        transport, unless TLS is what it means."""
        home = self._home = self._line.home
        assert home is not None  # there is an agreement with a server only
        number = int(port) if port and port.isdecimal() else home.port if home.transport == "TLS" else None
        self._line.home = home.replace(scheme="sips", port=number, params=home.params.without("transport"))

    def _turn_to_digest(self, mechanism: Mechanism, response: Response) -> None:
        algorithm, qop = mechanism.params.get("d-alg") or Algorithm.MD5, mechanism.params.get("d-qop")
        if not self._keyring.agree(response, Algorithm(algorithm), qop):
            # Section 2.3.1: what is missing may have been taken away.
            raise RequestFailed(494, "the server offers digest and sends no challenge for it", response)

    def reset(self) -> None:
        """Begin anew: the connection that was agreed on has ended (section 2.5)."""
        if self._home is not None:
            self._line.home = self._home
        if self._ipsec is not None:
            self._ipsec.turn_off()
        self._home, self.mechanism, self.verified, self.offered = None, None, False, ()

    async def close(self) -> None:
        """Take what was set up for it out of the operating system."""
        if self._ipsec is not None:
            await self._ipsec.close()

    def flow_closed(self, flow: Flow) -> None:
        """A connection ended."""
        if self.by_tls and flow.key == self._flow:
            self.reset()

    # -- keeping it ------------------------------------------------------------------------------------

    def mark(self, request: Request, shown: Mapping[Place, Credentials]) -> None:
        """Put the agreement on a request: what we can before it, the server's list after it (section 2.3.1)."""
        if self.verified and self.mechanism is None:
            return  # TLS as a matter of course
        headers = request.headers
        for name in ("Security-Client", "Security-Verify"):
            headers.remove(name)
        for name in ("Require", "Proxy-Require"):
            others = [each for each in headers.values(name) if each != OPTION]
            headers.set(name, ", ".join([*others, OPTION]))
        # TS 33.203 section 7.2: what was offered for ``ipsec-3gpp`` is said again under it.
        if self.mechanism is None or self.mechanism.name == Name.IPSEC_3GPP:
            offer = self._ipsec.offer if self._ipsec is not None else None
            named = (str(offer) if offer and name == offer.name else name for name in self._known)
            headers.add("Security-Client", ", ".join(sorted(named, reverse=True)))
        if self.mechanism is None:
            return
        headers.add("Security-Verify", returned_list(self.offered, self._proof(request, shown)))

    def _proof(self, request: Request, shown: Mapping[Place, Credentials]) -> str | None:
        if self.mechanism is None or self.mechanism.name != Name.DIGEST:
            return None
        # The element that we agree with challenges a REGISTER as registrar, everything else as proxy.
        first = "Authorization" if request.method == "REGISTER" else "Proxy-Authorization"
        for _, credentials in sorted(shown.items(), key=lambda item: item[0][0] != first):
            ha1 = self._keyring.ha1(credentials)
            if ha1 is not None:
                return proof(credentials, ha1, request.method, self.offered, request.body)
        return None

    def challenges(self, response: Response, shown: Mapping[Place, Credentials]) -> bool:
        """Whether a 494 only wants credentials that the request did not have, such as those for a registrar."""
        if response.status != 494 or self.mechanism is None or self.mechanism.name != Name.DIGEST:
            return False
        if tuple(response.headers.values("Security-Server")) != self.offered:
            return False
        answers = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}
        return any(
            name in response.headers and all(header != place for place, _ in shown)
            for name, header in answers.items()
        )

    def refuse(self, response: Response) -> None:
        """The server did not find its list. Always raises RequestFailed."""
        now = ", ".join(response.headers.values("Security-Server"))
        seen = ", ".join(self.offered)
        why = f"{response.reason}: the list {seen} may have been changed on the way"
        if now != seen:
            why += f", now it is {now or 'missing'}"
        self.reset()
        raise RequestFailed(response.status, why, response)
