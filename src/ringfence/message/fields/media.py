"""What a body is and what is accepted (RFC 3261 section 20).

Content-Type, Content-Disposition, Content-Encoding, Content-Language, Accept, Accept-Encoding, Accept-Language,
MIME-Version; and Content-Transfer-Encoding and Content-ID, which SIP takes from MIME (RFC 5621).
"""

from __future__ import annotations

import re
from typing import Final

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.fields.field import field
from ringfence.message.fields.tokens import parse_token
from ringfence.message.fields.valued import valued
from ringfence.message.media_type import parse_disposition, parse_media_type

# language-range = ( ( 1*8ALPHA *( "-" 1*8ALPHA ) ) / "*" ); later registries have digits in subtags (RFC 5646)
_LANGUAGE: Final = r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*+"
_language = re.compile(_LANGUAGE).fullmatch
_version = re.compile(r"[0-9]+\.[0-9]+").fullmatch
_content_id = re.compile(r"<[^<>\s]++>").fullmatch


def parse_language(text: str) -> str:
    """Read one language tag.

    Raises:
        PeerError: 400 when it is not one.
    """
    if not _language(text):
        raise PeerError(400, f"not a language tag: {text[:40]!r}")
    return text


def parse_version(text: str) -> str:
    """Read ``1*DIGIT "." 1*DIGIT``.

    Raises:
        PeerError: 400 when it is something else.
    """
    if not _version(text):
        raise PeerError(400, f"not a version: {text[:40]!r}")
    return text


def parse_content_id(text: str) -> str:
    """Read ``<id>`` and give what is in the brackets (RFC 2392).

    Raises:
        PeerError: 400 when it is something else.
    """
    if not _content_id(text):
        raise PeerError(400, f"not an identifier in angle brackets: {text[:40]!r}")
    return text[1:-1]


CONTENT_TYPE: Final = field("Content-Type", parse_media_type, compact="c")
CONTENT_DISPOSITION: Final = field("Content-Disposition", parse_disposition)
CONTENT_ENCODING: Final = field("Content-Encoding", parse_token, compact="e", many=True)
CONTENT_LANGUAGE: Final = field("Content-Language", parse_language, many=True)
CONTENT_TRANSFER_ENCODING: Final = field("Content-Transfer-Encoding", parse_token)
CONTENT_ID: Final = field("Content-ID", parse_content_id)
MIME_VERSION: Final = field("MIME-Version", parse_version)
ACCEPT: Final = field(
    "Accept",
    valued(rf"{grammar.TOKEN}[ \t]*+/[ \t]*+{grammar.TOKEN}", "a media type"),
    many=True,
    empty=True,
)
ACCEPT_ENCODING: Final = field("Accept-Encoding", valued(), many=True, empty=True)
ACCEPT_LANGUAGE: Final = field(
    "Accept-Language", valued(rf"(?:{_LANGUAGE}|\*)", "a language range"), many=True, empty=True
)
