"""The section about IPsec on the first hop (RFC 3329). As in `sections`, the docstring below a key is its
documentation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ringfence.service.sections import Section
from ringfence.service.values import FilePath, Host, Many, Port

Spi = Annotated[int, Field(ge=256, le=4_294_967_295)]


class IpsecPhone(Section):
    """A phone that has keys in common with us: a subscriber (`user`) for ipsec-3gpp, or an `address` for ipsec-man."""

    user: Annotated[str, Field(examples=["alice@example.org"])] = ""
    """For ipsec-3gpp: the address that it registers."""
    address: Annotated[Host | None, Field(examples=["192.0.2.7"])] = None
    """For ipsec-man: its IP address."""
    port: Port = 5062
    """For ipsec-man: the port that it sends from and listens at."""
    spi_in: Spi | None = None
    """For ipsec-man: the SPI of what comes to us."""
    spi_out: Spi | None = None
    """For ipsec-man: the SPI of what goes to it."""
    keys: FilePath
    """A file of two keys in hexadecimal digits, mode 0600. ipsec-3gpp: IK and CK, 32 digits each. ipsec-man: 64 digits
    for integrity (HMAC-SHA-256), 32 or 64 for encryption (AES-CBC)."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        by_hand = self.address is not None and self.spi_in is not None and self.spi_out is not None
        if bool(self.user) == by_hand or (self.user and self.address is not None):
            raise PydanticCustomError(
                "ipsec_phone",
                "a phone needs user, or address, spi_in and spi_out",
                {"fix": 'write user = "alice@example.org" for ipsec-3gpp'},
            )
        return self

    @property
    def aor(self) -> str:
        """The address as steps compare it; empty for ipsec-man."""
        return self.user and f"sip:{self.user.removeprefix('sip:')}"


class Ipsec(Section):
    """IPsec between phones and us. It needs Linux, the right CAP_NET_ADMIN and the extra `ipsec`."""

    address: Annotated[Host | None, Field(examples=["192.0.2.1"])] = None
    """Our IP address that phones come to; not a loopback address, where Linux has no IPsec. None: no IPsec."""
    port: Port = 5062
    """The protected port, UDP and TCP. The kernel drops what comes to it in clear."""
    client_port: Port = 5064
    """For ipsec-3gpp: the port that we send and connect from."""
    lifetime_seconds: Annotated[int, Field(ge=60, le=86_400)] = 7_200
    """For ipsec-3gpp: how long associations last after a phone was last heard of. Longer than registrations."""
    phone: Many[IpsecPhone] = ()
    vici: Annotated[FilePath | None, Field(examples=[Path("/run/charon.vici")])] = None
    """For ipsec-ike: the socket of strongSwan's charon. It gets our certificate (`tls`), and lets in who has a
    certificate of our CA."""

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.port == self.client_port:
            raise PydanticCustomError(
                "ipsec_ports", "port and client_port are the same", {"fix": "write client_port = 5064"}
            )
        return self

    def lacks(self, mechanisms: Iterable[str]) -> dict[str, str]:
        """What is missing for the mechanisms of the agreement, with a fix; empty when nothing is."""
        wanted = {name for name in mechanisms if name.startswith("ipsec")}
        if wanted and self.address is None:
            name = min(wanted)
            return {
                "reason": f"{name} is to be agreed on, and there is no address for it",
                "fix": 'write address = "192.0.2.1", an address of this machine, under [ipsec]',
            }
        if "ipsec-ike" in wanted and self.vici is None:
            return {
                "reason": "ipsec-ike is to be agreed on, and nothing does the key exchange",
                "fix": 'write vici = "/run/charon.vici" under [ipsec], the socket of strongSwan',
            }
        for name, there in (
            ("ipsec-3gpp", any(each.user for each in self.phone)),
            ("ipsec-man", any(each.address for each in self.phone)),
        ):
            if name in wanted and not there:
                return {
                    "reason": f"{name} is to be agreed on, and no phone has keys for it",
                    "fix": "add [[ipsec.phone]] with its keys",
                }
        return {}
