"""The sections about media and NAT. As in `sections`, the docstring below a key is its documentation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from ringfence.engine.places import is_numeric
from ringfence.service.addresses import parse_address
from ringfence.service.sections import Section
from ringfence.service.values import Host, Many, Seconds


def _numeric(host: str) -> str:
    if not is_numeric(host):
        raise PydanticCustomError("media_address", "expected an address: descriptions of media have no names")
    return host


def _instance(text: str) -> str:
    try:
        if not text.startswith("udp:"):
            raise ValueError
        parse_address(text.removeprefix("udp:"))
    except ValueError:
        raise PydanticCustomError(
            "rtpengine", 'expected "udp:address:port" such as "udp:127.0.0.1:2223"'
        ) from None
    return text


MediaAddress = Annotated[Host, AfterValidator(_numeric)]
MediaPort = Annotated[int, Field(ge=1024, le=65535)]


class Media(Section):
    """What carries audio and video when it has to pass this node (docs/media.md)."""

    relay: Literal["embedded", "rtpengine", "off"] = "embedded"
    """embedded: ports of this process. rtpengine: a daemon beside it, or elsewhere. off: media go from phone to phone,
    whatever is between them."""
    address: Many[MediaAddress] = ()
    """Addresses to open ports on, one for IPv4 and one for IPv6; default: those that the node listens on."""
    advertise: Many[MediaAddress] = ()
    """What phones are told instead, where a NAT that forwards the ports is before this node."""
    ports: Annotated[Many[MediaPort], Field(min_length=2, max_length=2)] = (30_000, 39_999)
    """The first and the last UDP port for media. A stream takes four; the firewall has to let them in. Workers share
    them out among themselves."""
    timeout_seconds: Seconds = 60.0
    """A call in which nobody has sent anything for so long is over: its ports are freed, and both sides get a BYE."""
    hold_timeout_seconds: Seconds = 3600.0
    """The same while a party is on hold, and while it rings."""
    rtpengine: Many[Annotated[str, AfterValidator(_instance)]] = ()
    """Where rtpengine takes commands by its ng protocol. Of several, calls go to those that answer."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        first, last = self.ports
        if last < first + 3:
            raise PydanticCustomError(
                "media_ports",
                "fewer than four ports: not one stream",
                {"fix": "write ports = [30000, 39999]"},
            )
        if self.relay == "rtpengine" and not self.rtpengine:
            raise PydanticCustomError(
                "media_rtpengine",
                "no rtpengine is named",
                {"fix": 'write rtpengine = ["udp:127.0.0.1:2223"]'},
            )
        for each in (self.address, self.advertise):
            if len({":" in host for host in each}) < len(each):
                raise PydanticCustomError(
                    "media_addresses",
                    "two addresses of one IP version",
                    {"fix": "name one for IPv4, one for IPv6"},
                )
        return self


class Nat(Section):
    """Phones behind NAT (docs/media.md)."""

    media: Literal["auto", "always", "never"] = "auto"
    """Whose media pass the relay. auto: those of calls with a party behind NAT, or between IPv4 and IPv6."""
    unreadable: Literal["pass", "refuse"] = "pass"
    """What becomes of a description that the relay can't change, such as one that is encrypted end to end. It passes,
    and is heard only if the phones reach each other; or it is answered 488."""
    keepalive_seconds: Annotated[float, Field(ge=0, le=600)] = 25.0
    """How often a phone behind NAT that has registered over UDP is sent an OPTIONS, so that the NAT stays open for
    calls to it; 0: never."""
