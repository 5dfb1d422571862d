"""Calls from other domains: who is believed, who is refused with which code, and what the callee is told."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ringfence.message import Request
from ringfence.message.multipart import join, make_entity
from ringfence.roles.identity import Refuse
from ringfence.roles.policy import ChallengeMode
from ringfence.security import passport
from ringfence.security.aib import aib_for_request
from ringfence.security.cms_signed import Signatory
from ringfence.security.smime import put_body, signed_body
from tests.conversations.network import WALL, Network
from tests.conversations.phones import SDP, Phone, network_is_quiet
from tests.conversations.strangers import (
    ATLANTA,
    CARRIER,
    EXPIRED,
    ROOT,
    SELF_SIGNED,
    UNKNOWN,
    date_at,
    now_of,
    proved,
    signed,
    verification,
)
from tests.security.pki import issue

BOB = "sip:bob@example.org"
FINGERPRINT = b"a=fingerprint:sha-256 " + b":".join(b"%02X" % n for n in range(32)) + b"\r\n"
SHAKEN = {"attest": "A", "origid": "123e4567-e89b-12d3-a456-426655440000"}


@pytest.fixture
def carol(network: Network) -> Phone:
    """The proxy of another domain, where Carol is."""
    network.services.verification = verification()
    return Phone(network, "carol", "203.0.113.5", "TLS", domain="atlanta.example")


@pytest.fixture
def strict(network: Network, carol: Phone) -> Phone:
    """Carol, calling a domain that takes nobody unproven."""
    network.services.verification = verification(Refuse.UNVERIFIED)
    return carol


def told(phone: Phone) -> str:
    """What Bob's phone is told about the caller."""
    return phone.request.headers.get("Ringfence-Caller") or ""


@pytest.mark.rfc("8224", "6.2")
def test_a_signed_call_arrives_with_its_proof(network: Network, carol: Phone, bob: Phone) -> None:
    carol >> signed(network, carol.invite(BOB)) << 100
    bob << "INVITE"
    assert told(bob) == (
        'verified;evidence="PASSporT signed by atlanta.example";by="example.org"'
        ';who="sip:carol@atlanta.example"'
    )
    assert bob.request.headers.get("P-Asserted-Identity") == (
        "<sip:carol@atlanta.example;verstat=TN-Validation-Passed>"
    )
    assert network.driver.counts["caller signature"] == 1


def test_an_unsigned_call_arrives_marked(carol: Phone, bob: Phone) -> None:
    carol >> carol.invite(BOB) << 100
    bob << "INVITE"
    assert told(bob) == 'unverified;evidence="unsigned";by="example.org"'
    assert "P-Asserted-Identity" not in bob.request.headers


@pytest.mark.rfc("8224", "6.2.2")
def test_an_unsigned_call_is_refused_where_the_rule_says_so(strict: Phone, bob: Phone) -> None:
    strict >> strict.invite(BOB) << 428
    assert strict.response.reason.startswith("Use Identity Header")
    network_is_quiet(strict, bob)


@pytest.mark.rfc("8588", "4")
def test_the_attestation_of_a_number_is_told(network: Network, carol: Phone, bob: Phone) -> None:
    number = "sip:+12155551212@carrier.example;user=phone"
    invite = carol.invite(BOB, from_=f"<{number}>")
    carol >> signed(
        network, invite, CARRIER, "https://carrier.example/shaken.pem", ppt="shaken", extra=SHAKEN
    )
    carol << 100
    bob << "INVITE"
    assert told(bob) == (
        'verified;evidence="shaken A signed by Carrier 709J";by="example.org";who="+12155551212"'
    )
    assert bob.request.headers.get("P-Asserted-Identity") == (
        "<sip:+12155551212;verstat=TN-Validation-Passed@carrier.example;user=phone>"
    )


@pytest.mark.rfc("8224", "8.1")
def test_a_number_in_bare_digits_is_one_when_its_token_says_so(
    network: Network, carol: Phone, bob: Phone
) -> None:
    """Trunks write so; the signer still has to have authority over the number."""
    plain = "<sip:12155551212@carrier.example>"
    invite = number_call(network, carol)
    invite.headers.set("From", f"{plain};tag={carol.tag}")
    carol >> invite << 100
    bob << "INVITE"
    assert told(bob).endswith('who="+12155551212"')
    short = number_call(network, carol, "+5551212")
    short.headers.set("From", f"<sip:5551212@carrier.example>;tag={carol.tag}")
    carol >> short << 438


@pytest.mark.rfc("8224", "8")
@pytest.mark.parametrize(
    "nobody",
    ["sip:anonymous@anonymous.invalid", "sip:Anonymous@198.51.100.1", "sip:unavailable@unknown.invalid"],
)
def test_an_anonymous_caller_is_proven_by_what_it_asserts_and_not_named(
    nobody: str, network: Network, carol: Phone, bob: Phone
) -> None:
    """Carriers sign the P-Asserted-Identity (ATIS-1000074), also of who withholds the number."""
    invite = number_call(network, carol)
    invite.headers.set("From", f"<{nobody}>;tag={carol.tag}")
    invite.headers.add("P-Asserted-Identity", "<sip:+12155551212@carrier.example;user=phone>")
    carol >> invite << 100
    bob << "INVITE"
    assert told(bob) == 'verified;evidence="shaken A signed by Carrier 709J";by="example.org"'
    assert "2155551212" not in str(bob.request.headers.get("P-Asserted-Identity"))


@pytest.mark.parametrize("asserted", ["<sip:+12155551213@carrier.example;user=phone>", "<"])
def test_an_anonymous_caller_is_not_proven_by_the_number_of_another(
    asserted: str, network: Network, carol: Phone
) -> None:
    invite = number_call(network, carol)
    invite.headers.set("From", f"<sip:anonymous@anonymous.invalid>;tag={carol.tag}")
    invite.headers.add("P-Asserted-Identity", asserted)
    carol >> invite << 438


def test_a_name_in_from_is_not_covered_by_what_a_stranger_asserts_beside_it(
    network: Network, carol: Phone
) -> None:
    """A phone would show the bank, and say that it is verified."""
    invite = number_call(network, carol)
    invite.headers.set("From", f'"Your bank" <sip:+12025550100@bank.example;user=phone>;tag={carol.tag}')
    invite.headers.add("P-Asserted-Identity", "<sip:+12155551212@carrier.example;user=phone>")
    carol >> invite << 438


def number_call(network: Network, carol: Phone, number: str = "+12155551212") -> Request:
    """A call of a telephone number, signed by its carrier."""
    invite = carol.invite(BOB, from_=f"<sip:{number}@carrier.example;user=phone>")
    return signed(network, invite, CARRIER, "https://carrier.example/shaken.pem", ppt="shaken", extra=SHAKEN)


# -- what is refused, with the code of RFC 8224 section 6.2.2 -------------------------------------------


def with_other(invite: Request, name: str, value: str) -> Request:
    """The request with a header field that was changed on its way."""
    invite.headers.set(name, value)
    return invite


@pytest.mark.rfc("8224", "6.2.2")
def test_a_forged_from_is_438(network: Network, carol: Phone, bob: Phone) -> None:
    invite = signed(network, carol.invite(BOB))
    carol >> with_other(invite, "From", "<sip:president@atlanta.example>;tag=1") << 438
    assert "origin: signed for sip:carol@atlanta.example" in carol.response.reason
    network_is_quiet(carol, bob)


@pytest.mark.rfc("8224", "6.2.2")
def test_a_domain_can_not_sign_for_another(network: Network, carol: Phone, strict: Phone) -> None:
    invite = carol.invite(BOB, from_="<sip:eve@elsewhere.example>")
    carol >> signed(network, invite, speaks_for="elsewhere.example") << 437
    assert carol.response.reason.startswith("Unsupported Credential (domain: ")


@pytest.mark.rfc("8224", "12.1")
def test_a_replayed_token_is_438(network: Network, carol: Phone, bob: Phone) -> None:
    first = signed(network, carol.invite(BOB))
    carol >> first << 100
    bob << "INVITE"
    eve = Phone(network, "eve", "203.0.113.66", "TLS", domain="atlanta.example")
    stolen = eve.invite(BOB, from_="<sip:carol@atlanta.example>")
    for name in ("Date", "Identity"):
        stolen.headers.add(name, first.headers.get(name) or "")
    eve >> stolen << 438
    assert "replayed: seen before in another call" in eve.response.reason
    network_is_quiet(eve, bob)


@pytest.mark.rfc("8225", "5.2.2")
def test_changed_media_keys_are_438(network: Network, carol: Phone, bob: Phone) -> None:
    invite = signed(network, carol.invite(BOB, body=SDP + FINGERPRINT))
    changed = invite.body.replace(b"00:01", b"FF:01")
    carol >> Request("INVITE", invite.uri, invite.headers, changed) << 438
    assert "media keys" in carol.response.reason
    network_is_quiet(carol, bob)


@pytest.mark.rfc("8224", "6.2.2")
def test_a_redirected_destination_is_438(network: Network, carol: Phone, bob: Phone) -> None:
    invite = signed(network, carol.invite("sip:alice@example.org"))
    invite.uri = BOB
    carol >> with_other(invite, "To", f"<{BOB}>") << 438
    assert "destination: signed for a call to sip:alice@example.org" in carol.response.reason
    network_is_quiet(carol, bob)


@pytest.mark.rfc("8946", "4.2")
def test_a_retargeted_call_without_div_is_refused_where_the_rule_says_so(
    network: Network, carol: Phone, bob: Phone
) -> None:
    network.services.verification = verification(require_diversion=True)
    invite = signed(network, carol.invite("sip:alice@example.org"))
    invite.uri = BOB
    carol >> invite << 438


@pytest.mark.rfc("8224", "6.2.2")
@pytest.mark.parametrize("skew", [-120, 120])
def test_a_stale_token_is_403(skew: int, network: Network, carol: Phone, bob: Phone) -> None:
    carol >> signed(network, carol.invite(BOB), at=now_of(network) + skew) << 403
    assert carol.response.reason.startswith("Stale Date")
    network_is_quiet(carol, bob)


@pytest.mark.rfc("8224", "12.1")
def test_a_fresh_token_does_not_help_an_old_date(network: Network, carol: Phone) -> None:
    invite = signed(network, carol.invite(BOB))
    carol >> with_other(invite, "Date", date_at(now_of(network) - 3600)) << 403


@pytest.mark.rfc("8224", "6.2.2")
@pytest.mark.parametrize(
    ("pair", "url"),
    [
        (SELF_SIGNED, "https://atlanta.example/self.pem"),
        (EXPIRED, "https://atlanta.example/old.pem"),
    ],
)
def test_a_self_signed_or_expired_certificate_is_437(
    pair: Any, url: str, network: Network, strict: Phone, bob: Phone
) -> None:
    strict >> signed(network, strict.invite(BOB), pair, url) << 437
    network.services.verification = verification()
    strict >> signed(network, strict.invite(BOB), pair, url) << 100  # nobody knows that it is wrong: marked
    bob << "INVITE"
    assert told(bob).startswith("unverified;")
    network_is_quiet(strict, bob)


@pytest.mark.rfc("8224", "6.2.2")
def test_the_wrong_key_is_438(network: Network, carol: Phone) -> None:
    carol >> signed(network, carol.invite(BOB), SELF_SIGNED, "https://atlanta.example/cert.pem") << 438
    assert "signature" in carol.response.reason


@pytest.mark.rfc("8224", "6.2.2")
def test_info_that_leads_to_no_certificate_is_436(network: Network, strict: Phone) -> None:
    strict >> strict.invite(BOB, ("Identity", "a.b.c")) << 436
    strict >> signed(network, strict.invite(BOB), url=UNKNOWN) << 436


@pytest.mark.rfc("8224", "6.2")
def test_more_identities_than_anybody_needs_are_400(carol: Phone) -> None:
    carol >> carol.invite(BOB, *[("Identity", "a.b.c;info=<https://x.example/>")] * 9) << 400


@pytest.mark.rfc("8224", "10")
def test_rfc_4474_is_recognised_and_not_trusted(strict: Phone) -> None:
    old = ("Identity", '"CyI4+nAkHrH3ntmaxgr01TMxTmtjP7MASwliNRdupRI1vpkXRvZXx1ja9k=="')
    strict >> strict.invite(BOB, old, ("Identity-Info", "<https://x.example/cert>;alg=rsa-sha1")) << 428
    assert strict.response.reason.startswith("Use Supported PASSporT Format")


@pytest.mark.rfc("8224", "6.2")
def test_one_good_identity_of_several_is_enough(network: Network, strict: Phone, bob: Phone) -> None:
    bad = strict.invite(BOB, ("Identity", f"x.y.z;info=<{UNKNOWN}>;ppt=unheard"))
    strict >> signed(network, bad) << 100
    bob << "INVITE"
    assert told(bob).startswith("verified;")


def test_nothing_is_refused_when_phones_are_only_told(network: Network, carol: Phone, bob: Phone) -> None:
    network.services.verification = verification(Refuse.NOBODY)
    invite = signed(network, carol.invite(BOB))
    carol >> with_other(invite, "From", "<sip:president@atlanta.example>;tag=1") << 100
    bob << "INVITE"
    assert told(bob).startswith('failed;evidence="origin: signed for sip:carol')
    assert "who=" not in told(bob)


# -- other evidence ------------------------------------------------------------------------------------


@pytest.mark.rfc("3261", "26.3.2.2")
def test_a_connection_with_the_domains_certificate_speaks_for_it(network: Network, bob: Phone) -> None:
    network.services.verification = verification(Refuse.UNVERIFIED)
    dave = Phone(network, "dave", "203.0.113.9", "TLS", domain="atlanta.example", peer=proved(ATLANTA))
    dave >> dave.invite(BOB) << 100
    bob << "INVITE"
    assert told(bob) == (
        'verified;evidence="TLS certificate for atlanta.example";by="example.org"'
        ';who="sip:dave@atlanta.example"'
    )
    assert "P-Asserted-Identity" not in bob.request.headers
    dave >> dave.invite(BOB, from_="<sip:x@elsewhere.example>") << 428
    dave >> dave.invite(BOB, from_="<sip:+12155551212@atlanta.example;user=phone>") << 428


@pytest.mark.rfc("5922", "7.3")
def test_a_certificate_that_nobody_has_verified_speaks_for_no_domain(network: Network, bob: Phone) -> None:
    """Such a one is on a connection to a server, where ``[tls] verify_servers`` is off."""
    network.services.verification = verification(Refuse.UNVERIFIED)
    shown = proved(ATLANTA)._replace(verified=False)
    eve = Phone(network, "eve", "203.0.113.9", "TLS", domain="atlanta.example", peer=shown)
    eve >> eve.invite(BOB) << 428
    network_is_quiet(eve, bob)


@pytest.mark.rfc("3893", "7")
def test_a_signed_identity_body_proves_its_sender(network: Network, strict: Phone, bob: Phone) -> None:
    names = [x509.UniformResourceIdentifier("sip:carol@atlanta.example")]
    own = issue("carol@atlanta.example", ROOT, names=names, start=WALL - 86400)
    invite = strict.invite(BOB, ("Date", date_at(now_of(network))))
    signature = signed_body(
        aib_for_request(invite), [Signatory(own.key, own.certificate)], now_of(network), "inner"
    )
    put_body(invite, join([make_entity("application/sdp", SDP), signature], "outer"))
    strict >> invite << 100
    bob << "INVITE"
    assert told(bob).startswith('verified;evidence="identity body signed by carol@atlanta.example, issued by')
    forged = invite.copy()
    forged.headers.set("From", "<sip:president@atlanta.example>;tag=9")
    strict >> strict.again(forged) << 428


# -- marks can't be forged -----------------------------------------------------------------------------


def test_a_stranger_can_not_bring_its_own_mark(carol: Phone, bob: Phone) -> None:
    invite = carol.invite(
        BOB,
        ("Ringfence-Caller", 'verified;evidence="trust me"'),
        ("P-Asserted-Identity", "<sip:president@example.org;verstat=TN-Validation-Passed>"),
        from_="Carol <sip:+1;verstat=TN-Validation-Passed@atlanta.example;user=phone>",
    )
    carol >> invite << 100
    bob << "INVITE"
    assert bob.request.headers.all("Ringfence-Caller") == ['unverified;evidence="unsigned";by="example.org"']
    assert "P-Asserted-Identity" not in bob.request.headers
    assert bob.request.headers.get("From") == f'"Carol" <sip:+1@atlanta.example;user=phone>;tag={carol.tag}'


def test_a_from_without_a_mark_is_left_as_it_came(carol: Phone, bob: Phone) -> None:
    odd = '"C%  arol" <sip:c%41rol@ATLANTA.example ;x=y>'.replace(" ;", ";")
    carol >> carol.invite(BOB, from_=odd) << 100
    bob << "INVITE"
    assert bob.request.headers.get("From") == f"{odd};tag={carol.tag}"


@pytest.mark.rfc("3323", "4.2")
def test_a_verified_caller_who_wants_privacy_is_not_named(network: Network, carol: Phone, bob: Phone) -> None:
    carol >> signed(network, carol.invite(BOB, ("Privacy", "id"))) << 100
    bob << "INVITE"
    assert told(bob).startswith("verified;")
    assert "who=" not in told(bob)
    assert "P-Asserted-Identity" not in bob.request.headers


def test_calls_among_our_own_users_are_not_marked(
    network: Network, carol: Phone, alice: Phone, bob: Phone
) -> None:
    alice >> alice.invite(BOB) << 407 >> alice.ack()
    alice >> alice.authorized() << 100
    bob << "INVITE"
    assert told(bob) == ""


@pytest.mark.rfc("4916", "4.4.2")
def test_an_identity_inside_a_dialog_is_verified(network: Network, carol: Phone, bob: Phone) -> None:
    carol >> signed(network, carol.invite(BOB)) << 100
    bob << "INVITE" >> bob.answer(200)
    carol << 200
    carol.begin()
    carol >> carol.within("ACK")
    bob << "ACK"
    update = carol.within("UPDATE")
    update.headers.set("From", f"<sip:dora@atlanta.example>;tag={carol.tag}")
    carol >> signed(network, update)
    bob << "UPDATE" >> bob.answer(200)
    carol << 200
    forged = carol.within("UPDATE")
    signed(network, forged)
    forged.headers.set("From", f"<sip:president@atlanta.example>;tag={carol.tag}")
    carol >> forged << 438
    carol >> carol.within("UPDATE")
    bob << "UPDATE"


def test_a_token_can_not_write_into_our_answer(network: Network, strict: Phone) -> None:
    """What a token says stands in the reason phrase; a line end in it must not begin a header field."""
    claims = {"orig": {"uri": "sip:a\r\nEvil: yes@x"}, "dest": {"uri": [BOB]}, "iat": int(now_of(network))}
    info = "https://atlanta.example/cert.pem"
    key = ATLANTA.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    token = passport.sign(key, {"alg": "ES256", "typ": "passport", "x5u": info}, claims)
    strict >> strict.invite(BOB, ("Identity", f"{token};info=<{info}>;alg=ES256")) << 437
    assert "signed for sip:a??Evil: yes@x" in strict.response.reason
    assert "Evil" not in strict.response.headers


def test_where_nobody_is_challenged_our_users_are_no_strangers(
    network: Network, strict: Phone, alice: Phone, bob: Phone
) -> None:
    network.policy.challenge = ChallengeMode.NONE
    alice >> alice.invite(BOB) << 100
    bob << "INVITE"
    assert told(bob) == ""
    strict >> strict.invite(BOB) << 428
