"""Every field of the registry: values that it takes, and values that it refuses with its name."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import Headers, PeerError
from ringfence.message.fields import CANONICAL, REGISTRY
from ringfence.message.fields.text import parse_text
from ringfence.message.grammar import list_parts
from ringfence.message.params import Params
from tests.message.samples import status_of

ADDRESS = (
    ["sip:a@h", "<sip:a@h>", '"A, B" <sips:a@h>;x=y', "<tel:+1>"],
    ["", "a b", "<sip:a@h", "sip:a@h?x=y"],
)
BRACKETED = (["<sip:a@h;lr>", '"A" <sip:a@h>;x'], ["sip:a@h", "", "<>", "<sip:a@h>;;"])
LINK = (["<http://h/p>;purpose=icon", "<sip:a@h>"], ["http://h/p", "", '"A" <http://h>', "<a b>"])
TOKENS = (["a", "x.y", "INVITE"], ["a b", "a;b", '"a"', "é"])
SECONDS = (["0", "4294967295", "0060"], ["", "-1", "1.5", "4294967296", "1 s", "٣", "9" * 70])
VALUED = (["a", "a;b=c;d", 'a ; b = "c;d"'], ["", "a b", ";b=c", "a;b=", "a;;b", "a;b;B"])
STARRED = (["*", '*;audio;+x="<a>";require'], ["", "a", "*a", "*;;"])
PACKAGE = (["presence", "presence.winfo;id=7"], ["", "a b", "presence.", ".x", "a..b"])
DIALOG = (
    ["a@b;to-tag=1;from-tag=2", "<a>;from-tag=2;to-tag=1;early-only"],
    [
        "",
        "a@b",
        "a@b;to-tag=1",
        "a@b;to-tag=1;to-tag=1;from-tag=2",
        "a@b@c;to-tag=1;from-tag=2",
        "a;to-tag;from-tag=2",
    ],
)
TARGET = (["a@b;local-tag=1;remote-tag=2"], ["a@b;to-tag=1;from-tag=2", "a@b;local-tag=1"])
INTERVAL = (
    ["1800", "90;refresher=uac", "90;refresher=UAS;x=y"],
    ["", "x", "-1", "90;refresher=me", "4294967296"],
)
CREDENTIALS = (
    [
        'Digest realm="a", nonce="b,c"',
        "NoOneKnowsThisScheme opaque-data=here",
        "Bearer ab.cd-ef~==",
        "X a = b",
    ],
    [
        "",
        "Digest",
        'Digest realm="a',
        "Digest a=b c=d",
        "Digest a=b, A=c",
        "Digest a=b,,c=d",
        'Digest "a"=b',
        "=a b=c",
    ],
)
AUTH_INFO = (['nextnonce="a", qop=auth'], ["Digest a=b", "a", 'a="', "a=b,a=c"])
TEXT = (["", 'any ;;,, <text> "', "é"], ["\udcff"])

CASES: dict[str, tuple[list[str], list[str]]] = {
    "Accept": (["application/sdp", "text / *;q=0.5", "*/*"], ["text", "/", "a/b/c", "a/b;;"]),
    "Accept-Contact": STARRED,
    "Accept-Encoding": (["gzip;q=1.0", "*"], ["a b", ";q=1"]),
    "Accept-Language": (["da", "en-gb;q=0.8", "*", "zh-Hant-TW"], ["a b", "1x", "toolonglanguage", "-en"]),
    "Accept-Resource-Priority": (["dsn.flash", "wps.0"], ["dsn", "dsn.", ".flash", "a.b.c"]),
    "Alert-Info": LINK,
    "Allow": TOKENS,
    "Allow-Events": TOKENS,
    "Answer-Mode": VALUED,
    "Authentication-Info": AUTH_INFO,
    "Authorization": CREDENTIALS,
    "CSeq": (["1 INVITE", "0009\t INVITE"], ["", "1", "1 a b", "-1 A", "2147483648 A", "1 (A)"]),
    "Call-ID": (["a@b", 'w%ZK-!.*_+\'@word`~)(><:\\/"][?}{', "1"], ["", "a b", "a@b@c", "a,b", "é", "a;b"]),
    "Call-Info": LINK,
    "Contact": (["*", *ADDRESS[0]], ["* x", *ADDRESS[1]]),
    "Content-Disposition": (["session;handling=optional", "x"], ["", "a b", ";handling=x"]),
    "Content-Encoding": TOKENS,
    "Content-ID": (["<a@b>"], ["a@b", "<>", "<a b>", ""]),
    "Content-Language": (["fr", "en-GB"], ["*", "", "a_b"]),
    "Content-Length": (["0", "2147483647", "007"], ["", "-1", "+1", "2147483648", "0x1", "1 1"]),
    "Content-Transfer-Encoding": TOKENS,
    "Content-Type": (["application/sdp", 'multipart/mixed ; boundary="a b"'], ["", "text", "a/b c", "a/b;;"]),
    "Date": (["Sat, 13 Nov 2010 23:29:00 GMT"], ["", "Sat, 13 Nov 2010 23:29:00 EST", "13 Nov 2010 23:29:00 GMT"]),
    "Diversion": ADDRESS,
    "Error-Info": LINK,
    "Event": PACKAGE,
    "Expires": SECONDS,
    "Feature-Caps": STARRED,
    "Flow-Timer": (["1", "120"], ["0", "", "x"]),
    "From": (["<sip:a@h>;tag=x", *ADDRESS[0]], ["<sip:a@h>;tag", '<sip:a@h>;tag="a b"', *ADDRESS[1]]),
    "Geolocation": LINK,
    "Geolocation-Error": (["100;code=x"], ["1000", "", "x"]),
    "Geolocation-Routing": (["yes", "no;x=y"], ["", "a b"]),
    "History-Info": BRACKETED,
    "Identity": (
        ["eyJ.eyJ.sig;info=<https://h/c.cer>;alg=ES256;ppt=shaken", '"abc="', "..sig ;info = <https://h>"],
        ["", "a b", ";info=<https://h>", '"abc', "a;info=<x>;info=<y>", "a;;"],
    ),
    "Identity-Info": LINK,
    "In-Reply-To": (["a@b", "7", '{0"x}@[h], a<b , c"'], ["", "a b", "a@b@c", "a,,b", "a" + ",a" * 512]),
    "Info-Package": VALUED,
    "Join": DIALOG,
    "MIME-Version": (["1.0"], ["1", "", "1.0.0", "a.b"]),
    "Max-Breadth": (["1", "60"], ["0", "-1", ""]),
    "Max-Forwards": (["0", "0068", "255"], ["256", "-1", "", "70 hops"]),
    "Min-Expires": SECONDS,
    "Min-SE": INTERVAL,
    "P-Access-Network-Info": VALUED,
    "P-Answer-State": VALUED,
    "P-Asserted-Identity": ADDRESS,
    "P-Associated-URI": BRACKETED,
    "P-Called-Party-ID": BRACKETED,
    "P-Charge-Info": ADDRESS,
    "P-Charging-Function-Addresses": (["ccf=192.0.2.1; ccf=192.0.2.2", "ecf=[::1]"], ["", "=a", "a b"]),
    "P-Charging-Vector": (
        ["icid-value=1234;icid-generated-at=192.0.6.8", 'icid-value="a;b,c"'],
        ["orig-ioi=a", "", "icid-value", "icid-value=1;icid-value=2"],
    ),
    "P-Early-Media": TOKENS,
    "P-Preferred-Identity": ADDRESS,
    "P-Refused-URI-List": LINK,
    "P-Served-User": BRACKETED,
    "P-User-Database": LINK,
    "P-Visited-Network-ID": (['"other net";x=y', "net"], ["", '"net', "a b"]),
    "Path": BRACKETED,
    "Permission-Missing": ADDRESS,
    "Policy-Contact": LINK,
    "Priority": TOKENS,
    "Priv-Answer-Mode": VALUED,
    "Privacy": (["id", "header;session ; critical", "NONE"], ["", "id;", "a b", "id;;user"]),
    "Proxy-Authenticate": CREDENTIALS,
    "Proxy-Authentication-Info": AUTH_INFO,
    "Proxy-Authorization": CREDENTIALS,
    "Proxy-Require": TOKENS,
    "RAck": (["1 2 INVITE"], ["", "1 INVITE", "0 1 INVITE", "1 -2 INVITE", "1 2 INVITE x"]),
    "RSeq": (["1", "4294967295"], ["0", "", "-1"]),
    "Reason": (['SIP ;cause=200;text="Call completed elsewhere"', "Q.850;cause=16"], ["", "SIP;cause=x", "a b"]),
    "Record-Route": BRACKETED,
    "Recv-Info": VALUED,
    "Refer-Events-At": BRACKETED,
    "Refer-Sub": (["true", "False;x"], ["maybe", "", "true x"]),
    "Refer-To": ADDRESS,
    "Referred-By": ADDRESS,
    "Reject-Contact": STARRED,
    "Replaces": DIALOG,
    "Reply-To": ADDRESS,
    "Request-Disposition": (["proxy", "No-Fork"], ["", "maybe"]),
    "Require": TOKENS,
    "Resource-Priority": (["dsn.flash", "wps.0"], ["", "dsn", "a.b.c"]),
    "Retry-After": (
        ["0", "18000;duration=3600", "120 (I'm in a (long) meeting);x", "5(((\\())()) ;a"],
        ["", "x", "120 (open", "120 (a\\)", "120 (a)(b)", "120 (a))", "1" + "(" * 999, "-5", "4294967296",
         "1;duration=x"],
    ),
    "Route": BRACKETED,
    "SIP-ETag": TOKENS,
    "SIP-If-Match": TOKENS,
    "Security-Client": (["tls;q=0.2", 'digest;d-qop=auth;q=0.001;d-ver="a"'], ["", "tls;q=2", "tls;q=0.1234", "a b"]),
    "Security-Server": (["TLS"], ["tls;q=x"]),
    "Security-Verify": (["ipsec-3gpp;alg=hmac-md5-96;spi-c=1"], ["tls;q=1.5"]),
    "Service-Route": BRACKETED,
    "Session-Expires": INTERVAL,
    "Session-ID": (["0123456789abcdef0123456789abcdef;remote=00"], ["", "0123", "x" * 32]),
    "Subscription-State": (["active;expires=600", "terminated;reason=x"], ["", "a b", "active;expires=x"]),
    "Supported": TOKENS,
    "Suppress-If-Match": (["*", "abc"], ["a b", ""]),
    "Target-Dialog": TARGET,
    "Timestamp": (["54", "54.21 0.5", "54."], ["", "-1", "x", "1 x", ".5"]),
    "To": ADDRESS,
    "Trigger-Consent": (['sip:a@h;target-uri="sip:b@h"'], ["tel:1", "", "<urn:a>"]),
    "Unsupported": TOKENS,
    "User-to-User": (['56a1;encoding=hex', '"x"'], ["", "a b"]),
    "Via": (
        ["SIP/2.0/UDP h", "SIP / 2.0 / tls  [::1] : 5061 ;branch=z9hG4bK1; rport", "SIP/2.0/X h:1;received=::1"],
        ["", "SIP/2.0/UDP", "SIP/2.0/UDP h:0", "SIP/2.0/UDP h:65536", "SIP/2.0 h", "HTTP/1.1/TCP h", "SIP/7.0/UDP h",
         "SIP/2.0/UDP h;;", "SIP/2.0/UDP h;a;A", "SIP/2.0/UDP [::1", "SIP/2.0/UDP 1.2.3", "SIP/2.0/UDPh",
         "SIP/2.0/UDP h p", "SIP/2.0/UDP h;branch="],
    ),
    "WWW-Authenticate": CREDENTIALS,
    "Warning": (['307 isi.edu \t"Session parameter \\"x\\" not understood"', '399 [::1]:5060 ""'],
                ["", "1812 overture \"x\"", "307 isi.edu text", '307 "x"', '30x a "b"']),
}  # fmt: skip
for _name, _field in REGISTRY.items():
    if _field.parse is parse_text:
        CASES[_name] = TEXT
GOOD = [(name, text) for name, (good, _) in CASES.items() for text in good]
BAD = [(name, text) for name, (_, bad) in CASES.items() for text in bad]


def test_every_field_has_its_cases() -> None:
    assert CASES.keys() == REGISTRY.keys()


@pytest.mark.parametrize(("name", "text"), GOOD)
def test_good_values_are_read_and_written_so_that_they_are_read_alike(name: str, text: str) -> None:
    field = REGISTRY[name]
    value = Headers([(name, text)]).first(field)
    assert value is not None
    if type(value) not in {str, tuple, Params, datetime}:  # these are written by who made them
        assert str(field.parse(str(value))) == str(value)


@pytest.mark.parametrize(("name", "text"), BAD)
def test_bad_values_are_refused_with_the_name_of_the_field(name: str, text: str) -> None:
    field = REGISTRY[name]
    if text == "" and field.empty:
        assert Headers([(name, text)]).every(field) == []
        return
    with pytest.raises(PeerError) as caught:
        Headers([(name, text)]).every(field)
    assert (caught.value.status, caught.value.header) == (400, name)


@given(st.sampled_from(sorted(REGISTRY)), st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_is_a_value_or_a_peer_error(name: str, text: str) -> None:
    assert status_of(REGISTRY[name].parse, text) in {0, 400, 414}


@given(st.sampled_from(GOOD), st.integers(0, 60), st.text('";<>,= \t\x00\\@:é', min_size=1, max_size=2))
def test_a_good_value_that_was_broken_is_a_value_or_a_peer_error(
    good: tuple[str, str], at: int, text: str
) -> None:
    name, value = good
    at %= len(value) + 1
    assert status_of(REGISTRY[name].parse, value[:at] + text + value[at:]) in {0, 400, 414}


@pytest.mark.rfc("3261", "7.3.3")
def test_the_compact_forms_are_those_of_the_iana_registry() -> None:
    assert {field.compact: name for name, field in REGISTRY.items() if field.compact} == {
        "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition",
        "e": "Content-Encoding", "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported",
        "l": "Content-Length", "m": "Contact", "n": "Identity-Info", "o": "Event", "r": "Refer-To", "s": "Subject",
        "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires", "y": "Identity",
    }  # fmt: skip
    assert CANONICAL["X"] == "Session-Expires"
    assert CANONICAL["p-dcs-laes"] == "P-DCS-LAES"


def test_lists_are_split_only_where_the_grammar_has_a_list() -> None:
    for name in ("Date", "Subject", "Authorization", "WWW-Authenticate", "User-Agent", "Replaces"):
        assert not REGISTRY[name].many, name
    assert len(list_parts('a;b="c,d", e')) == 2
