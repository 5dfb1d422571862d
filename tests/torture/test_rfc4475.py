"""RFC 4475: every message, and what the RFC says must become of it."""

from __future__ import annotations

import hashlib

import pytest

from ringfence.message import OtherUri, PeerError, Request, Response, parse, sip_uri
from ringfence.message.fields import (
    ACCEPT,
    AUTHORIZATION,
    CONTACT,
    CONTENT_TYPE,
    IN_REPLY_TO,
    MAGIC_COOKIE,
    MAX_FORWARDS,
    PROXY_REQUIRE,
    REQUIRE,
    ROUTE,
    SUBJECT,
    VIA,
)
from ringfence.message.multipart import Entity
from tests.torture.judge import judge, load, stored

# Sections 3.1.1.1 to 3.1.1.13, each with the SHA-256 of its file in the archive of appendix A.
VALID = {
    "wsinv": "d6f6cdee99cd0a1f8e3d9a0fdd67c877700e19ab86d8186dada06f61260e3e61",
    "intmeth": "b957a8292c1c0a9851fe94705b90f94320738f43aacde64998e401f742ef688d",
    "esc01": "be3a316d4ce5f69cad474646191e390dd4b50fc8371e44b5197fe1237781973e",
    "escnull": "263fe2ecd12a5ccbb6c67b3174e9211d11da9b600e7d69666a86d2ee42873e90",
    "esc02": "9a9c59449f00327b02071feafc8e5c2a261c98c818044167894cc17809a12199",
    "lwsdisp": "d1b36b6316c12824f6f04bf6b1fd1f021cade9b74871693b9c3474cd9fa7f4e6",
    "longreq": "185739292bc676760e5b1cca77c87705aa570240171c506ad76f8c35af0ecdaa",
    "dblreq": "a6be48426565c2a705389c4ce2ea17e57b891cb13f80490a2cb9392c797b46ef",
    "semiuri": "87bbaed6b4b354dbd3c5c7a20e66686303c63e43a0aa19b89de1ac75231611a2",
    "transports": "33b4553a3b9418121b099ff07882535151edd6a1e81898c63a916aad2cbf90bc",
    "mpart01": "92147c8e24997bac59629e1b163767697d0d6d499af87f89e325d69968bec3ba",
    "unreason": "4f939d6ebf4817eea70f011d3209e83732872ffc20ffd304b244084dc392f4d7",
    "noreason": "07e11e470a69fffa3674de805e5165d1351a9439a91045ee70c9570ea24ab4fe",
}
# Sections 3.1.2.1 to 3.1.2.19: the first fault that is found, and the header field it is in.
INVALID: dict[str, tuple[int, str | None]] = {
    "badinv01": (400, "Via"),
    "clerr": (400, "Content-Length"),
    "ncl": (400, "Content-Length"),
    "scalar02": (400, "CSeq"),
    "scalarlg": (400, "CSeq"),
    "quotbal": (400, "To"),
    "ltgtruri": (400, None),
    "lwsruri": (400, None),
    "lwsstart": (400, None),
    "trws": (400, None),
    "escruri": (400, None),
    "baddate": (400, "Date"),
    "regbadct": (400, "Contact"),
    "badaspec": (400, "To"),
    "baddn": (400, "From"),
    "badvers": (505, None),
    "mismatch01": (400, "CSeq"),
    "mismatch02": (400, "CSeq"),
    "bigcode": (400, None),
    # 3.3.1, 3.3.8, 3.3.9: missing and repeated fields
    "insuf": (400, "From"),
    "multi01": (400, "From"),
    "mcl01": (400, "Content-Length"),
}
# Sections 3.2 to 3.4: well-formed; what an element that does not know something answers is in the tests below.
WELL_FORMED = {
    "badbranch", "unkscm", "novelsc", "unksm2", "bext01", "invut", "regaut01", "bcast", "zeromf", "cparam01",
    "cparam02", "regescrt", "sdp01", "inv2543",
}  # fmt: skip


def request(name: str) -> Request:
    message = parse(load("rfc4475", name))
    assert isinstance(message, Request)
    return message


def test_every_message_of_the_rfc_is_here_and_is_tested() -> None:
    assert len(VALID) + len(INVALID) + len(WELL_FORMED) == 49
    assert stored("rfc4475") == VALID.keys() | INVALID.keys() | WELL_FORMED


@pytest.mark.parametrize("name", VALID)
def test_the_octets_are_those_of_the_archive(name: str) -> None:
    assert hashlib.sha256(load("rfc4475", name)).hexdigest() == VALID[name]


@pytest.mark.rfc("4475", "3.1.1")
@pytest.mark.parametrize("name", [*VALID, *sorted(WELL_FORMED)])
def test_well_formed(name: str) -> None:
    data = load("rfc4475", name)
    judgement = judge(data)
    assert judgement.faults == ()
    assert judgement.message is not None
    written = judgement.message.to_bytes()
    assert data.startswith(written)
    assert len(data) == len(written) or name == "dblreq"


@pytest.mark.rfc("4475", "3.1.2")
@pytest.mark.parametrize("name", INVALID)
def test_malformed(name: str) -> None:
    assert judge(load("rfc4475", name)).faults[0] == INVALID[name]


@pytest.mark.rfc("4475", "3.1.1.1")
def test_wsinv() -> None:
    message = request("wsinv")
    assert [(via.transport, via.host, via.branch) for via in message.headers.every(VIA)] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert message.to.tag == "1918181833n"
    assert message.from_.display == 'J Rosenberg \\"'
    assert message.from_.tag == "98asjd8"
    assert message.headers.first(MAX_FORWARDS) == 68
    assert message.cseq == (9, "INVITE")
    assert message.headers.first(SUBJECT) == ""
    assert message.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert message.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert "unknown-no-value" in message.headers.every(ROUTE)[0].sip.params
    contact = message.headers.every(CONTACT)[0]
    assert str(contact).startswith('"Quoted string \\"\\"" <sip:jdrosen@example.com>')
    assert len(message.body) == 150


@pytest.mark.rfc("4475", "3.1.1.2")
def test_intmeth() -> None:
    message = request("intmeth")
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    target = sip_uri(message.uri)
    assert target.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert target.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert message.via.branch == "z9hG4bK-.!%66*_+`'~"
    assert message.to.display == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.display == "token1~` token2'+_ token3*%!.-"
    assert message.from_.params.get("fromparam''~+*_!.-%") == "работающий"
    assert message.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert message.headers.get("extensionHeader-!.%*+_`'~") == "\ufeff大停電"


@pytest.mark.rfc("4475", "3.1.1.3")
def test_esc01() -> None:
    message = request("esc01")
    # The user part is "sips:user@example.com" at example.net; it is not the address of that user.
    assert (sip_uri(message.uri).user, sip_uri(message.uri).host) == (
        "sips%3Auser%40example.com",
        "example.net",
    )
    assert sip_uri(message.uri).aor == "sip:sips%3Auser%40example.com@example.net"
    assert message.to.sip == sip_uri("sip:user@example.com")
    assert message.from_.sip.user == "I%20have%20spaces"
    contact = message.headers.every(CONTACT)[0]
    assert str(contact) == "<sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>"


@pytest.mark.rfc("4475", "3.1.1.4")
def test_escnull() -> None:
    message = request("escnull")
    # "it must not be truncated at the null"
    assert message.to.sip.aor == "sip:null-%00-null@example.com"
    one, two = message.headers.every(CONTACT)
    assert str(one) != str(two)


@pytest.mark.rfc("4475", "3.1.1.5")
def test_esc02() -> None:
    message = request("esc02")
    assert message.method == "RE%47IST%45R"  # an unknown method, not REGISTER: 501
    assert message.to.display == "%Z%45"
    assert len(message.headers.every(CONTACT)) == 2
    assert message.headers.get("C%6Fntact") == "<sip:alias2@host2.example.com>"


@pytest.mark.rfc("4475", "3.1.1.8")
def test_dblreq() -> None:
    message = request("dblreq")
    assert message.body == b""
    assert b"INVITE" not in message.to_bytes()


@pytest.mark.rfc("4475", "3.1.1.9")
def test_semiuri() -> None:
    target = sip_uri(request("semiuri").uri)
    assert (target.user, target.host, len(target.params)) == ("user;par=u%40example.net", "example.com", 0)
    assert [str(accept) for accept in request("semiuri").headers.every(ACCEPT)][-1] == "message/sipfrag"


@pytest.mark.rfc("4475", "3.1.1.10")
def test_transports() -> None:
    vias = request("transports").headers.every(VIA)
    assert [via.transport for via in vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


@pytest.mark.rfc("4475", "3.1.1.11")
def test_mpart01() -> None:
    message = request("mpart01")
    text, binary = Entity(message.headers, message.body).parts()
    assert text.body == b"Hello"
    assert len(binary.body) == 342
    assert binary.body.count(b"\x00") > 1


@pytest.mark.rfc("4475", "3.1.1.12")
def test_reason_phrases() -> None:
    unusual, empty = parse(load("rfc4475", "unreason")), parse(load("rfc4475", "noreason"))
    assert isinstance(unusual, Response)
    assert isinstance(empty, Response)
    assert unusual.reason == "= 2**3 * 5**2 но сто девяносто девять - простое"
    assert (empty.status, empty.reason) == (100, "")


@pytest.mark.rfc("4475", "3.1.2.4")
def test_scalar02_has_more_than_one_fault() -> None:
    data = load("rfc4475", "scalar02").replace(b"36893488147419103232", b"1")
    assert judge(data).faults == ((400, "Max-Forwards"), (400, "Expires"))


@pytest.mark.rfc("4475", "3.1.2.5")
def test_scalarlg_has_more_than_one_fault() -> None:
    data = load("rfc4475", "scalarlg").replace(b"9292394834772304023312", b"1")
    assert judge(data).faults == ((400, "Retry-After"), (400, "Warning"))


@pytest.mark.rfc("4475", "3.1.2.15")
def test_baddn_without_its_last_line_end_as_in_the_archive() -> None:
    assert judge(load("rfc4475", "baddn")[:-2]).faults == ((400, None),)
    assert judge(load("rfc4475", "baddn")).faults == ((400, "From"), (400, "To"))


@pytest.mark.rfc("4475", "3.1.2.18")
def test_mismatch_still_tells_the_method_for_a_501() -> None:
    with pytest.raises(PeerError) as caught:
        parse(load("rfc4475", "mismatch02"))
    assert isinstance(caught.value.message, Request)
    assert caught.value.message.method == "NEWMETHOD"


@pytest.mark.rfc("4475", "3.2.1")
def test_badbranch() -> None:
    assert request("badbranch").via.branch == MAGIC_COOKIE


@pytest.mark.rfc("4475", "3.3.2")
@pytest.mark.parametrize("name", ["unkscm", "novelsc"])
def test_an_unknown_scheme_is_416(name: str) -> None:
    message = request(name)
    assert isinstance(message.target, OtherUri)
    with pytest.raises(PeerError) as caught:
        sip_uri(message.uri)
    assert caught.value.status == 416


@pytest.mark.rfc("4475", "3.3.4")
def test_unknown_schemes_in_header_fields() -> None:
    message = request("unksm2")
    assert (str(message.to.uri), str(message.from_.uri)) == ("isbn:2983792873", "http://www.example.com")
    with pytest.raises(PeerError) as caught:
        _ = message.to.sip
    assert caught.value.status == 416
    assert str(message.headers.every(CONTACT)[0]) == "<name:John_Smith>"


@pytest.mark.rfc("4475", "3.3.5")
def test_what_420_is_answered_for() -> None:
    headers = request("bext01").headers
    assert headers.every(REQUIRE) == ["nothingSupportsThis", "nothingSupportsThisEither"]
    assert headers.every(PROXY_REQUIRE) == ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"]


@pytest.mark.rfc("4475", "3.3.6")
def test_what_415_is_answered_for() -> None:
    content_type = request("invut").headers.first(CONTENT_TYPE)
    assert content_type is not None
    assert content_type.essence == "application/unknownformat"


@pytest.mark.rfc("4475", "3.3.7")
def test_an_unknown_authorization_scheme() -> None:
    credentials = request("regaut01").headers.first(AUTHORIZATION)
    assert credentials is not None
    assert (credentials.scheme, credentials.params.get("opaque-data")) == ("NoOneKnowsThisScheme", "here")


@pytest.mark.rfc("4475", "3.3.12")
def test_contact_and_uri_parameters_are_told_apart() -> None:
    (header,), (uri,) = (request(name).headers.every(CONTACT) for name in ("cparam01", "cparam02"))
    assert ("unknownparam" in header.params, "unknownparam" in header.sip.params) == (True, False)  # type: ignore[union-attr]
    assert ("unknownparam" in uri.params, "unknownparam" in uri.sip.params) == (False, True)  # type: ignore[union-attr]


@pytest.mark.rfc("4475", "3.3.14")
def test_a_contact_may_have_header_fields_in_its_uri() -> None:
    (contact,) = request("regescrt").headers.every(CONTACT)
    assert contact.sip.header_items() == [("Route", "<sip:sip.example.com>")]  # type: ignore[union-attr]


@pytest.mark.rfc("4475", "3.4.1")
def test_inv2543() -> None:
    message = request("inv2543")
    assert message.via.branch == ""
    assert message.from_.tag is None
    assert message.to.params.get("user") == "phone"
    assert len(message.body) == 105
    assert message.headers.first(IN_REPLY_TO) is None
