"""The status of a certificate as ``openssl ocsp`` tells it: the responder, the answers and the index are its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from ringfence.transport.fetch import Fetched, Fetcher, web_context
from ringfence.transport.inquiry import Inquiry
from tests.interop.node import Node
from tests.interop.processes import HOST, Program, eventually, free_port
from tests.security import openssl
from tests.security.pki import Pair, issue
from tests.transport.site import Site, page

pytestmark = pytest.mark.interop("openssl")

START = time.time() - 86400
ROOT = issue("Root", ca=True, start=START, key=rsa.generate_private_key(65537, 2048))
FOR_OCSP = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])]
RESPONDER = issue("Responder", ROOT, extra=FOR_OCSP, start=START)
NO_RESPONDER = issue("Somebody", ROOT, start=START)


def asking(port: int, name: str) -> Pair:
    place = x509.UniformResourceIdentifier(f"http://{HOST}:{port}/")
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
    return issue(name, ROOT, extra=[x509.AuthorityInformationAccess([access])], start=START)


def line(pair: Pair, status: str) -> str:
    """One certificate in the index of ``openssl ca``."""
    end = f"{pair.certificate.not_valid_after_utc:%y%m%d%H%M%SZ}"
    since = f"{datetime.now(UTC):%y%m%d%H%M%SZ}" if status == "R" else ""
    number = pair.certificate.serial_number
    return f"{status}\t{end}\t{since}\t{number:X}\tunknown\t/CN={number}\n"


@contextlib.contextmanager
def responder(
    folder: Path, by: Pair, port: int, *listed: tuple[Pair, str], authority: Pair = ROOT
) -> Iterator[None]:
    index = openssl.write(folder, "index", "".join(line(*each) for each in listed).encode())
    words: list[str | Path] = ["openssl", "ocsp", "-port", str(port), "-index", index, "-nmin", "10"]
    words += ["-CA", openssl.certificate(folder, authority, "ca.pem")]
    words += ["-rsigner", openssl.certificate(folder, by, "r.pem"), "-rkey", openssl.key(folder, by, "r.key")]
    program = Program(words, folder / "log")
    try:
        eventually(lambda: "waiting" in program.tail(), "the responder listens")
        yield
    finally:
        program.end()


async def nobody(_host: str) -> tuple[str, ...]:
    return ()


async def here(_host: str) -> tuple[str, ...]:
    return (HOST,)


@pytest.mark.rfc("6960", "3.2")
@pytest.mark.parametrize("by", [ROOT, RESPONDER], ids=["the issuer answers", "a responder of its answers"])
async def test_openssl_answers(tmp_path: Path, by: Pair) -> None:
    port = free_port()
    good, revoked, absent = (asking(port, name) for name in ("good", "revoked", "absent"))
    fetcher = Fetcher(web_context(), nobody, allowed=["127.0.0.0/8"])
    inquiry = Inquiry(fetcher)
    try:
        with responder(tmp_path, by, port, (good, "V"), (revoked, "R")):
            for pair, taken, why in (
                (good, [], []),
                (revoked, [revoked.certificate], []),
                (absent, [], ["OCSP: the responder does not know the certificate"]),
            ):
                found = await inquiry.status([pair.certificate], (), [ROOT.certificate])
                assert list(found.revoked) == taken
                assert [text for _, text in found.unknown] == why
    finally:
        await fetcher.close()


@pytest.mark.rfc("9654", "2.1")
async def test_openssl_gives_our_nonce_back(tmp_path: Path) -> None:
    port = free_port()
    good = asking(port, "good")
    fetcher = Kept()
    try:
        with responder(tmp_path, RESPONDER, port, (good, "V")):
            found = await Inquiry(fetcher).status([good.certificate], (), [ROOT.certificate])
        assert (found.revoked, found.unknown) == ((), ())
        [(url, data)] = fetcher.answers
        asked = ocsp.load_der_ocsp_request(b64decode(unquote(url.rpartition("/")[2])))
        [nonce] = [each.value for each in ocsp.load_der_ocsp_response(data).extensions]
        assert nonce == asked.extensions.get_extension_for_class(x509.OCSPNonce).value
    finally:
        await fetcher.close()


class Kept(Fetcher):
    """A fetcher that shows what it got."""

    def __init__(self) -> None:
        super().__init__(web_context(), nobody, allowed=["127.0.0.0/8"])
        self.answers: list[tuple[str, bytes]] = []

    async def fetch(self, url: str, *, plain: bool = False) -> Fetched:
        fetched = await super().fetch(url, plain=plain)
        self.answers.append((url, fetched.data))
        return fetched


@pytest.mark.rfc("6960", "4.4.1")
@pytest.mark.parametrize(
    ("question", "why"),
    [("-no_nonce", []), ("-nonce", ["OCSP: the answer has the nonce of another question"])],
    ids=["signed beforehand", "played again"],
)
async def test_an_answer_of_openssl_to_somebody_else(tmp_path: Path, question: str, why: list[str]) -> None:
    """Its answer is in a file, as one that was signed for all is; one with a nonce was for who sent that."""
    site = Site()
    await site.start()
    access = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(site.url("/"))
    )
    good = issue("good", ROOT, extra=[x509.AuthorityInformationAccess([access])], start=START)
    site.answer = page(answer_of_openssl(tmp_path, good, question))
    fetcher = Fetcher(web_context(), here, allowed=["127.0.0.0/8"])
    try:
        found = await Inquiry(fetcher).status([good.certificate], (), [ROOT.certificate])
        assert [text for _, text in found.unknown] == why
        assert found.revoked == ()
    finally:
        await fetcher.close()
        site.close()


def answer_of_openssl(folder: Path, about: Pair, question: str) -> bytes:
    authority = openssl.certificate(folder, ROOT, "ca.pem")
    named = "-issuer", authority, "-cert", openssl.certificate(folder, about)
    openssl.run("ocsp", *named, question, "-reqout", folder / "question")
    index = openssl.write(folder, "index", line(about, "V").encode())
    by = ["-rsigner", openssl.certificate(folder, RESPONDER, "r.pem")]
    by += ["-rkey", openssl.key(folder, RESPONDER, "r.key"), "-CA", authority, "-index", index]
    openssl.run("ocsp", *by, "-nmin", "10", "-reqin", folder / "question", "-respout", folder / "answer")
    return (folder / "answer").read_bytes()


async def test_openssl_answers_with_the_key_of_somebody(tmp_path: Path) -> None:
    port = free_port()
    good = asking(port, "good")
    fetcher = Fetcher(web_context(), nobody, allowed=["127.0.0.0/8"])
    try:
        with responder(tmp_path, NO_RESPONDER, port, (good, "V")):
            found = await Inquiry(fetcher).status([good.certificate], (), [ROOT.certificate])
        assert [text for _, text in found.unknown] == ["OCSP: the responder has no certificate for OCSP"]
    finally:
        await fetcher.close()


class Peer:
    """A TLS client of another domain."""

    def __init__(self, folder: Path, pair: Pair, name: str) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.load_cert_chain(
            openssl.certificate(folder, pair, f"{name}.pem"), openssl.key(folder, pair, f"{name}.key")
        )

    def asks(self, node: Node) -> str:
        """The status line that its OPTIONS is answered; "" when the connection is closed instead."""
        text = (
            f"OPTIONS sip:{node.domain} SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK{time.time()}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:x@peer.example>;tag=1\r\nTo: <sip:{node.domain}>\r\n"
            f"Call-ID: {time.time()}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        with (
            contextlib.suppress(OSError),
            socket.create_connection((HOST, node.listen["tls"]), 15) as plain,
            self.context.wrap_socket(plain) as secure,
        ):
            secure.sendall(text.encode())
            return secure.recv(4096).decode().partition("\r\n")[0]
        return ""


def test_a_node_lets_no_peer_in_whose_certificate_is_revoked(tmp_path: Path) -> None:
    """All by files and ``ringfence serve``; the peer that holds is asked about once, the one that is revoked too."""
    port = free_port()
    good, revoked, absent = (asking(port, name) for name in ("good", "revoked", "absent"))
    node = Node.create(tmp_path / "node", transports=("tls",), settings='[log]\nformat = "json"\n')
    root = openssl.certificate(tmp_path, ROOT, "root.pem")
    text = node.config.read_text(encoding="utf-8")
    text = text.replace("[tls]\n", f'[tls]\ntrust = ["{root}"]\nrevocation = "require"\n')
    text = text.replace("[identity]\n", '[identity]\nfetch_from = ["127.0.0.1/32"]\n')
    node.config.write_text(text, encoding="utf-8")
    with responder(tmp_path, RESPONDER, port, (good, "V"), (revoked, "R")):
        node.serve()
        try:
            assert Peer(tmp_path, good, "good").asks(node).startswith("SIP/2.0 ")
            assert Peer(tmp_path, good, "good").asks(node).startswith("SIP/2.0 ")
            for pair, name in ((revoked, "revoked"), (absent, "absent")):
                assert Peer(tmp_path, pair, name).asks(node) == ""
        finally:
            node.end()
    assert node.serving is not None
    log = node.serving.tail()
    assert "revocation not known" in log
    assert "the responder does not know the certificate" in log
