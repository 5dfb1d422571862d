"""CMS EnvelopedData and AuthEnvelopedData (RFC 5652 section 6, RFC 5083): encryption to certificates.

The content is encrypted once, with a key made for it alone; that key is given to each recipient by RSA or
by an ephemeral elliptic curve agreement. Only AES-GCM tells whether the ciphertext was changed: AES-CBC is
read for older peers, and its result is marked as not authenticated, since somebody without any key may have
altered it.

Every failure to decrypt has the same answer and the same words (493): what exactly failed would help to
decrypt one guess at a time (Bleichenbacher 1998, Vaudenay 2002). Keys and nonces come from the key
generators of ``cryptography``, which draw on the operating system.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from asn1crypto import algos, cms, core, keys  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ringfence.message.errors import LocalError, PeerError
from ringfence.security import cms as syntax
from ringfence.security.cms import AES256_GCM, CIPHERS, DIGESTS, SHA256, ContentCipher
from ringfence.security.unreadable import UNREADABLE

_OAEP = "1.2.840.113549.1.1.7"
# dhSinglePass-stdDH, and below it dhSinglePass-cofactorDH, with the X9.63 key derivation (RFC 5753 section 7.1.4).
# SHA-1 stays here, as key derivation does not need collision resistance and openssl still sends it. The curves that
# are accepted have the cofactor 1, so both give the same secret.
_AGREEMENTS: dict[str, hashes.HashAlgorithm] = {
    "1.3.133.16.840.63.0.2": hashes.SHA1(),  # noqa: S303
    "1.3.132.1.11.0": hashes.SHA224(),
    "1.3.132.1.11.1": hashes.SHA256(),
    "1.3.132.1.11.2": hashes.SHA384(),
    "1.3.132.1.11.3": hashes.SHA512(),
    "1.3.133.16.840.63.0.3": hashes.SHA1(),  # noqa: S303
    "1.3.132.1.14.0": hashes.SHA224(),
    "1.3.132.1.14.1": hashes.SHA256(),
    "1.3.132.1.14.2": hashes.SHA384(),
    "1.3.132.1.14.3": hashes.SHA512(),
}
_AGREEMENT_SHA256 = "1.3.132.1.11.1"
_HKDF_AGREEMENTS: dict[str, hashes.HashAlgorithm] = {
    "1.2.840.113549.1.9.16.3.19": hashes.SHA256(),
    "1.2.840.113549.1.9.16.3.20": hashes.SHA384(),
    "1.2.840.113549.1.9.16.3.21": hashes.SHA512(),
}
"""dhSinglePass-stdDH with HKDF (RFC 8418 section 2.2)."""
_HKDF_SHA256 = "1.2.840.113549.1.9.16.3.19"
_KEY_WRAPS = {"2.16.840.1.101.3.4.1.5": 128, "2.16.840.1.101.3.4.1.25": 192, "2.16.840.1.101.3.4.1.45": 256}
_WRAP_FOR = {bits: oid for oid, bits in _KEY_WRAPS.items()}

_OLD_CIPHERS = {
    "1.2.840.113549.3.7": "des-ede3-cbc",
    "1.2.840.113549.3.2": "rc2-cbc",
    "1.3.14.3.2.7": "des-cbc",
}
"""Those of S/MIME version 2 and 3.1, to be refused by their names (RFC 8551 appendix B)."""

_UNFIT = (
    *(AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError),
    *(InvalidTag, InvalidUnwrap, UnsupportedAlgorithm),
)
"""What the libraries raise over keys and parameters that do not fit."""

_NONCE_OCTETS = 12  # RFC 5084 section 3.2 recommends twelve
_TAG_OCTETS = 16
_MIN_TAG_OCTETS = 12  # "a length of 12 octets is RECOMMENDED", and shorter ones can be guessed

DecryptionKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey
_AgreeingKey = ec.EllipticCurvePublicKey | x25519.X25519PublicKey


class Opened(NamedTuple):
    """What was inside, and how it was protected."""

    content: bytes
    content_type: str
    cipher: ContentCipher
    recipient: x509.Certificate


class Keyring(NamedTuple):
    """A private key that can decrypt, with its certificate."""

    key: DecryptionKey
    certificate: x509.Certificate


class _GCMParameters(core.Sequence):  # type: ignore[misc]
    _fields = [("nonce", core.OctetString), ("icv_len", core.Integer, {"default": 12})]  # noqa: RUF012


class _SharedInfo(core.Sequence):  # type: ignore[misc]
    """ECC-CMS-SharedInfo (RFC 5753 section 7.2)."""

    _fields = [  # noqa: RUF012
        ("key_info", algos.AlgorithmIdentifier),
        ("entity_u_info", core.OctetString, {"explicit": 0, "optional": True}),
        ("supp_pub_info", core.OctetString, {"explicit": 2}),
    ]


# ---- encrypting ----


def encrypt(
    content: bytes,
    recipients: Sequence[x509.Certificate],
    cipher: ContentCipher = AES256_GCM,
    *,
    content_type: str = syntax.DATA,
) -> bytes:
    """An AuthEnvelopedData object for AES-GCM, an EnvelopedData object for AES-CBC, in DER.

    Raises:
        LocalError: when there is no recipient, too many, or one whose certificate can't be encrypted to.
    """
    if not 0 < len(recipients) <= syntax.MAX_RECIPIENTS:
        raise LocalError(f"{len(recipients)} recipients; 1 to {syntax.MAX_RECIPIENTS} are possible")
    key = AESGCM.generate_key(cipher.bits)
    infos = [_recipient_info(certificate, key) for certificate in recipients]
    agreed = any(info.name != "ktri" for info in infos)
    if cipher.authenticated:
        nonce = AESGCM.generate_key(128)[:_NONCE_OCTETS]
        sealed = AESGCM(key).encrypt(nonce, content, None)  # RFC 5083: no attributes, no extra data
        parameters = _GCMParameters({"nonce": nonce, "icv_len": _TAG_OCTETS})
        value = cms.AuthEnvelopedData(
            {
                "version": "v0",
                "recipient_infos": infos,
                "auth_encrypted_content_info": _encrypted(
                    content_type, cipher, parameters, sealed[:-_TAG_OCTETS]
                ),
                "mac": sealed[-_TAG_OCTETS:],
            }
        )
        return syntax.wrap(syntax.AUTH_ENVELOPED_DATA, value)
    vector = AESGCM.generate_key(128)
    padder = block_padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    sealed = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
    value = cms.EnvelopedData(
        {
            # RFC 5652 section 6.1: version 2 with any recipient that is not named by issuer and serial in
            # ktri.
            "version": "v2" if agreed else "v0",
            "recipient_infos": infos,
            "encrypted_content_info": _encrypted(content_type, cipher, core.OctetString(vector), sealed),
        }
    )
    return syntax.wrap(syntax.ENVELOPED_DATA, value)


def _encrypted(content_type: str, cipher: ContentCipher, parameters: Any, sealed: bytes) -> dict[str, Any]:
    algorithm = {"algorithm": cipher.oid, "parameters": parameters}
    return {
        "content_type": content_type,
        "content_encryption_algorithm": algorithm,
        "encrypted_content": sealed,
    }


def _recipient_info(certificate: x509.Certificate, key: bytes) -> Any:
    public = certificate.public_key()
    flaw = encryption_flaw(certificate)
    if flaw is not None:
        raise LocalError(flaw)
    rid = syntax.issuer_and_serial(certificate)
    if isinstance(public, rsa.RSAPublicKey):
        return cms.RecipientInfo("ktri", _transported(public, rid, key))
    assert isinstance(public, _AgreeingKey)  # encryption_flaw knows no other kind
    return cms.RecipientInfo("kari", _agreed(public, rid, key))


def encryption_flaw(certificate: x509.Certificate) -> str | None:
    """Why nothing can be encrypted to this certificate, or None."""
    public = certificate.public_key()
    if not isinstance(public, rsa.RSAPublicKey | _AgreeingKey):
        return "nothing can be encrypted to a key of this kind"
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    except UNREADABLE:
        return "the certificate's extensions can't be read"
    allowed = usage.key_encipherment if isinstance(public, rsa.RSAPublicKey) else usage.key_agreement
    return None if allowed else "the certificate's key usage does not allow encryption"


def _transported(public: rsa.RSAPublicKey, rid: Any, key: bytes) -> Any:
    sealed = public.encrypt(key, _oaep(SHA256.algorithm, SHA256.algorithm))
    hashed = {"algorithm": SHA256.oid}
    parameters = {
        "hash_algorithm": hashed,
        "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": hashed},
    }
    return cms.KeyTransRecipientInfo(
        {
            "version": "v0",
            "rid": cms.RecipientIdentifier("issuer_and_serial_number", rid),
            "key_encryption_algorithm": {"algorithm": _OAEP, "parameters": parameters},
            "encrypted_key": sealed,
        }
    )


def _oaep(digest: hashes.HashAlgorithm, mask: hashes.HashAlgorithm, label: bytes = b"") -> padding.OAEP:
    return padding.OAEP(padding.MGF1(mask), digest, label or None)


def _agreed(public: _AgreeingKey, rid: Any, key: bytes) -> Any:
    wrap = algos.AlgorithmIdentifier({"algorithm": _WRAP_FOR[len(key) * 8]})
    ephemeral: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey
    if isinstance(public, x25519.X25519PublicKey):
        ephemeral, oid = x25519.X25519PrivateKey.generate(), _HKDF_SHA256  # RFC 8418 section 2
        secret = ephemeral.exchange(public)
    else:
        ephemeral, oid = ec.generate_private_key(public.curve), _AGREEMENT_SHA256
        secret = ephemeral.exchange(ec.ECDH(), public)
    wrapped = aes_key_wrap(_derived(secret, wrap, None, oid, len(key)), key)
    point = ephemeral.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return cms.KeyAgreeRecipientInfo(
        {
            "version": "v3",
            "originator": cms.OriginatorIdentifierOrKey("originator_key", keys.PublicKeyInfo.load(point)),
            "key_encryption_algorithm": {"algorithm": oid, "parameters": wrap},
            "recipient_encrypted_keys": [
                {
                    "rid": cms.KeyAgreementRecipientIdentifier("issuer_and_serial_number", rid),
                    "encrypted_key": wrapped,
                }
            ],
        }
    )


def _derived(secret: bytes, wrap: Any, ukm: bytes | None, oid: str, length: int) -> bytes:
    fields = {"key_info": wrap, "supp_pub_info": (length * 8).to_bytes(4, "big")}
    if ukm is not None:
        fields["entity_u_info"] = ukm
    info = _SharedInfo(fields).dump()
    if (digest := _HKDF_AGREEMENTS.get(oid)) is not None:
        return HKDF(digest, length, ukm, info).derive(secret)
    return X963KDF(_AGREEMENTS[oid], length, info).derive(secret)


# ---- decrypting ----


def decrypt(data: bytes, keyrings: Sequence[Keyring]) -> Opened:
    """Open an EnvelopedData or AuthEnvelopedData object, DER or BER, with the first key that fits.

    Raises:
        PeerError: 493 when none of our keys opens it, whatever the reason; 400 when it is malformed; 413 when
            it is over a limit.
    """
    content_type, value = syntax.read(data)
    if content_type not in (syntax.ENVELOPED_DATA, syntax.AUTH_ENVELOPED_DATA):
        raise PeerError(400, f"the CMS object is not encrypted but {syntax.type_name(content_type)}")
    with syntax.malformed():
        infos = list(value["recipient_infos"])
        authenticated = content_type == syntax.AUTH_ENVELOPED_DATA
        inner = value["auth_encrypted_content_info" if authenticated else "encrypted_content_info"]
        oid = inner["content_encryption_algorithm"]["algorithm"].dotted
        cipher = CIPHERS.get(oid)
        sealed = inner["encrypted_content"].native or b""
        kind = inner["content_type"].dotted
    if len(infos) > syntax.MAX_RECIPIENTS:
        raise PeerError(413, f"more than {syntax.MAX_RECIPIENTS} recipients")
    if cipher is None or cipher.authenticated != authenticated:
        raise _undecipherable(f"its cipher {_OLD_CIPHERS.get(oid, oid)} is not supported")
    with syntax.malformed():
        found = [(info, ring) for ring in keyrings for info in infos if _is_for(info, ring.certificate)]
    if not found:
        raise _undecipherable("it is encrypted to another certificate")
    info, ring = found[0]
    try:
        key = _content_key(info, ring)
        if key is None or len(key) * 8 != cipher.bits:
            raise ValueError("no key, or one of another length")
        content = _open(value, inner, sealed, key, authenticated)
    except _UNFIT:
        raise _undecipherable("it could not be decrypted") from None
    return Opened(content, kind, cipher, ring.certificate)


def _undecipherable(why: str) -> PeerError:
    return PeerError(493, f"Undecipherable: {why}")


def _is_for(info: Any, certificate: x509.Certificate) -> bool:
    if info.name == "ktri":
        return syntax.identifies(info.chosen["rid"], certificate)
    if info.name == "kari":
        return any(
            syntax.identifies(one["rid"], certificate) for one in info.chosen["recipient_encrypted_keys"]
        )
    return False


def _content_key(info: Any, ring: Keyring) -> bytes | None:
    value, key = info.chosen, ring.key
    algorithm = value["key_encryption_algorithm"]
    oid = algorithm["algorithm"].dotted
    if info.name == "ktri" and isinstance(key, rsa.RSAPrivateKey):
        sealed = value["encrypted_key"].native
        if oid == syntax.RSA:
            # A wrong padding gives a random key, not an error (implicit rejection), so it looks like any
            # other failure.
            return key.decrypt(sealed, padding.PKCS1v15())
        return key.decrypt(sealed, _oaep_of(algorithm["parameters"])) if oid == _OAEP else None
    if (
        info.name != "kari"
        or isinstance(key, rsa.RSAPrivateKey)
        or oid not in {*_AGREEMENTS, *_HKDF_AGREEMENTS}
    ):
        return None
    wrap = algos.AlgorithmIdentifier.load(algorithm["parameters"].dump())
    bits = _KEY_WRAPS.get(wrap["algorithm"].dotted)
    secret = _shared_secret(value["originator"], key)
    if bits is None or secret is None:
        return None
    wrapped = next(
        one["encrypted_key"].native
        for one in value["recipient_encrypted_keys"]
        if syntax.identifies(one["rid"], ring.certificate)
    )
    return aes_key_unwrap(_derived(secret, wrap, value["ukm"].native, oid, bits // 8), wrapped)


def _oaep_of(parameters: Any) -> padding.OAEP:
    digest = DIGESTS[parameters["hash_algorithm"]["algorithm"].dotted].algorithm
    mask = DIGESTS[parameters["mask_gen_algorithm"]["parameters"]["algorithm"].dotted].algorithm
    label = parameters["p_source_algorithm"]["parameters"].native  # RFC 4055 section 4.1; nearly always empty
    return _oaep(digest, mask, label or b"")


def _shared_secret(
    originator: Any, key: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey
) -> bytes | None:
    if originator.name != "originator_key":
        return None  # a static sender key: RFC 5753 section 3.1.1 wants an ephemeral one
    # The curve is that of the recipient; RFC 5753 section 3.1.1 lets the parameters be absent.
    point = originator.chosen["public_key"].contents[1:]
    if isinstance(key, x25519.X25519PrivateKey):
        return key.exchange(x25519.X25519PublicKey.from_public_bytes(point))
    return key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point))


def _open(value: Any, inner: Any, sealed: bytes, key: bytes, authenticated: bool) -> bytes:
    parameters = inner["content_encryption_algorithm"]["parameters"]
    if authenticated:
        gcm = _GCMParameters.load(parameters.dump())
        tag = value["mac"].native
        if len(tag) != gcm["icv_len"].native:
            raise ValueError("the tag has another length than announced")
        mode = modes.GCM(gcm["nonce"].native, tag, min_tag_length=_MIN_TAG_OCTETS)
        decryptor = Cipher(algorithms.AES(key), mode).decryptor()
        attributes = value["auth_attrs"]
        if syntax.present(attributes):
            decryptor.authenticate_additional_data(attributes.untag().dump(force=True))
        return decryptor.update(sealed) + decryptor.finalize()
    cbc = Cipher(algorithms.AES(key), modes.CBC(parameters.native)).decryptor()
    unpadder = block_padding.PKCS7(128).unpadder()
    return unpadder.update(cbc.update(sealed) + cbc.finalize()) + unpadder.finalize()
