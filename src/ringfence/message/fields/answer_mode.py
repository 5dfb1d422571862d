"""Answer-Mode and Priv-Answer-Mode (RFC 5373), Refer-Sub (RFC 4488), both one word with parameters."""

from __future__ import annotations

from typing import Final

from ringfence.message.fields.field import field
from ringfence.message.fields.valued import parse_valued, valued

ANSWER_MODE: Final = field("Answer-Mode", parse_valued)
PRIV_ANSWER_MODE: Final = field("Priv-Answer-Mode", parse_valued)
REFER_SUB: Final = field("Refer-Sub", valued("(?i:true|false)", "true or false"))
