"""End-to-end protection as values: what is wanted of a message, and what was found about one (RFC 3261 section 23)."""

from __future__ import annotations

from typing import NamedTuple

from ringfence.message import NameAddr
from ringfence.security.aib import AibVerdict
from ringfence.security.smime_signer import Pinned, Signer
from ringfence.security.tunnel import Comparison, Line


class Wish(NamedTuple):
    """How a message is to be protected."""

    sign: bool = False
    encrypt: bool = False
    tunnel: bool = False
    """Put a copy of the whole message under the signature, so that changed header fields are noticed."""
    aib: bool = False
    """Add a signed statement of who sends it (RFC 3893), which others can check without the rest."""

    @property
    def signs(self) -> bool:
        """Whether all of it is signed: a copy that anybody could have written would prove nothing."""
        return self.sign or (self.tunnel and not self.encrypt)


NOTHING = Wish()


class Protection(NamedTuple):
    """What end-to-end security says about a message that came."""

    sender: NameAddr | None = None
    """Who sent it, as the signed copy says, or without one the message."""
    signer: Signer | None = None
    """Whose signature it has; its ``reasons`` say why it may not count. None: it is not signed."""
    pinned: Pinned | None = None
    """How the signer's certificate compares with those that we knew for the address."""
    vouched: bool = False
    """Whether an authority that we trust stands behind the signer's certificate."""
    intact: bool = False
    """Whether the signature fits what came."""
    encrypted: str = ""
    """The cipher that kept others from reading it; empty: anybody on the way could."""
    comparison: Comparison | None = None
    """The verdict on each header field, where a copy came along."""
    aib: AibVerdict | None = None
    """What an authenticated identity body proves, where there was one."""
    warnings: tuple[str, ...] = ()
    """What a user has to be told, a sentence each."""

    @property
    def signed(self) -> bool:
        """Whether there is a signature, good or not."""
        return self.signer is not None

    @property
    def changed(self) -> tuple[Line, ...]:
        """Header fields that somebody on the way has changed, added or removed."""
        return self.comparison.violations if self.comparison is not None else ()

    @property
    def hidden(self) -> dict[str, str]:
        """Header fields that only we could read."""
        lines = self.comparison.lines if self.comparison is not None else ()
        return {line.name: ", ".join(line.inner) for line in lines if line.compared == "hidden"}

    @property
    def wish(self) -> Wish:
        """The same protection, for the answer."""
        tunnel = self.comparison is not None
        return Wish(self.signed, bool(self.encrypted), tunnel)

    def __str__(self) -> str:
        if self.signer is None:
            text = "not signed"
        elif self.intact:
            text = "signed and intact" if not self.changed else "signed, and header fields were changed"
        else:
            text = "signed, and changed since"
        if self.comparison is not None and self.intact and not self.changed:
            text += ", header fields too"
        return f"{text}; {f'encrypted by {self.encrypted}' if self.encrypted else 'not encrypted'}"


class Verdict(NamedTuple):
    """Who could read and who could change what of a call: the price and the worth of its protection."""

    read: str
    """Who could read what was negotiated."""
    change: str
    """Who could change that unnoticed."""
    fields: str
    """Who could change the header fields unnoticed. Every server reads them, but for those that are hidden."""
    audio: str
    """Who could hear the audio."""

    def __str__(self) -> str:
        return (
            f"read by {self.read}; changed unnoticed by {self.change}, header fields by {self.fields}; "
            f"audio heard by {self.audio}"
        )


NOBODY = "nobody"
ENDS = "the two ends alone"
SERVERS = "the servers on the way"
ANYBODY = "anybody on the way"


def verdict_on(protection: Protection | None, wish: Wish, *, every_hop: bool, srtp: bool) -> Verdict:
    """The verdict on a call; the weaker direction counts of what came (``protection``) and what we send (``wish``).

    ``every_hop``: TLS is demanded on each hop (``sips:``). ``srtp``: the audio is encrypted, with keys that stand in
    what was negotiated: whoever could read that could hear it.
    """
    on_the_way = SERVERS if every_hop else ANYBODY
    found = protection or Protection()
    encrypted = bool(found.encrypted) and wish.encrypt
    proved = found.signed and found.intact and wish.signs
    told = proved and found.comparison is not None and not found.changed and wish.tunnel
    read = ENDS if encrypted else on_the_way
    change = NOBODY if proved or (encrypted and "gcm" in found.encrypted) else on_the_way
    return Verdict(read, change, NOBODY if told else on_the_way, read if srtp else ANYBODY)
