"""Two Ringfence domains and one Kamailio domain exchange calls over mutual TLS, as docs/federate-kamailio.md has it."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ringfence.client import CallError, Evidence, UserAgent
from ringfence.security.digest import STRONG, Algorithm
from tests.interop.federation import (
    ADDRESSES,
    PHONES,
    SIP,
    Kamailio,
    connections,
    make_domain,
    require_free,
)
from tests.interop.node import Node, password_of

pytestmark = pytest.mark.interop("kamailio", "openssl")

CAROL = "sip:carol@kamailio.example"


class Federation(NamedTuple):
    """The three domains."""

    org: Node
    net: Node
    kamailio: Kamailio

    def log(self, node: Node, event: str, since: int = 0) -> list[dict[str, Any]]:
        """Lines of a node's log about one kind of event."""
        assert node.serving is not None
        text = node.serving.log.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event][since:]


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    require_free()
    directory = tmp_path_factory.mktemp("federation")
    kamailio = Kamailio(directory / "kamailio")
    authorities = {
        "example.org": directory / "org" / "tls" / "ca.pem",
        "example.net": directory / "net" / "tls" / "ca.pem",
        "kamailio.example": kamailio.authority,
    }
    org, net = (
        make_domain(directory / each, f"example.{each}", _without(authorities, f"example.{each}"))
        for each in ("org", "net")
    )
    org.add_user("alice")
    net.add_user("dave")
    kamailio.trust(org, net)
    with _running(org, net, kamailio):
        yield Federation(org, net, kamailio)


def _without(authorities: dict[str, Path], domain: str) -> dict[str, Path]:
    return {each: path for each, path in authorities.items() if each != domain}


class _running:
    """The three, from start to end, whatever happens in between."""

    def __init__(self, *parts: Node | Kamailio) -> None:
        self.parts = parts

    def __enter__(self) -> None:
        for part in self.parts:
            part.start() if isinstance(part, Kamailio) else part.serve()

    def __exit__(self, *_: object) -> None:
        for part in self.parts:
            part.end()


class Phones(NamedTuple):
    """One phone in each domain."""

    alice: UserAgent
    dave: UserAgent
    carol: UserAgent


@pytest.fixture
async def phones(federation: Federation) -> AsyncIterator[Phones]:
    async with AsyncExitStack() as stack:
        agents = [_ours(federation.org, "alice"), _ours(federation.net, "dave")]
        agents.append(
            UserAgent(
                CAROL,
                password=password_of("carol"),
                algorithms=(*STRONG, Algorithm.MD5),
                proxy=f"sip:{ADDRESSES['kamailio.example']}:{PHONES};transport=udp",
            )
        )
        yield Phones(*[await stack.enter_async_context(agent) for agent in agents])


def _ours(node: Node, user: str) -> UserAgent:
    return UserAgent(
        f"sip:{user}@{node.domain}",
        password=password_of(user),
        proxy=f"sip:{ADDRESSES[node.domain]}:{SIP};transport=tls",
        trust=node.authority,
    )


async def talk(caller: UserAgent, callee: UserAgent, *, callee_ends: bool = False) -> None:
    """A whole call: it rings, is answered, and one of the two hangs up."""
    async with asyncio.timeout(15):
        call = await caller.call(str(callee.account.aor))
        ringing = await anext(aiter(callee.incoming()))
        assert ringing.peer.identity == str(caller.account.aor)
        await ringing.answer()
        await call.answered
        if callee_ends:
            await ringing.hang_up()
            assert (await call.ended).by == "peer"
        else:
            await call.hang_up()
            assert (await ringing.ended).by == "peer"


@pytest.mark.parametrize("callee_ends", [False, True])
@pytest.mark.parametrize(
    ("caller", "callee"),
    [(a, b) for a in Phones._fields for b in Phones._fields if a != b],
)
async def test_every_domain_calls_every_other(
    caller: str, callee: str, callee_ends: bool, phones: Phones
) -> None:
    await talk(getattr(phones, caller), getattr(phones, callee), callee_ends=callee_ends)


async def test_texts_go_between_the_domains(phones: Phones) -> None:
    async with asyncio.timeout(15):
        await phones.alice.send_text(CAROL, "hello from example.org")
        assert (await anext(aiter(phones.carol.texts()))).text == "hello from example.org"
        await phones.carol.send_text("sip:alice@example.org", "hello back")
        assert (await anext(aiter(phones.alice.texts()))).text == "hello back"


async def test_a_call_between_ringfences_is_verified_by_its_signature(
    federation: Federation, phones: Phones
) -> None:
    before = len(federation.log(federation.net, "caller"))
    await talk(phones.alice, phones.dave)
    line = federation.log(federation.net, "caller", before)[0]
    assert (line["caller"], line["proof"], line["checked_by"]) == (
        "sip:alice@example.org",
        "signature",
        "example.net",
    )
    assert line["evidence"] == "PASSporT signed by example.org"


@pytest.mark.rfc("4916", "4.2")
@pytest.mark.parametrize("callee", ["dave", "carol"])
async def test_who_has_answered_elsewhere_is_shown(
    callee: str, federation: Federation, phones: Phones
) -> None:
    """Dave's domain signs it; Carol's does not, and the certificate of its connection tells."""
    phone: UserAgent = getattr(phones, callee)
    async with asyncio.timeout(15):
        call = await phones.alice.call(str(phone.account.aor))
        ringing = await anext(aiter(phone.incoming()))
        await ringing.answer()
        await call.answered
        async for found in call.events():
            if found.kind == "connected":
                break
        assert (call.peer.identity, call.peer.evidence) == (str(phone.account.aor), Evidence.ASSERTED)
        await call.hang_up()
        await ringing.ended


async def test_a_call_from_kamailio_is_verified_by_its_connection(
    federation: Federation, phones: Phones
) -> None:
    before = len(federation.log(federation.org, "caller"))
    await talk(phones.carol, phones.alice)
    line = federation.log(federation.org, "caller", before)[0]
    assert (line["caller"], line["proof"], line["evidence"]) == (
        CAROL,
        "connection",
        "TLS certificate for kamailio.example",
    )


@pytest.mark.rfc("5923", "8.1")
async def test_one_connection_carries_calls_both_ways(federation: Federation, phones: Phones) -> None:
    for _ in range(2):
        await talk(phones.alice, phones.carol)
        await talk(phones.carol, phones.alice, callee_ends=True)
    assert connections(ADDRESSES["example.org"], ADDRESSES["kamailio.example"]) == 1


# -- who is refused ------------------------------------------------------------------------------------


async def test_kamailio_is_no_relay_to_a_third_domain(federation: Federation, phones: Phones) -> None:
    answer = await _say(
        federation.org, federation.kamailio.address, federation.kamailio.authority, "sip:dave@example.net"
    )
    assert answer == "SIP/2.0 403 Forbidden (not a domain of ours)"


async def test_a_peer_can_not_call_in_anothers_name(federation: Federation, phones: Phones) -> None:
    kamailio, net = federation.kamailio, federation.net
    answer = await _say(
        federation.org, kamailio.address, kamailio.authority, CAROL, caller="sip:dave@example.net"
    )
    assert answer == "SIP/2.0 403 Forbidden (the certificate is not for the domain of From)"
    before = len(federation.log(net, "caller"))
    await _say(federation.org, ADDRESSES["example.net"], net.authority, "sip:dave@example.net", caller=CAROL)
    [line] = federation.log(net, "caller", before)
    assert (line["caller"], line["proof"]) == (CAROL, "none")


@pytest.mark.rfc("5922", "7.3")
@pytest.mark.parametrize("kind", ["wrong-name", "self-signed", "expired", "none"])
async def test_a_peer_with_a_bad_certificate_is_refused(
    kind: str, federation: Federation, phones: Phones, tmp_path: Path
) -> None:
    """It comes in with it: Kamailio ends the connection or says 403, Ringfence ends it or takes a stranger."""
    pair = _bad_certificate(kind, federation.kamailio, tmp_path)
    kamailio, org = federation.kamailio, federation.org
    answer = await _send(pair, kamailio.address, kamailio.authority, CAROL, "sip:eve@example.net")
    assert answer in {"", "SIP/2.0 403 Forbidden (the certificate is not for the domain of From)"}
    before = len(federation.log(org, "caller"))
    target = "sip:alice@example.org"
    answer = await _send(pair, ADDRESSES["example.org"], org.authority, target, "sip:eve@kamailio.example")
    if kind in {"self-signed", "expired"}:
        assert answer == ""
        assert len(federation.log(org, "caller")) == before
    else:
        [line] = federation.log(org, "caller", before)
        assert line["proof"] == "none"


@pytest.mark.rfc("5922", "7.3")
async def test_a_server_with_another_name_gets_no_call(
    federation: Federation, phones: Phones, tmp_path: Path
) -> None:
    """example.org's server stands where kamailio.example's should be: Dave's call does not go to it."""
    net = federation.net
    text = net.config.read_text(encoding="utf-8")
    wrong = text.replace(f'"kamailio.example" = ["{ADDRESSES["kamailio.example"]}"]',
                         f'"kamailio.example" = ["{ADDRESSES["example.org"]}"]')  # fmt: skip
    assert wrong != text
    net.config.write_text(wrong, encoding="utf-8")
    net.end()
    try:
        net.serve()
        async with _ours(net, "dave") as dave:
            call = await dave.call(CAROL)
            with pytest.raises(CallError) as refused:
                async with asyncio.timeout(20):
                    await call.answered
            assert refused.value.status == 500  # RFC 3261 section 16.7 step 6: a proxy does not pass 503 on
    finally:
        net.end()
        net.config.write_text(text, encoding="utf-8")
        net.serve()


# -- speaking for ourselves ----------------------------------------------------------------------------


def _bad_certificate(kind: str, kamailio: Kamailio, directory: Path) -> tuple[Path, Path] | None:
    if kind == "none":
        return None
    key, request, chain = (directory / name for name in ("bad.key", "bad.csr", "bad.pem"))
    name = "eve.example" if kind == "wrong-name" else "kamailio.example"
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key]
    alternative = ["-addext", f"subjectAltName=URI:sip:{name}"]
    if kind == "self-signed":
        _openssl("req", "-x509", *new_key, "-out", chain, "-subj", "/CN=somebody", *alternative)
        return chain, key
    _openssl("req", *new_key, "-out", request, "-subj", "/CN=somebody", *alternative)
    tls = kamailio.directory / "tls"
    days = ["-days", "-1"] if kind == "expired" else ["-days", "10"]
    signed = ["-CA", tls / "ca.pem", "-CAkey", tls / "ca.key", "-copy_extensions", "copy"]
    _openssl("x509", "-req", "-in", request, *signed, *days, "-out", chain)
    return chain, key


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30)


async def _say(
    speaker: Node, address: str, authority: Path, target: str, *, caller: str = "sip:alice@example.org"
) -> str:
    """An INVITE with the certificate of a domain; the first final answer's start line."""
    tls = speaker.directory / "tls"
    return await _send((tls / "server.pem", tls / "server.key"), address, authority, target, caller)


_serial = iter(range(1, 1000))


async def _send(
    pair: tuple[Path, Path] | None, address: str, authority: Path, target: str, caller: str
) -> str:
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False
    if pair is not None:
        context.load_cert_chain(*pair)
    number = next(_serial)
    request = "\r\n".join(
        [
            f"INVITE {target} SIP/2.0",
            f"Via: SIP/2.0/TLS 127.0.0.1:40000;branch=z9hG4bKfederation{number}",
            "Max-Forwards: 70",
            f"From: <{caller}>;tag=1",
            f"To: <{target}>",
            f"Call-ID: federation-{number}",
            "CSeq: 1 INVITE",
            "Contact: <sip:127.0.0.1:40000;transport=tls>",
            "Content-Length: 0",
            "",
            "",
        ]
    )
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(address, SIP, ssl=context)
            writer.write(request.encode())
            while line := await reader.readline():
                text = line.decode().strip()
                if text.startswith("SIP/2.0 ") and not text.startswith("SIP/2.0 1"):
                    writer.close()
                    return text
                if text.startswith("SIP/2.0 180"):
                    writer.close()
                    return text
    except (OSError, ssl.SSLError):
        pass
    return ""
