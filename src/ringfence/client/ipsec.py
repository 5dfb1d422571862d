"""IPsec to our own server, as a phone does it (RFC 3329 section 2.4, 3GPP TS 33.203 section 7).

Its ports are opened and shut before anything is said, so that nothing leaves them, or comes to them, in clear. Once the
server has told its side, the kernel gets the keys, or strongSwan makes them. TCP goes under ``ipsec-3gpp`` alone, which
agrees on a port to connect from; the one port of the others is already the one that we listen at.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.client.account import Account
from ringfence.message import LocalError, PeerError
from ringfence.message.fields.security_agreement import Mechanism
from ringfence.security.agreement import Name
from ringfence.security.ipsec_3gpp import (
    MAX_SPI,
    MIN_SPI,
    Side,
    mechanism_of,
    read_keys,
    read_secrets,
    read_side,
)
from ringfence.security.pem import key_file_flaw
from ringfence.transport.associations import by_hand, of_3gpp
from ringfence.transport.flow import Endpoint
from ringfence.transport.ipsec import Association, Ipsec
from ringfence.transport.kernel_ipsec import kernel_ipsec

if TYPE_CHECKING:
    from ringfence.client.line import Line
    from ringfence.transport.ike import Ike


@dataclass(frozen=True, slots=True, kw_only=True)
class IpsecSettings:
    """What an agent has for IPsec.

    It can ``ipsec-3gpp`` with ``subscriber``, ``ipsec-man`` with ``keys`` and both SPIs, ``ipsec-ike`` with ``vici``,
    ``certificate`` and the CA in the ``trust`` of the account.
    """

    subscriber: Path | None = None
    """A file of IK and CK, 32 hexadecimal digits each, mode 0600."""
    keys: Path | None = None
    """A file of 64 digits for integrity and 32 or 64 for encryption, mode 0600."""
    spi_in: int = 0
    """The SPI of what comes to us; the server's ``spi_out``."""
    spi_out: int = 0
    vici: Path | None = None
    """The socket of strongSwan's charon."""
    certificate: Path | None = None
    """A user certificate of the server's CA; its key is beside it, as ``.key``, mode 0600."""
    port: int = 5062
    """Our protected port."""
    client_port: int = 5064
    """For ``ipsec-3gpp``: the port that we send from."""

    def mechanisms(self, account: Account) -> tuple[str, ...]:
        """What can be agreed on with it, the preferred first; over TCP ``ipsec-3gpp`` alone."""
        able = (
            (Name.IPSEC_3GPP, self.subscriber is not None),
            (
                Name.IPSEC_IKE,
                self.vici is not None and self.certificate is not None and bool(account.trust),
            ),
            (Name.IPSEC_MAN, self.keys is not None and self.spi_in > 0 and self.spi_out > 0),
        )
        by_tcp = account.transport == "TCP"
        return tuple(name for name, able_to in able if able_to and (not by_tcp or name == Name.IPSEC_3GPP))


class IpsecHop:
    """The hop to the server."""

    def __init__(self, line: Line, settings: IpsecSettings) -> None:
        self.offer: Mechanism | None = None
        """What Security-Client says of ``ipsec-3gpp``."""
        self._line, self._settings = line, settings
        self._kernel: Ipsec | None = None
        self._ike: Ike | None = None
        self._own = Endpoint("", 0)
        self._side: Side | None = None
        self._made: tuple[Association, ...] = ()

    async def prepare(self, mechanisms: Collection[str], server: str) -> None:
        """Open our ports, and choose our side, before anything is said to the server.

        Raises:
            LocalError: where the operating system does not do it, or a port is taken.
        """
        from ringfence.client.line import local_host

        if self._kernel is not None or not any(name.startswith("ipsec") for name in mechanisms):
            self._choose(mechanisms)
            return
        host = local_host(server)
        if ip_address(server).is_loopback:
            raise LocalError(f"the server is {server}: Linux has no IPsec on loopback")
        self._kernel = kernel_ipsec()
        self._own = Endpoint(host, self._settings.port)
        client = Endpoint(host, self._settings.client_port)
        for own in (self._own, client):
            self._kernel.shut(own)
            try:
                await self._line.listen_protected(own)
            except OSError as error:
                raise LocalError(f"{own} is needed for IPsec: {error.strerror}") from None
        self._choose(mechanisms)

    def _choose(self, mechanisms: Collection[str]) -> None:
        """A side with fresh SPIs for each agreement."""
        if Name.IPSEC_3GPP in mechanisms:
            spi = MIN_SPI + secrets.randbelow(MAX_SPI - MIN_SPI)
            self._side = Side(spi, spi ^ 1, self._settings.client_port, self._settings.port)
            self.offer = mechanism_of(self._side)

    async def turn_on(self, mechanism: Mechanism, server: str, transport: str) -> int:
        """Have the hop protected by what the server offers; gives the port of the server's that is.

        Raises:
            LocalError: where keys or the operating system are not fit, or the key exchange fails.
            PeerError: 494 when the server's parameters make no sense.
        """
        line, own = self._line, self._own
        client = own
        if mechanism.name == Name.IPSEC_3GPP:
            assert self._side is not None  # it was offered
            ours = read_side(mechanism)
            keys = read_secrets(_text(self._settings.subscriber))
            self._add(of_3gpp(own.host, self._side, server, ours, keys))
            client, port = Endpoint(own.host, self._side.port_c), ours.port_s
            if transport == "TCP":
                await self._by_tcp(client, Endpoint(server, port))
        else:
            port = _port(mechanism)
            await self._pair(mechanism.name, Endpoint(server, port))
        line.protected = {own: own, client: own}
        line.home_local = client
        return port

    async def _by_tcp(self, client: Endpoint, server: Endpoint) -> None:
        try:
            await self._line.connect_from(self._own, client, server)
        except OSError as error:
            raise LocalError(f"{self._own} is needed for IPsec: {error.strerror}") from None

    async def _pair(self, name: str, server: Endpoint) -> None:
        settings, account = self._settings, self._line.account
        if name == Name.IPSEC_MAN:
            keys = read_keys(_text(settings.keys))
            self._add(by_hand(self._own, server, settings.spi_in, settings.spi_out, keys))
            return
        from ringfence.transport.ike import Ike

        assert settings.vici is not None  # ``mechanisms`` has looked
        assert settings.certificate is not None
        certificate, key = settings.certificate, settings.certificate.with_suffix(".key")
        if flaw := key_file_flaw(key.stat().st_mode):
            raise LocalError(f"{key}: {flaw}")
        self._ike = Ike(settings.vici)
        await self._ike.connect(self._own, server, account.domain, certificate, key, account.trust[0])

    def _add(self, associations: tuple[Association, ...]) -> None:
        assert self._kernel is not None  # ``prepare`` came before
        self._kernel.add(associations, self._own.host)
        self._made = associations

    def turn_off(self) -> None:
        """Begin anew: what was agreed on counts no longer. The ports stay shut."""
        self._line.protected, self._line.home_local = {}, None
        if self._made and self._kernel is not None:
            self._kernel.remove(self._made, self._own.host)
        self._made = ()

    async def close(self) -> None:
        """Take everything out of the operating system."""
        if self._ike is not None:
            await self._ike.close()
        if self._kernel is not None:
            self._kernel.close()


def _port(mechanism: Mechanism) -> int:
    text = mechanism.params.get("port") or "5060"
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise PeerError(494, f"{mechanism.name} has no good port", header="Security-Server")
    return int(text)


def _text(path: Path | None) -> str:
    assert path is not None  # ``IpsecSettings.mechanisms`` has looked
    try:
        if flaw := key_file_flaw(path.stat().st_mode):
            raise LocalError(f"{path}: {flaw}")
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"{path}: {error}") from None
