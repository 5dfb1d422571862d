"""IPsec on the first hop, as the configuration wants it: ports are shut, keys installed, phones awaited."""

from __future__ import annotations

import secrets
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from ringfence.message import LocalError
from ringfence.roles.hops import Hops
from ringfence.security.agreement import Name
from ringfence.security.ipsec_3gpp import (
    KEY_OCTETS,
    MAX_SPI,
    MIN_SPI,
    Secrets,
    Side,
    read_keys,
    read_secrets,
)
from ringfence.transport.associations import by_hand, of_3gpp
from ringfence.transport.flow import Endpoint
from ringfence.transport.ipsec import IpsecError
from ringfence.transport.kernel_ipsec import kernel_ipsec

if TYPE_CHECKING:
    from ringfence.service.wiring import Parts
    from ringfence.transport.ike import Ike


log = structlog.get_logger("ringfence.ipsec")


class FirstHops:
    """IPsec of one node: opened with it, and taken out of the kernel when it closes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._ike: Ike | None = None

    async def open(self) -> None:
        """Shut the protected ports, open them for phones with keys, and listen there.

        Raises:
            LocalError: where the kernel, the right or a package is missing, or a key can't be used.
            OSError: when a port can't be bound.
        """
        config = self._parts.config
        wanted = [name for name in config.security.mechanisms if name.startswith("ipsec")]
        if config.security.agreement == "off" or not wanted or config.ipsec.address is None:
            return
        own = Endpoint(config.ipsec.address, config.ipsec.port)
        if ip_address(own.host).is_loopback:
            raise LocalError(
                f"ipsec.address is {own.host}: Linux has no IPsec on loopback; name another address"
            )
        hops = self._parts.services.hops = self._make(own)
        for port in (config.ipsec.port, config.ipsec.client_port):
            hops.kernel.shut(Endpoint(own.host, port))
            await self._parts.pool.listen("UDP", own.host, port)
        await self._parts.pool.listen("TCP", own.host, own.port)
        if Name.IPSEC_3GPP in wanted:
            self._try_3gpp(hops, own)
        if Name.IPSEC_MAN in wanted:
            self._by_hand(hops, own)
        self._parts.services.policy.addresses.protect(own, config.ipsec.client_port)
        if Name.IPSEC_IKE in wanted and config.ipsec.vici is not None:
            from ringfence.transport.ike import Ike

            self._ike = Ike(config.ipsec.vici)
            tls = config.tls
            await self._ike.serve(own, config.domain.name, tls.certificate, tls.key, tls.ca)

    def _make(self, own: Endpoint) -> Hops:
        config = self._parts.config
        phones = config.ipsec.phone
        return Hops(
            kernel_ipsec(),
            own,
            config.ipsec.client_port,
            subscribers={each.aor: read_secrets(_text(each.keys)) for each in phones if each.user},
            by_hand=frozenset(each.address for each in phones if each.address),
            keyed=Name.IPSEC_IKE in config.security.mechanisms,
            lifetime=config.ipsec.lifetime_seconds,
            choose=lambda: MIN_SPI + secrets.randbelow(MAX_SPI - MIN_SPI),
            clock=time.time,
            pool=self._parts.pool,
        )

    def _try_3gpp(self, hops: Hops, own: Endpoint) -> None:
        """Leave ``ipsec-3gpp`` off the list of everybody where the kernel can't do it; that list must not depend on
        whether it can for one phone. Raises IpsecError when the list has nothing else."""
        policy = self._parts.services.policy
        sides = Side(MIN_SPI, MIN_SPI + 1, 1, 2), Side(MIN_SPI + 2, MIN_SPI + 3, 3, 4)
        trial = of_3gpp(
            own.host, sides[0], own.host, sides[1], Secrets(bytes(KEY_OCTETS), bytes(KEY_OCTETS))
        )[:1]
        try:
            hops.kernel.add(trial, own.host)
            hops.kernel.remove(trial, own.host)
        except IpsecError as error:
            left = tuple(each for each in policy.mechanisms if each.name != Name.IPSEC_3GPP)
            if not left:
                raise
            log.error("ipsec-3gpp is not offered", reason=str(error))
            policy.mechanisms = left

    def _by_hand(self, hops: Hops, own: Endpoint) -> None:
        for each in self._parts.config.ipsec.phone:
            if each.address is not None and each.spi_in is not None and each.spi_out is not None:
                there, keys = Endpoint(each.address, each.port), read_keys(_text(each.keys))
                hops.kernel.add(by_hand(own, there, each.spi_in, each.spi_out, keys), own.host)
                self._parts.pool.keep(there, own, own, there)

    async def close(self) -> None:
        """Take everything away again."""
        if self._ike is not None:
            await self._ike.close()
        if (hops := self._parts.services.hops) is not None:
            hops.close()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"{path}: {error}") from None
