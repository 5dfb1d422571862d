"""MIME bodies: what is signed stays byte for byte, what is cut off is refused."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.message import multipart
from ringfence.message.errors import LocalError, PeerError
from ringfence.message.headers import Headers
from ringfence.message.media_type import Disposition, MediaType, parse_disposition, parse_media_type
from ringfence.message.multipart import Entity, join, make_entity, split, split_entity

# RFC 2046 section 5.1.1, with CRLF line ends.
SIMPLE = b"""\
This is the preamble.  It is to be ignored, though it
is a handy place for composition agents to include an
explanatory note to non-MIME conformant readers.

--simple boundary

This is implicitly typed plain US-ASCII text.
It does NOT end with a linebreak.
--simple boundary
Content-type: text/plain; charset=us-ascii

This is explicitly typed plain US-ASCII text.
It DOES end with a linebreak.

--simple boundary--

This is the epilogue.  It is also to be ignored.
""".replace(b"\n", b"\r\n")


def body(content_type: str, data: bytes, *fields: tuple[str, str]) -> Entity:
    return Entity(Headers([("Content-Type", content_type), *fields]), data)


@pytest.mark.rfc("2046", "5.1.1")
def test_the_example_of_the_rfc() -> None:
    entity = body('multipart/mixed; boundary="simple boundary"', SIMPLE)
    implicit, explicit = entity.parts()
    assert implicit.media_type.essence == "text/plain"
    assert implicit.body.endswith(b"It does NOT end with a linebreak.")
    assert explicit.media_type.params.get("charset") == "us-ascii"
    assert explicit.body.endswith(b"It DOES end with a linebreak.\r\n")
    assert explicit.raw.startswith(b"Content-type: text/plain")


@pytest.mark.rfc("1847", "2.1")
def test_the_signed_bytes_are_kept_exactly() -> None:
    signed = b"Content-Type:  message/sip\r\nX-Folded: a\r\n  b\r\n\r\nINVITE \x00\xff\r\n--42\r\nnot a delimiter\r\n"
    data = (
        b"--42-b\t \r\n"
        + signed
        + b"\r\n--42-b\r\nContent-Type: application/pkcs7-signature\r\n\r\n\x30\x82\r\n--42-b--"
    )
    covered, signature = body("multipart/signed;protocol=x;boundary=42-b", data).parts()
    assert covered.raw == signed
    assert covered.headers.get("X-Folded") == "a b"
    assert covered.body == b"INVITE \x00\xff\r\n--42\r\nnot a delimiter\r\n"
    assert signature.body == b"\x30\x82"


@pytest.mark.rfc("2046", "5.1")
@pytest.mark.parametrize(
    ("raw", "fields", "content"),
    [
        (b"", 0, b""),
        (b"\r\n", 0, b""),
        (b"\r\nContent-Type: text/html", 0, b"Content-Type: text/html"),
        (b"Content-Type: text/html", 1, b""),
        (b"Content-Type: text/html\r\n", 1, b""),
        (b"Content-Type: text/html\r\n\r\n", 1, b""),
        (b"a:1\r\nb:2\r\n\r\n\r\n", 2, b"\r\n"),
    ],
)
def test_a_part_may_lack_fields_or_body(raw: bytes, fields: int, content: bytes) -> None:
    entity = split_entity(raw)
    assert (len(entity.headers), entity.body, entity.raw) == (fields, content, raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"no colon\r\n\r\n",
        b" folded: first\r\n\r\n",
        b"bad name: x\r\n\r\n",
        b"a: \x00\r\n\r\n",
        b"a: b\rc: d\r\n\r\n",
        b"a: b\nc: d\r\n\r\n",
        b"a:" + b"b" * multipart.MAX_HEAD + b"\r\n\r\n",
        b"a:b\r\n" * (multipart.MAX_FIELDS + 1) + b"\r\n",
    ],
)
def test_a_part_with_bad_fields_is_refused(raw: bytes) -> None:
    with pytest.raises(PeerError):
        split_entity(raw)


@pytest.mark.rfc("2046", "5.1.1")
@pytest.mark.parametrize(
    ("data", "spans"),
    [
        (b"--b\r\n\r\nx\r\n--b--", [b"\r\nx"]),
        (b"--b\r\n\r\n--b--", [b""]),
        (
            b"--bX\r\n--b\r\n\r\nx\r\n--bX\r\n--b-\r\n--b-- \r\nepilogue\r\n--b\r\n",
            [b"\r\nx\r\n--bX\r\n--b-"],
        ),
        (b"pre\r\n--b\r\nx\r\n--b \t\r\ny\r\n--b--\r\n", [b"x", b"y"]),
        (b"--b\r\n\r\nx\r\n--b--z\r\n--b--", [b"\r\nx\r\n--b--z"]),
    ],
)
def test_delimiters(data: bytes, spans: list[bytes]) -> None:
    assert split(data, "b") == spans


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"--b",
        b"--b--",
        b"--b\r\n",
        b"--b\r\nx",
        b"--b\r\nx\r\n--b\r\n",
        b"--b\n\nx\n--b--\n",
        b"x--b\r\n\r\nx\r\n--b--",
    ],
)
def test_a_body_without_a_part_or_an_end_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        split(data, "b")


@pytest.mark.rfc("2046", "5.1.1")
@pytest.mark.parametrize("boundary", ["", "x" * 71, "a b ", "a;b", "é"])
def test_a_malformed_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(PeerError):
        body(f'multipart/mixed; boundary="{boundary}"', b"").parts()
    with pytest.raises((LocalError, UnicodeEncodeError)):
        join([make_entity("text/plain", b"x")], boundary)


def test_a_multipart_needs_a_boundary_and_nothing_else_has_parts() -> None:
    with pytest.raises(PeerError, match="boundary"):
        body("multipart/mixed", b"").parts()
    assert body("text/plain", b"x").parts() == []


@pytest.mark.rfc("2046", "5.1.1")
@pytest.mark.parametrize("boundary", ["x", "x" * 70, "gc0pJq0M:08jU534c0p", "'()+_,-./:=? x"])
def test_what_is_joined_is_split_again(boundary: str) -> None:
    parts = [
        make_entity("text/plain", b"\x00\r\n"),
        make_entity("application/sdp", b"", ("Content-ID", "<a@b>")),
    ]
    whole = join(parts, boundary, "related")
    assert [part.raw for part in whole.parts()] == [part.raw for part in parts]
    assert whole.media_type.params.get("boundary") == boundary
    assert whole.parts()[1].headers.get("Content-ID") == "<a@b>"
    assert split_entity(whole.raw).parts()[0].raw == parts[0].raw


def test_a_boundary_that_is_in_a_part_is_our_fault() -> None:
    with pytest.raises(LocalError):
        join([make_entity("text/plain", b"x\r\n--b1")], "b")
    with pytest.raises(LocalError):
        join([], "b")


def nested(depth: int) -> Entity:
    entity = make_entity("text/plain", b"deep")
    for level in range(depth):
        entity = join([entity], f"level{level}-")
    return Entity(entity.headers, entity.body)


@pytest.mark.rfc("5621", "4.2")
def test_parts_nest_to_a_limit() -> None:
    assert [leaf.body for leaf in nested(multipart.MAX_DEPTH).leaves()] == [b"deep"]
    with pytest.raises(PeerError, match="nest deeper"):
        list(nested(multipart.MAX_DEPTH + 1).leaves())
    with pytest.raises(PeerError, match="nest deeper"):
        nested(multipart.MAX_DEPTH + 1).find("application/sdp")


def test_the_number_of_parts_is_limited() -> None:
    many = b"--b\r\n\r\nx\r\n" * (multipart.MAX_PARTS + 1) + b"--b--"
    with pytest.raises(PeerError, match="more than"):
        split(many, "b")
    few = [join([make_entity("text/plain", b"x")] * 40, "in")] * 2
    with pytest.raises(PeerError, match="more than"):
        list(join(few, "out").leaves())


SDP, XML = make_entity("application/sdp", b"v=0"), make_entity("application/pidf+xml", b"<x/>")


@pytest.mark.rfc("5621", "6.1")
def test_finding_the_part_to_act_on() -> None:
    first, last = make_entity("application/sdp", b"1"), make_entity("application/sdp", b"2")
    for subtype, expected in [("mixed", b"1"), ("x-unknown", b"1"), ("alternative", b"2")]:
        found = join([XML, join([first, last], "in", subtype)], "out").find("application/sdp")
        assert found is not None
        assert found.body == expected
    assert body("Application/SDP;x=y", b"v=0").find("application/sdp") is not None
    assert XML.find("application/sdp") is None


@pytest.mark.rfc("2045", "6")
@pytest.mark.parametrize(
    ("encoding", "data", "content"),
    [
        ("binary", b"\x00\xff", b"\x00\xff"),
        ("8BIT", b"\xff", b"\xff"),
        ("base64", b"AAH/\r\n AA==\r\n", b"\x00\x01\xff\x00"),
        ("Quoted-Printable", b"a=3D=\r\nb =E9", b"a=b \xe9"),
    ],
)
def test_transfer_encodings(encoding: str, data: bytes, content: bytes) -> None:
    assert make_entity("text/plain", data, ("Content-Transfer-Encoding", encoding)).content() == content


@pytest.mark.parametrize(("encoding", "status"), [("base64", 400), ("x-uuencode", 415)])
def test_what_is_not_in_its_encoding_is_refused(encoding: str, status: int) -> None:
    with pytest.raises(PeerError) as caught:
        make_entity("text/plain", b"A!", ("Content-Transfer-Encoding", encoding)).content()
    assert caught.value.status == status
    assert caught.value.header == "Content-Transfer-Encoding"


@pytest.mark.rfc("3261", "20.11")
def test_dispositions_and_their_defaults() -> None:
    assert SDP.disposition == Disposition("session")
    assert XML.disposition == Disposition("render")
    told = make_entity(
        "text/xml", b"", ("Content-Disposition", "Recipient-List; handling=Optional")
    ).disposition
    assert (told.type, told.optional) == ("recipient-list", True)
    assert not parse_disposition("session").optional


@pytest.mark.rfc("3261", "20.15")
def test_media_types() -> None:
    read = parse_media_type(
        'Multipart / Signed;protocol="application/pkcs7-signature"; micalg=sha-256;boundary=42'
    )
    assert read.essence == "multipart/signed"
    assert read.params.get("protocol") == "application/pkcs7-signature"
    assert parse_media_type(str(read)) == read
    assert parse_media_type("text/plain") == MediaType("text", "plain")
    for text in ("", "text", "text/", "/plain", "te xt/plain", "text/plain x=y", "text/plain;=y"):
        with pytest.raises(PeerError) as caught:
            parse_media_type(text)
        assert caught.value.header == "Content-Type"
    with pytest.raises(PeerError):
        parse_disposition(";handling=required")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=4))
def test_any_binary_parts_survive(contents: list[bytes]) -> None:
    parts = [make_entity("application/octet-stream", content) for content in contents]
    assert [part.body for part in join(parts, "a-long-boundary").parts()] == contents


pieces = st.sampled_from(
    [b"--b", b"--", b"\r\n", b"\r\n\r\n", b" ", b"a: b", b"Content-Type: multipart/x;boundary=b", b"x"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces | st.binary(max_size=4), max_size=25).map(b"".join))
def test_anything_gives_parts_or_a_peer_error(data: bytes) -> None:
    try:
        leaves = list(body("multipart/mixed;boundary=b", data).leaves())
    except PeerError:
        return
    assert all(leaf.raw in data for leaf in leaves)


def test_time_is_linear_in_the_size() -> None:
    for unit in (b"\r\n--b", b"--b", b"\r\n--b" + b" " * 50, b"\r\n--b--x"):
        begin = time.perf_counter()
        with pytest.raises(PeerError):
            split(b"--b\r\n" + unit * (1_000_000 // len(unit)), "b")
        assert time.perf_counter() - begin < 1.0
