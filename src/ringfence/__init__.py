"""Ringfence: a secure-by-default SIP network for a domain.

    from ringfence import UserAgent

    async with UserAgent("sips:alice@example.org", password="...") as alice:
        call = await alice.call("sips:bob@example.net")
        await call.answered
        print(call.peer.identity, call.peer.evidence)  # who, and on what evidence
        await call.hang_up()

What stands here is the public interface; it changes only with a note in CHANGELOG.md. A name is imported when it is
first used, so that a command that only reads a message does not wait for a database.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringfence.client import (
        Account,
        AgentError,
        Call,
        CallError,
        CallEvent,
        CallState,
        Encryption,
        Ending,
        Evidence,
        IncomingCall,
        Media,
        MessageError,
        OutgoingCall,
        Peer,
        Privacy,
        Protection,
        RegistrationError,
        RegistrationState,
        RequestFailed,
        Smime,
        Text,
        UserAgent,
    )
    from ringfence.message import (
        Headers,
        LocalError,
        PeerError,
        Request,
        Response,
        RingfenceError,
        parse,
    )
    from ringfence.service.config import Config
    from ringfence.service.problems import ConfigError
    from ringfence.service.process import Node, running

__all__ = [
    "Account",
    "AgentError",
    "Call",
    "CallError",
    "CallEvent",
    "CallState",
    "Config",
    "ConfigError",
    "Encryption",
    "Ending",
    "Evidence",
    "Headers",
    "IncomingCall",
    "LocalError",
    "Media",
    "MessageError",
    "Node",
    "OutgoingCall",
    "Peer",
    "PeerError",
    "Privacy",
    "Protection",
    "RegistrationError",
    "RegistrationState",
    "Request",
    "RequestFailed",
    "Response",
    "RingfenceError",
    "Smime",
    "Text",
    "UserAgent",
    "parse",
    "running",
]

_CLIENT = (
    "Account AgentError Call CallError CallEvent CallState Encryption Ending Evidence IncomingCall Media "
    "MessageError OutgoingCall Peer Privacy Protection RegistrationError RegistrationState RequestFailed Smime Text "
    "UserAgent"
)
_MESSAGE = "Headers LocalError PeerError Request Response RingfenceError parse"

_HOMES = {
    **dict.fromkeys(_CLIENT.split(), "ringfence.client"),
    **dict.fromkeys(_MESSAGE.split(), "ringfence.message"),
    "Config": "ringfence.service.config",
    "ConfigError": "ringfence.service.problems",
    "Node": "ringfence.service.process",
    "running": "ringfence.service.process",
}
"""Where each name lives."""


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ringfence' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
