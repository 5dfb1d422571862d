"""The fields that name a dialog: Replaces (RFC 3891), Join (RFC 3911), Target-Dialog (RFC 4538)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.fields.valued import valued
from ringfence.message.headers import Parse
from ringfence.message.params import NO_PARAMS, Params

_callid = valued(rf"{grammar.WORD}(?:@{grammar.WORD})?", "a Call-ID")


class DialogName(NamedTuple):
    """A Call-ID and two tags. ``to_tag`` is the tag of the receiver of this field, ``from_tag`` that of the other."""

    call_id: str
    to_tag: str
    from_tag: str
    params: Params = NO_PARAMS

    @property
    def early_only(self) -> bool:
        """Whether only a dialog that is not yet confirmed may be replaced."""
        return "early-only" in self.params

    def __str__(self) -> str:
        return f"{self.call_id}{self.params}"


def _dialog(to_name: str, from_name: str) -> Parse[DialogName]:
    def parse(text: str) -> DialogName:
        call_id, params = _callid(text)
        to_tag, from_tag = params.get(to_name), params.get(from_name)
        if not to_tag or not from_tag:
            raise PeerError(400, f"needs one {to_name} and one {from_name}")
        return DialogName(call_id, to_tag, from_tag, params)

    return parse


REPLACES: Final = field("Replaces", _dialog("to-tag", "from-tag"))
JOIN: Final = field("Join", _dialog("to-tag", "from-tag"))
TARGET_DIALOG: Final = field("Target-Dialog", _dialog("local-tag", "remote-tag"))
