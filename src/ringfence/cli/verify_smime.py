"""S/MIME by itself, for ``ringfence verify``: in a mail, in any MIME entity, in PEM, in bare base64 or in DER.

Without the SIP message that it belongs to, whose a signature is can be told, and not whether that is the sender. What
was signed may be anything here, also what is no MIME entity: objects for other uses are looked at in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ringfence.message import PeerError
from ringfence.message.multipart import Entity, make_entity, split_entity

if TYPE_CHECKING:
    from ringfence.client.certificates import Certificates
    from ringfence.security.cms_signed import Signature
    from ringfence.security.smime import Layer

_PEM = re.compile(
    rb"-----BEGIN (?:PKCS7|PKCS #7 SIGNED DATA|CMS|SIGNED MESSAGE|ENCRYPTED MESSAGE)-----(.*?)-----END",
    re.DOTALL,
)
_OTHER_PEM = re.compile(rb"\s*-----BEGIN ([A-Z0-9 ]{1,40})-----")
_BASE64 = re.compile(rb"\s*M[A-Za-z0-9+/]{3}[A-Za-z0-9+/\s]+=?\s*=?\s*")
_FIELD = re.compile(rb"(?im)^(content-[\w-]+:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n)")
_UNIX_HEAD = re.compile(rb"[^\r\n]*\n")
_LINE_END = re.compile(rb"\r?\n")
_OBJECT_NAME = re.compile(r"\.p7[mscz]\Z", re.IGNORECASE)

_PKCS7 = "application/pkcs7-mime"


def smime_findings(
    data: bytes, certificates: Certificates, now: float, content: bytes | None = None
) -> Iterator[dict[str, Any]]:
    """What each layer and each signature of it proves. ``content`` is what a detached signature is over.

    Raises:
        PeerError: it is malformed, or encrypted to others.
    """
    entity = entity_in(data)
    if content is None:
        yield from _findings(entity, certificates, now)
        return
    from ringfence.security.smime import detached

    layer = detached(entity.content(), content, certificates.every())
    yield from _of_layer(layer, certificates, now)


def entity_in(data: bytes) -> Entity:
    """The MIME entity of a file.

    Raises:
        PeerError: 400 for PEM of something else, or when it is malformed.
    """
    if (pem := _PEM.search(data)) is not None:
        return make_entity(_PKCS7, pem[1].strip(), ("Content-Transfer-Encoding", "base64"))
    if (other := _OTHER_PEM.match(data)) is not None:
        raise PeerError(400, f"a {other[1].decode().lower()}, and nothing that is signed")
    if data[:1] == b"\x30":  # the SEQUENCE that each CMS object begins with
        return make_entity(_PKCS7, data)
    if _BASE64.fullmatch(data) is not None:
        return make_entity(_PKCS7, data, ("Content-Transfer-Encoding", "base64"))
    return _mail(data)


def _mail(data: bytes) -> Entity:
    """A mail as it was saved: perhaps with the line of an mbox before it and the line ends of Unix, wholly or but for
    what was signed. That has the line ends of the network, so they are put back. Of its fields those that describe the
    body are read."""
    if _UNIX_HEAD.match(data):
        data = _LINE_END.sub(b"\r\n", data)
    if data.startswith(b"\r\n"):
        return split_entity(data)
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        return split_entity(data)
    return split_entity(b"".join(_FIELD.findall(head + b"\r\n")) + b"\r\n" + body)


def _findings(entity: Entity, certificates: Certificates, now: float) -> Iterator[dict[str, Any]]:
    from ringfence.security.smime import is_secured, open_body

    entity = _by_name(entity)
    if not is_secured(entity):
        for part in entity.parts():  # such as a signed text before which a list has put its own
            yield from _findings(part, certificates, now)
        return
    for layer in open_body(entity, certificates.keyrings, certificates.every(), bare=True).layers:
        yield from _of_layer(layer, certificates, now)


def _by_name(entity: Entity) -> Entity:
    """Some gateways know no type but octets; the name of the file then tells (RFC 8551 section 3.9)."""
    media_type = entity.media_type
    if media_type.essence != "application/octet-stream":
        return entity
    name = media_type.params.get("name") or entity.disposition.params.get("filename") or ""
    return make_entity(_PKCS7, entity.content()) if _OBJECT_NAME.search(name.strip('"')) else entity


def _of_layer(layer: Layer, certificates: Certificates, now: float) -> Iterator[dict[str, Any]]:
    facts: dict[str, Any] = {"object": f"S/MIME {layer.kind}"}
    if not layer.signatures:
        sealed = None if layer.cipher is None else layer.cipher.name
        yield facts | {"proven": layer.intact, "cipher": sealed, "certificates": len(layer.certificates)}
    for signature in layer.signatures:
        yield facts | _of_signature(signature, layer, certificates, now)


def _of_signature(
    signature: Signature, layer: Layer, certificates: Certificates, now: float
) -> dict[str, Any]:
    from ringfence.security.chains import judge_chain
    from ringfence.security.smime_signer import USAGES, Signer, Speaks, addresses_of

    reasons, text = signature.reasons, None
    if (leaf := signature.certificate) is not None:
        chain = [leaf, *(one for one in layer.certificates if one != leaf)]
        anchors, revocation = certificates.anchors, certificates.revocation
        reasons += judge_chain(chain, anchors, now, revocation, usages=USAGES).reasons
        text = Signer(leaf, Speaks.NOBODY, (), ()).text
    return {
        "proven": not reasons,
        "signer": text,
        "addresses": [] if leaf is None else list(addresses_of(leaf)),
        "signature": _word(signature),
        "digest": signature.digest,
        "reasons": [str(reason) for reason in reasons],
    }


def _word(signature: Signature) -> str:
    from ringfence.security.cms_fit import UNCHECKED, WEAK

    codes = {reason.code for reason in signature.reasons}
    if not codes:
        return "good"
    if codes - WEAK - UNCHECKED:
        return "bad"
    return "not checked" if codes & UNCHECKED else "weak"
