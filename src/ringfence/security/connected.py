"""Connected identity (RFC 4916): who is at the other end now, when the From changes inside a dialog.

Responses can't be signed by RFC 8224. Instead the callee sends a request back (UPDATE or re-INVITE) with its own
From, which its domain signs like any other (``roles.steps.sign``), and which is verified like any other
(``roles.steps.verify``). So the identity of an answer is the proven From of that request. What a user agent makes of it
is in ``client.connected``.
"""

from __future__ import annotations

from ringfence.message.fields import SUPPORTED
from ringfence.message.headers import Headers

FROM_CHANGE = "from-change"
"""The option tag that says that a UA understands a changed From (RFC 4916 section 4.1)."""


def takes_from_change(headers: Headers) -> bool:
    """Whether the sender of a message understands that the From may change inside the dialog."""
    return any(str(option).lower() == FROM_CHANGE for option in headers.every(SUPPORTED))
