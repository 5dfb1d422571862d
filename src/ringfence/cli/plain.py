"""Values of ``ringfence.message`` as what JSON has: objects, lists, texts, numbers."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from ringfence.message import NameAddr, OtherUri, Params, SipUri, TelUri
from ringfence.message.fields import CSeq, Star, Via


def clean(text: str) -> str:
    """Text that can be printed: octets that are no UTF-8 are shown as ``\\xHH``."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def plain(value: Any) -> Any:
    """Any typed value, in depth."""
    match value:
        case None | bool() | int():
            return value
        case Enum():
            return plain(value.value)
        case str():
            return clean(value)
        case bytes():
            return clean(value.decode("utf-8", "surrogateescape"))
        case datetime():
            return value.isoformat()
        case Star():
            return "*"
        case Params():
            return {
                clean(name): None if raw is None else clean(value.get(name.lower()) or "")
                for name, raw in value
            }
        case NameAddr():
            return {"display": clean(value.display), "uri": plain(value.uri), "params": plain(value.params)}
        case SipUri():
            return {
                "text": clean(str(value)),
                "scheme": value.scheme,
                "user": value.user,
                "password": value.password,
                "host": value.host,
                "port": value.port,
                "params": plain(value.params),
                "headers": [[clean(name), clean(text)] for name, text in value.header_items()],
            }
        case TelUri():
            return {
                "text": str(value),
                "scheme": "tel",
                "number": value.number,
                "params": plain(value.params),
            }
        case OtherUri():
            return {"text": str(value), "scheme": value.scheme}
        case CSeq():
            return {"number": value.number, "method": value.method}
        case Via():
            names = ("transport", "host", "port", "branch")
            return {name: getattr(value, name) for name in names} | {"params": plain(value.params)}
    return _composite(value)


def _composite(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, dict):
        return {clean(str(name)): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return clean(str(value))
