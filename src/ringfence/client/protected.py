"""What a call does about end-to-end security: protect what it says, open what it hears, tell what is wrong with it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ringfence.client.desk import Desk
from ringfence.client.peer import Peer
from ringfence.client.protection import NOTHING, Protection, Verdict, Wish, verdict_on
from ringfence.client.secure import AnyMessage
from ringfence.client.session import Session
from ringfence.engine.dialog import Dialog
from ringfence.message import Request, Response


class Protected(ABC):
    """The part of a call that knows how it is protected."""

    desk: Desk
    wish: Wish = NOTHING
    """How what we say in it is protected."""

    peer: Peer
    dialog: Dialog | None
    session: Session

    @property
    def verdict(self) -> Verdict:
        """Who could read and who could change what of this call, and who could hear it."""
        every_hop = self.dialog is not None and self.dialog.secure
        return verdict_on(self.peer.protection, self.wish, every_hop=every_hop, srtp=self.session.encrypted)

    @abstractmethod
    def tell(self, kind: str, **facts: object) -> None:
        """Note that something happened."""

    def protects(self, message: Request | Response) -> bool:
        """Whether this message will be protected."""
        return self.wish != NOTHING and bool(message.body)

    def protect(self, message: Request | Response, request: Request | None = None) -> None:
        """Protect a message of ours as the call is to be; ``request`` is what a response answers.

        Raises:
            LocalError: when a certificate is missing.
        """
        if self.protects(message):
            self.desk.secure.protect(message, self.wish, request)

    def opened(self, message: AnyMessage) -> AnyMessage:
        """What is inside a message of the peer. Raises PeerError when it can't be opened."""
        inside, protection = self.desk.secure.open(message)
        if inside.body:
            self.warn(protection)
        return inside

    def warn(self, protection: Protection | None) -> None:
        """Tell what is wrong with the protection of something that the peer sent, and what is missing of it."""
        found = list(protection.warnings) if protection is not None else []
        if self.wish.sign and (protection is None or not protection.signed):
            found.append("it is not signed: anybody on the way could have written it")
        if self.wish.encrypt and (protection is None or not protection.encrypted):
            found.append("it is not encrypted: anybody on the way could read it")
        for reason in found:
            self.tell("warning", reason=reason)
