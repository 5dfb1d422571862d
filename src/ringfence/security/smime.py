"""S/MIME bodies in SIP (RFC 8551, RFC 3261 section 23, RFC 3853): made, and opened layer by layer.

``open_body`` peels off signatures and encryption, however they were nested, to the entity inside, and says
of each layer what it proves. It never refuses a signature: it reports. It does refuse what it can't decrypt
(493), and nesting beyond ``MAX_LAYERS``. ``signer_of`` then tells whose a signature is, and ``pinned``
whether this is the certificate that we knew for them.

SIP is 8-bit clean, so all S/MIME that we write is binary (RFC 3853 section 3); base64 is read as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from cryptography import x509

from ringfence.message import grammar
from ringfence.message.errors import PeerError
from ringfence.message.headers import Headers
from ringfence.message.message import Message
from ringfence.message.multipart import Entity, join, make_entity, split, split_entity
from ringfence.message.params import Params
from ringfence.security import cms
from ringfence.security.cms import AES256_GCM, CIPHERS, ContentCipher
from ringfence.security.cms_compressed import unpack
from ringfence.security.cms_enveloped import Keyring, decrypt, encrypt
from ringfence.security.cms_fit import SignatureFlaw
from ringfence.security.cms_signed import (
    PREFER_SIGNED_DATA,
    Signatory,
    Signature,
    Signed,
    certs_only,
    sign,
    unreadable,
    verify,
)

MAX_LAYERS = 4
"""Deepest nesting that is opened: signed, encrypted and signed again is three (RFC 2634 section 1.1). Every
layer may hold all the octets of the one around it."""

CAPABILITIES = (*CIPHERS, PREFER_SIGNED_DATA)
"""What we tell others that we can read (RFC 8551 section 2.5.2)."""

_PKCS7 = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_SIGNATURE = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
_BINARY = ("Content-Transfer-Encoding", "binary")
_MIME_FIELDS = (
    "Content-Type",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Transfer-Encoding",
)


class Kind(StrEnum):
    """What a layer is (RFC 8551 section 3)."""

    SIGNED = "signed"
    OPAQUE = "signed-data"
    ENCRYPTED = "enveloped-data"
    SEALED = "authEnveloped-data"
    COMPRESSED = "compressed-data"
    CERTIFICATES = "certs-only"


class Layer(NamedTuple):
    """One layer that was opened, the outermost first."""

    kind: Kind
    signatures: tuple[Signature, ...] = ()
    certificates: tuple[x509.Certificate, ...] = ()
    cipher: ContentCipher | None = None
    recipient: x509.Certificate | None = None

    @property
    def intact(self) -> bool:
        """Whether nobody can have changed what is inside: all signatures are good, or the cipher tells."""
        if self.kind in (Kind.SIGNED, Kind.OPAQUE):
            return bool(self.signatures) and not any(one.reasons for one in self.signatures)
        return self.kind is Kind.SEALED


class Secured(NamedTuple):
    """What was inside all layers (None: only certificates), and the layers."""

    entity: Entity | None
    layers: tuple[Layer, ...]

    @property
    def encrypted(self) -> bool:
        """Whether only the recipients could read it."""
        return any(layer.cipher is not None for layer in self.layers)

    @property
    def signature_layer(self) -> Layer | None:
        """The outermost signature: the one that counts (RFC 3261 section 23.3)."""
        return next((layer for layer in self.layers if layer.kind in (Kind.SIGNED, Kind.OPAQUE)), None)


# ---- opening ----


def body_of(message: Message) -> Entity:
    """The body of a message as an entity."""
    return Entity(message.headers, message.body)


def is_secured(entity: Entity) -> bool:
    """Whether this is S/MIME, signed or encrypted.

    Raises:
        PeerError: 400 when Content-Type is malformed.
    """
    media_type = entity.media_type
    return media_type.essence in _PKCS7 or media_type.essence == "multipart/signed"


def open_body(
    entity: Entity,
    keyrings: Sequence[Keyring] = (),
    known: Sequence[x509.Certificate] = (),
    *,
    bare: bool = False,
) -> Secured:
    """Open every layer around a body; a body without any comes back as it is.

    ``keyrings`` are our keys; ``known`` certificates help with signatures that carry none. ``bare``: what is inside
    may be any octets, as in objects that are no S/MIME; in a message it has to be a MIME entity (RFC 8551 section 3.1).

    Raises:
        PeerError: 493 when it is encrypted to others, 400 when it is malformed or nested too deep, 413 over a
            limit, 415 for an unknown encoding.
    """
    layers: list[Layer] = []
    inner: Entity | None = entity
    while inner is not None and is_secured(inner):
        if len(layers) == MAX_LAYERS:
            raise PeerError(400, f"S/MIME layers nest deeper than {MAX_LAYERS}", header="Content-Type")
        inner, layer = _peel(inner, keyrings, known, bare)
        layers.append(layer)
    return Secured(inner, tuple(layers))


def _peel(
    entity: Entity, keyrings: Sequence[Keyring], known: Sequence[x509.Certificate], bare: bool
) -> tuple[Entity | None, Layer]:
    if entity.media_type.type == "multipart":
        return _peel_signed(entity, known, bare)
    data = entity.content()
    content_type, _ = cms.read(data)
    # The smime-type parameter is only a hint, and is spelled in several ways: the object says what it is.
    if content_type == cms.SIGNED_DATA:
        signed = verify(data, None, known)
        if signed.content is None:
            kind = Kind.SIGNED if signed.signatures else Kind.CERTIFICATES
            return None, Layer(kind, signed.signatures, signed.certificates)
        layer = Layer(Kind.OPAQUE, signed.signatures, signed.certificates)
        return _inside(signed.content, entity.depth + 1, bare), layer
    if content_type == cms.COMPRESSED_DATA:
        return _inside(unpack(data), entity.depth + 1, bare), Layer(Kind.COMPRESSED)
    opened = decrypt(data, keyrings)
    kind = Kind.SEALED if opened.cipher.authenticated else Kind.ENCRYPTED
    layer = Layer(kind, cipher=opened.cipher, recipient=opened.recipient)
    return _inside(opened.content, entity.depth + 1, bare), layer


def _inside(content: bytes, depth: int, bare: bool) -> Entity:
    try:
        return split_entity(content, depth)
    except PeerError:
        if not bare:
            raise
        return Entity(Headers(), content, 0, depth)


def _parts(entity: Entity, bare: bool) -> list[Entity]:
    try:
        return entity.parts()
    except PeerError:
        if not bare:
            raise
        boundary = entity.media_type.params.get("boundary") or ""
        if not boundary.isascii():
            raise
        spans = split(entity.body, boundary)
        return [_inside(span, entity.depth + 1, bare) for span in spans]


def _peel_signed(entity: Entity, known: Sequence[x509.Certificate], bare: bool) -> tuple[Entity, Layer]:
    # RFC 1847 section 2.1: exactly two parts, the second is the signature over the first, headers included.
    parts = _parts(entity, bare)
    protocol = (entity.media_type.params.get("protocol") or "").lower()
    if len(parts) != 2 or (protocol and protocol not in _SIGNATURE):
        raise PeerError(
            400, "not a multipart/signed of a body and a PKCS #7 signature", header="Content-Type"
        )
    if parts[1].media_type.essence not in _SIGNATURE:
        raise PeerError(400, "the second part is no PKCS #7 signature", header="Content-Type")
    try:
        layer = detached(parts[1].content(), parts[0].raw, known)
    except PeerError as error:
        if error.status != 400:
            raise
        # What was signed can be read by anybody: that its signature can't is for people to know.
        why = unreadable(f"the signature can't be read: {error.reason}")
        return parts[0], Layer(Kind.SIGNED, (why,))
    return parts[0], layer


def detached(signature: bytes, content: bytes, known: Sequence[x509.Certificate] = ()) -> Layer:
    """The layer that a detached signature is, over this content.

    Raises:
        PeerError: 400 when it is no signature, or is malformed; 413 over a limit.
    """
    signed = verify(signature, content, known)
    if _content_changed(signed):
        # A signer whose text had bare line feeds signed their CRLF form (RFC 8551 section 3.1.1), and a
        # sender that converted them after signing is the usual cause of a broken signature.
        canonical = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if canonical != content:
            signed = verify(signature, canonical, known)
    return Layer(Kind.SIGNED, signed.signatures, signed.certificates)


def _content_changed(signed: Signed) -> bool:
    # Without signed attributes there is no digest by which to tell.
    changed = (SignatureFlaw.DIGEST, SignatureFlaw.SIGNATURE)
    return any(reason.code in changed for one in signed.signatures for reason in one.reasons)


# ---- making ----


def entity_of(message: Message) -> Entity:
    """The body of a message with its MIME fields alone: what goes inside a layer."""
    fields = [(name, value) for name in _MIME_FIELDS for value in message.headers.all(name)]
    content_type = message.headers.get("Content-Type") or "text/plain"
    return make_entity(content_type, message.body, *(field for field in fields if field[0] != "Content-Type"))


def signed_body(entity: Entity, signatories: Sequence[Signatory], now: float, boundary: str) -> Entity:
    """A multipart/signed: readable for those who know no S/MIME. ``boundary`` must be random.

    Raises:
        LocalError: when the boundary or a key is not fit.
    """
    raw = entity.raw
    signature = sign(raw, signatories, now, capabilities=CAPABILITIES)
    part = make_entity(
        "application/pkcs7-signature; name=smime.p7s",
        signature,
        ("Content-Disposition", "attachment; filename=smime.p7s; handling=required"),
        _BINARY,
    )
    digests = sorted({verified.digest for verified in verify(signature, raw).signatures})
    micalg = digests[0] if len(digests) == 1 else grammar.quote(",".join(digests))
    params = Params((("protocol", '"application/pkcs7-signature"'), ("micalg", micalg)))
    return join([entity, part], boundary, "signed", params)


def encrypted_body(
    entity: Entity, recipients: Sequence[x509.Certificate], cipher: ContentCipher = AES256_GCM
) -> Entity:
    """An application/pkcs7-mime that only the holders of these certificates can open.

    Raises:
        LocalError: when a certificate can't be encrypted to.
    """
    kind = Kind.SEALED if cipher.authenticated else Kind.ENCRYPTED
    return _pkcs7(kind, encrypt(entity.raw, recipients, cipher))


def certificates_body(certificates: Iterable[x509.Certificate]) -> Entity:
    """Our certificates alone: the body of a 493, so that the peer can encrypt to us (RFC 3261 section
    23.2)."""
    return _pkcs7(Kind.CERTIFICATES, certs_only(certificates), "smime.p7c")


def _pkcs7(smime_type: str, data: bytes, name: str = "smime.p7m") -> Entity:
    disposition = ("Content-Disposition", f"attachment; filename={name}; handling=required")
    return make_entity(
        f"application/pkcs7-mime; smime-type={smime_type}; name={name}", data, disposition, _BINARY
    )


def put_body(message: Message, entity: Entity) -> None:
    """Make an entity the body of a message, with its MIME fields."""
    for name in _MIME_FIELDS:
        message.headers.remove(name)
        for value in entity.headers.all(name):
            message.headers.add(name, value)
    message.body = entity.body
    message.headers.set("Content-Length", len(entity.body))


def best_cipher(capabilities: Iterable[str]) -> ContentCipher:
    """The strongest cipher that a peer said it can read; AES-256-GCM when it said nothing that we know."""
    offered = set(capabilities)
    return next((cipher for oid, cipher in CIPHERS.items() if oid in offered), AES256_GCM)
