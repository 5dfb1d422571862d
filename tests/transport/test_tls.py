"""TLS: who is let in, who is believed, and what a reload changes."""

import asyncio
import dataclasses
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from ringfence.message import LocalError
from ringfence.security.certificates import domain_identities
from ringfence.transport.contexts import Contexts, TlsSettings
from ringfence.transport.flow import Endpoint, Flow, PeerCertificate
from ringfence.transport.pool import Pool
from tests.transport.conftest import LIMITS, MakeSide
from tests.transport.support import PATIENCE, Authority, Recorder, options
from tests.transport.test_tcp import dial, rest


async def listening(make: MakeSide, contexts: Contexts, host: str = "127.0.0.1") -> tuple[Recorder, Endpoint]:
    pool, above = make(contexts)
    return above, (await pool.listen("TLS", host, 0)).local


async def refusal(pool: Pool, above: Recorder, remote: Endpoint, name: str | None) -> str:
    """Why a connection fails, and that nothing of what waited was sent."""
    flow = pool.flow_to("TLS", remote, name)
    flow.send(options())
    ended, reason = await above.end()
    assert ended is flow
    return reason


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"], indirect=True)
async def test_both_ways_with_both_certificates(make: MakeSide, authority: Authority, host: str) -> None:
    there, remote = await listening(make, authority.contexts("sip:example.org"), host)
    here, above = make(authority.contexts("sip:example.net"))
    flow = here.flow_to("TLS", remote, "example.org")
    flow.send(options(1))
    flow.send(options(2, body=b"x" * 100_000))
    assert (await there.message(2))[0] == options(2, body=b"x" * 100_000)
    back = there.messages[0][1]
    back.send(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (await above.message())[1] is flow
    for side in (flow, back):
        assert side.secure
        assert side.reliable
        assert side.transport == "TLS"
        assert side.peer is not None
        assert side.peer.verified
        assert side.peer.chain[0] == side.peer.der
        assert len(side.peer.chain) == 2
        assert side.protection.startswith("TLSv1.3 TLS_")  # type: ignore[attr-defined]
    flow.close("enough")
    assert (await above.end()) == (flow, "enough")
    assert (await there.end()) == (back, "the peer closed it")


@pytest.mark.rfc("5922", "7.3")
async def test_a_server_that_proves_another_domain_gets_nothing(make: MakeSide, authority: Authority) -> None:
    there, remote = await listening(make, authority.contexts("sip:example.org"))
    here, above = make(authority.contexts())
    reason = await refusal(here, above, remote, "biloxi.example")
    assert reason == "TLS: the certificate is for example.org, not for biloxi.example"
    await asyncio.sleep(0.05)
    assert there.messages == []


@pytest.mark.rfc("5922", "7.1")
@pytest.mark.parametrize(
    ("names", "asked", "good"),
    [
        (("example.org",), "example.org", True),
        (("example.org",), "EXAMPLE.org.", True),
        (("*.example.org",), "sip.example.org", False),
        (("sip:example.net", "example.org"), "example.org", False),
        (("sip:alice@example.org",), "example.org", False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("127.0.0.2",), "127.0.0.1", False),
        (("example.org",), "127.0.0.1", False),
        (("example.org",), None, True),
    ],
)
async def test_names(
    make: MakeSide, authority: Authority, names: tuple[str, ...], asked: str | None, good: bool
) -> None:
    there, remote = await listening(make, authority.contexts(*names))
    here, above = make(authority.contexts())
    flow = here.flow_to("TLS", remote, asked)
    flow.send(options())
    if good:
        assert (await there.message())[0] == options()
    else:
        assert (await above.end())[1].startswith("TLS: the certificate ")


async def test_expired_and_unknown_certificates(make: MakeSide, authority: Authority, tmp_path: Path) -> None:
    here, above = make(authority.contexts())
    expired = TlsSettings((authority.issue("example.org", expired=True),), (authority.root,))
    _, remote = await listening(make, Contexts(expired))
    assert "certificate has expired" in await refusal(here, above, remote, "example.org")
    stranger = Authority(tmp_path)
    _, remote = await listening(make, stranger.contexts("example.org"))
    here, above = make(authority.contexts())
    assert "the peer's certificate is not good" in await refusal(here, above, remote, "example.org")
    here, above = make(authority.contexts(verify_servers=False))
    flow = here.flow_to("TLS", remote, "example.com")
    await above.until(lambda: flow in above.opens)
    assert flow.peer is not None
    assert not flow.peer.verified


# ---- whether a certificate is revoked is asked elsewhere ----


async def test_nothing_passes_before_it_is_known_that_a_certificate_holds(
    make: MakeSide, authority: Authority
) -> None:
    server, client = authority.contexts("example.org"), authority.contexts("example.net")
    there, remote = await listening(make, server)
    here, above = make(client)
    known, asked = asyncio.Event(), list[str]()

    def inquire(side: str, peer: PeerCertificate) -> Coroutine[Any, Any, str]:
        async def answer() -> str:
            asked.append(f"{side} {len(peer.chain)}")
            await known.wait()
            return ""

        return answer()

    server.inquire = lambda peer, _: inquire("server", peer)
    client.inquire = lambda peer, _: inquire("client", peer)
    flow = here.flow_to("TLS", remote, "example.org")
    flow.send(options(1))
    async with asyncio.timeout(PATIENCE):
        while len(asked) < 2:
            await asyncio.sleep(0.001)
    assert (there.opens, above.opens, there.messages) == ([], [], [])
    known.set()
    assert (await there.message())[0] == options(1)
    there.messages[0][1].send(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (await above.message())[1] is flow
    assert sorted(asked) == ["client 2", "server 2"]


@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("later", [False, True], ids=["known", "asked"])
async def test_what_is_known_against_a_certificate_ends_the_connection(
    make: MakeSide, authority: Authority, side: str, later: bool
) -> None:
    server, client = authority.contexts("example.org"), authority.contexts("example.net")

    async def answer() -> str:
        return "leaf has been revoked"

    contexts = server if side == "server" else client
    contexts.inquire = lambda _peer, _lists: answer() if later else "leaf has been revoked"
    there, remote = await listening(make, server)
    here, above = make(client)
    here.flow_to("TLS", remote, "example.org").send(options())
    judge = there if side == "server" else above
    assert (await judge.end())[1] == "TLS: leaf has been revoked"
    assert there.messages == []


async def test_a_peer_that_gives_up_while_it_is_asked_about(make: MakeSide, authority: Authority) -> None:
    client = authority.contexts("example.net")
    ended = asyncio.Event()

    async def answer() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    client.inquire = lambda _peer, _lists: answer()
    there, remote = await listening(make, authority.contexts("example.org"))
    here, above = make(client)
    flow = here.flow_to("TLS", remote, "example.org")
    flow.send(options())
    await there.until(lambda: bool(there.opens))
    flow.close("enough")
    assert (await above.end()) == (flow, "enough")
    async with asyncio.timeout(PATIENCE):
        await ended.wait()


async def test_only_its_own_authority_vouches_for_a_name(
    make: MakeSide, authority: Authority, tmp_path: Path
) -> None:
    """The client trusts two authorities, and one of them alone for example.org."""
    other = Authority(tmp_path)
    client = TlsSettings((authority.issue("example.net"),), (authority.root, other.root))
    for issuer, name, good in (
        (authority, "example.org", True),
        (other, "example.org", False),
        (other, "a.example", True),
    ):
        there, remote = await listening(make, Contexts(TlsSettings((issuer.issue(name),), (authority.root,))))
        here, above = make(Contexts(client))
        here.vouch({"example.org": frozenset({ssl.PEM_cert_to_DER_cert(authority.root.read_text())})})
        if good:
            here.flow_to("TLS", remote, name).send(options())
            assert (await there.message())[0] == options()
        else:
            reason = await refusal(here, above, remote, name)
            assert reason == "TLS: the certificate is not from an authority that may vouch for example.org"


async def attempt(make: MakeSide, server: Contexts, client: Contexts) -> tuple[Flow | None, str]:
    """The server's flow when a client is let in, or why it was not."""
    there, remote = await listening(make, server)
    here, _ = make(client)
    here.flow_to("TLS", remote, "example.org").send(options())
    await there.until(lambda: bool(there.messages or there.ends))
    return (there.messages[0][1], "") if there.messages else (None, there.ends[0][1])


@pytest.mark.rfc("5922", "7.4")
async def test_client_certificates(make: MakeSide, authority: Authority, tmp_path: Path) -> None:
    good = authority.contexts("sip:example.net")
    nobody = authority.contexts()
    forged = Contexts(TlsSettings((Authority(tmp_path).issue("sip:example.net"),), (authority.root,)))
    optional = authority.contexts("example.org")
    flow, _ = await attempt(make, optional, good)
    assert flow is not None
    assert flow.peer is not None
    flow, _ = await attempt(make, optional, nobody)
    assert flow is not None
    assert flow.peer is None
    flow, reason = await attempt(make, optional, forged)
    assert flow is None
    assert "the peer's certificate is not good" in reason
    expired = authority.issue("sip:example.net", expired=True)
    flow, reason = await attempt(make, optional, Contexts(TlsSettings((expired,), (authority.root,))))
    assert flow is None
    assert "certificate has expired" in reason
    required = authority.contexts("example.org", client_certificates="required")
    flow, reason = await attempt(make, required, nobody)
    assert flow is None
    assert "did not return a certificate" in reason
    unasked = authority.contexts("example.org", client_certificates="none")
    flow, _ = await attempt(make, unasked, forged)
    assert flow is not None
    assert flow.peer is None


@pytest.mark.rfc("5280", "4.2.1.12")
async def test_a_certificate_for_servers_alone_is_shown_by_no_client(
    make: MakeSide, authority: Authority
) -> None:
    there, remote = await listening(make, authority.contexts("example.org"))
    pair = authority.issue("example.net", for_clients=False)
    here, _ = make(Contexts(TlsSettings((pair,), (authority.root,))))
    here.flow_to("TLS", remote, "example.org").send(options())
    assert (await there.message())[1].peer is None


async def test_a_node_of_our_own_network_is_shown_its_own_certificate(
    make: MakeSide, authority: Authority
) -> None:
    public, ours = authority.issue("example.org"), authority.issue("edge.example.org")
    names = frozenset({"core.example.org"})
    settings = TlsSettings((public, ours), (authority.root,), inside=ours, inside_names=names)
    here, _ = make(Contexts(settings))
    for name, shown in (("core.example.org", "edge.example.org"), ("example.net", "example.org")):
        there, remote = await listening(make, authority.contexts(name))
        here.flow_to("TLS", remote, name).send(options())
        peer = (await there.message())[1].peer
        assert peer is not None
        assert domain_identities(x509.load_der_x509_certificate(peer.der)).domains == (shown,)


async def test_a_revoked_certificate_is_refused(make: MakeSide, authority: Authority) -> None:
    pair = authority.issue("sip:example.net")
    client = Contexts(TlsSettings((pair,), (authority.root,)))
    server = authority.contexts("example.org", revoked=(authority.revoke(pair[0]),))
    flow, reason = await attempt(make, server, client)
    assert flow is None
    assert "has been revoked" in reason
    other = authority.contexts("sip:example.net")
    assert (await attempt(make, server, other))[0] is not None


def strange_client(**change: object) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in change.items():
        setattr(context, name, value)
    return context


async def test_old_versions_and_ciphers_are_refused(make: MakeSide, authority: Authority) -> None:
    _, remote = await listening(make, authority.contexts("example.org"))
    _, modern = await listening(make, authority.contexts("example.org", minimum_version="1.3"))
    only_12 = strange_client(maximum_version=ssl.TLSVersion.TLSv1_2)
    reader, writer = await asyncio.open_connection(*remote, ssl=only_12)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
    writer.close()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*modern, ssl=only_12)
    only_12.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*remote, ssl=only_12)
    assert reader is not None


async def certificate_shown(remote: Endpoint, name: str | None) -> bytes:
    _, writer = await asyncio.open_connection(*remote, ssl=strange_client(), server_hostname=name or "")
    der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return der


async def test_the_certificate_follows_the_name_that_is_asked_for(
    make: MakeSide, authority: Authority
) -> None:
    pairs = authority.issue("sip:example.org"), authority.issue("sip:example.net", "www.example.net")
    _, remote = await listening(make, Contexts(TlsSettings(pairs, (authority.root,))))
    ders = [ssl.PEM_cert_to_DER_cert(certificate.read_text()) for certificate, _ in pairs]
    for name, expected in (
        ("example.org", 0),
        ("example.net", 1),
        ("WWW.example.net", 1),
        ("example.com", 0),
        (None, 0),
    ):
        assert await certificate_shown(remote, name) == ders[expected]


async def test_a_reload_is_for_new_connections(make: MakeSide, authority: Authority, tmp_path: Path) -> None:
    first, second = authority.issue("example.org"), authority.issue("example.org")
    settings = TlsSettings((first,), (authority.root,))
    contexts = Contexts(settings)
    there, remote = await listening(make, contexts)
    here, above = make(authority.contexts())
    old = here.flow_to("TLS", remote, "example.org")
    old.send(options(1))
    await there.message()
    contexts.load(dataclasses.replace(settings, certificates=(second,)))
    assert await certificate_shown(remote, None) == ssl.PEM_cert_to_DER_cert(second[0].read_text())
    old.send(options(2))
    assert (await there.message(2))[1] is there.messages[0][1]
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    for bad, why in (
        (dataclasses.replace(settings, certificates=((broken, first[1]),)), "cannot be read as PEM"),
        (dataclasses.replace(settings, certificates=((first[0], second[1]),)), "not its private key"),
        (dataclasses.replace(settings, certificates=((tmp_path / "no", first[1]),)), "No such file"),
        (dataclasses.replace(settings, trust=(broken,)), "no certificates in it"),
        (dataclasses.replace(settings, revoked=(broken,)), "not a revocation list"),
    ):
        with pytest.raises(LocalError, match=why):
            contexts.load(bad)
    assert await certificate_shown(remote, None) == ssl.PEM_cert_to_DER_cert(second[0].read_text())
    assert above.ends == []


@pytest.mark.parametrize(
    "garbage", [options(), b"GET / HTTP/1.1\r\n\r\n", b"\0" * 200, b"\x16\x03\x01\xff\xff"]
)
async def test_garbage_before_the_handshake(make: MakeSide, authority: Authority, garbage: bytes) -> None:
    there, remote = await listening(make, authority.contexts("example.org"))
    raw = await dial(remote)
    raw[1].write(garbage)
    await rest(raw)
    assert "TLS" in (await there.end())[1] or "handshake" in there.ends[0][1]
    assert there.opens == []
    raw[1].close()


async def test_garbage_after_the_handshake(make: MakeSide, authority: Authority) -> None:
    there, remote = await listening(make, authority.contexts("example.org"))
    raw = await dial(remote)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = strange_client().wrap_bio(incoming, outgoing)
    while True:
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            raw[1].write(outgoing.read())
            incoming.write(await raw[0].read(65536))
            continue
        break
    client.write(options(1))
    client.write(options(2))
    raw[1].write(outgoing.read() + b"\x17\x03\x03\x00\x20" + b"\xaa" * 32)
    await rest(raw)
    assert "TLS: " in (await there.end())[1]
    assert [data for data, _ in there.messages] == [options(1), options(2)]
    raw[1].close()


async def test_a_handshake_that_never_ends_is_cut_off(make: MakeSide, authority: Authority) -> None:
    there, remote = await listening(make, authority.contexts("example.org"))
    raw = await dial(remote)
    raw[1].write(b"\x16\x03\x01\x02\x00\x01")
    assert await rest(raw) == b""
    assert (await there.end())[1] == "timed out waiting for the end of the handshake"
    raw[1].close()


async def test_a_server_that_never_shakes_hands_is_given_up(make: MakeSide, authority: Authority) -> None:
    async def read_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    deaf = await asyncio.start_server(read_only, "127.0.0.1", 0)
    here, above = make(authority.contexts())
    reason = await refusal(here, above, Endpoint(*deaf.sockets[0].getsockname()), "example.org")
    assert reason == "timed out waiting for the end of the handshake"
    deaf.close()
    await deaf.wait_closed()


async def test_handshakes_at_one_time_are_bounded(make: MakeSide, authority: Authority) -> None:
    pool, above = make(authority.contexts("example.org"), limits=dataclasses.replace(LIMITS, handshakes=2))
    remote = (await pool.listen("TLS", "127.0.0.1", 0)).local
    raws = [await dial(remote) for _ in range(2)]
    await asyncio.sleep(0.05)
    third = await dial(remote)
    assert await rest(third) == b""
    assert pool.refused == 1
    await above.until(lambda: len(above.ends) == 2)  # the handshake time is over
    here, _ = make(authority.contexts())
    here.flow_to("TLS", remote, "example.org").send(options())
    assert (await above.message())[0] == options()
    for raw in (*raws, third):
        raw[1].close()


async def test_a_peer_that_goes_away_without_goodbye(make: MakeSide, authority: Authority) -> None:
    there, remote = await listening(make, authority.contexts("example.org"))
    _, writer = await asyncio.open_connection(*remote, ssl=strange_client())
    writer.write(options())
    await there.message()
    writer.transport.abort()
    async with asyncio.timeout(PATIENCE):
        _, reason = await there.end()
    assert reason.startswith(("the peer closed it", "connection lost"))


def test_a_websocket_is_asked_for_no_certificate_that_is_optional(authority: Authority) -> None:
    asked = {
        wish: [context.verify_mode for context in (made.server, made.websocket) if context is not None]
        for wish in ("none", "optional", "required")
        if (made := authority.contexts("example.org", client_certificates=wish))
    }
    assert asked == {
        "none": [ssl.CERT_NONE, ssl.CERT_NONE],
        "optional": [ssl.CERT_OPTIONAL, ssl.CERT_NONE],
        "required": [ssl.CERT_REQUIRED, ssl.CERT_REQUIRED],
    }
