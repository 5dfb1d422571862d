"""Records as JSON text and back, for what is stored as one document: bindings, rights, aliases.

JSON is written in ASCII: any text a peer sent, NUL and lone surrogates included, is stored and comes back
as it was, so no single phone can make a database refuse the batch that others wait for. Fields at their
default are left out; a field added later needs no migration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any

from ringfence.store.errors import StoreError
from ringfence.store.records import DEFAULT_MAX_SECONDS, Binding, Rights

_encode = json.JSONEncoder(separators=(",", ":")).encode

_BINDING_DEFAULTS = {
    f.name: None if f.default is MISSING else f.default for f in fields(Binding) if f.name != "aor"
}


def encode_bindings(bindings: Iterable[Binding]) -> str:
    """The document that keeps the bindings of one address-of-record, without the address itself."""
    documents = []
    for binding in bindings:
        document = {}
        for name, default in _BINDING_DEFAULTS.items():
            value = getattr(binding, name)
            if value != default:
                document[name] = value
        documents.append(document)
    return _encode(documents)


def decode_bindings(aor: str, text: str) -> tuple[Binding, ...]:
    """The bindings that `encode_bindings` wrote. Raises `StoreError` when the text is not such a document."""
    try:
        documents: list[dict[str, Any]] = json.loads(text)
        return tuple(_binding(aor, document) for document in documents)
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"the stored bindings of {aor} can't be read: {error}") from error


def _binding(aor: str, document: dict[str, Any]) -> Binding:
    path = tuple(document.pop("path", ()))
    privacy = tuple(document.pop("privacy", ()))
    return Binding(aor=aor, path=path, privacy=privacy, **document)


def encode_rights(rights: Rights) -> str:
    """The document that keeps rights. Methods are sorted, so that equal rights are equal text."""
    document: dict[str, object] = {
        "methods": sorted(rights.methods),
        "allow": rights.allow,
        "deny": rights.deny,
        "max_calls": rights.max_calls,
        "max_registrations": rights.max_registrations,
    }
    if rights.max_seconds != DEFAULT_MAX_SECONDS:
        document["max_seconds"] = rights.max_seconds
    if rights.prepaid:
        document["prepaid"] = True
    if rights.privacy:
        document["privacy"] = sorted(rights.privacy)
    if rights.reject_anonymous:
        document["reject_anonymous"] = True
    return _encode(document)


def decode_rights(text: str) -> Rights:
    """The rights that `encode_rights` wrote. Raises ValueError or TypeError for other text."""
    document = json.loads(text)
    return Rights(
        methods=frozenset(document.pop("methods")),
        allow=tuple(document.pop("allow")),
        deny=tuple(document.pop("deny")),
        privacy=frozenset(document.pop("privacy", ())),
        **document,
    )


def encode_texts(texts: Iterable[str]) -> str:
    """A list of texts as one document."""
    return _encode(tuple(texts))


def decode_texts(text: str) -> tuple[str, ...]:
    """The texts that `encode_texts` wrote. Raises ValueError or TypeError for other text."""
    return tuple(map(str, json.loads(text)))
