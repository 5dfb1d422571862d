"""Edits of header fields, and their typed views."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.message import Headers, LocalError, PeerError
from ringfence.message.fields import CONTACT, CSEQ, EXPIRES, REGISTRY, ROUTE, SUPPORTED, VIA
from tests.message.samples import names, values

V1, V2, V3 = (f"SIP/2.0/UDP h{i};branch=z9hG4bK{i}" for i in (1, 2, 3))


def text(headers: Headers) -> str:
    return " | ".join(f"{name}: {value}" for name, value in headers)


def test_any_spelling_of_a_name_is_taken() -> None:
    headers = Headers([("call-id", "1"), ("x-fOO", "2"), ("NewFangled", "3")])
    assert headers.names == ["Call-ID", "X-Foo", "Newfangled"]
    for name in ("Call-ID", "call-id", "CALL-ID", "i", "cAlL-Id"):
        assert headers.get(name) == "1"
        assert name in headers
        assert headers.all(name) == ["1"]
        assert headers.count(name) == 1
    assert headers.get("NewFangled") == "3"
    assert headers.get("From") is None
    assert "X-Bar" not in headers
    headers.set("x-foo", "4")
    headers.remove("newfangled")
    assert text(headers) == "Call-ID: 1 | X-Foo: 4"


def test_prepend_set_and_remove_keep_the_order() -> None:
    headers = Headers([("From", "f"), ("Via", V1), ("To", "t"), ("Via", V2)])
    headers.prepend("Via", V3)
    assert text(headers) == f"From: f | Via: {V3} | Via: {V1} | To: t | Via: {V2}"
    headers.set("Via", V2)
    assert text(headers) == f"From: f | Via: {V2} | To: t"
    headers.prepend("Route", "<sip:r;lr>")
    headers.set("Expires", 3)
    assert text(headers) == f"Route: <sip:r;lr> | From: f | Via: {V2} | To: t | Expires: 3"
    headers.remove("Via")
    headers.remove("Via")
    assert headers.names == ["Route", "From", "To", "Expires"]


@pytest.mark.rfc("3261", "16.7")
@pytest.mark.parametrize("lines", [[f"{V1} , {V2}", V3], [V1, V2, V3], [f"{V1},{V2},{V3}"]])
def test_the_topmost_value_is_replaced_and_removed_alone(lines: list[str]) -> None:
    headers = Headers([("Via", line) for line in lines])
    assert headers.first(VIA) is not None
    headers.set_top("Via", "SIP/2.0/TCP n")
    assert headers.values("Via") == ["SIP/2.0/TCP n", V2, V3]
    assert [via.host for via in headers.every(VIA)] == ["n", "h2", "h3"]
    headers.remove_top("Via")
    assert headers.values("Via") == [V2, V3]
    assert [via.host for via in headers.every(VIA)] == ["h2", "h3"]
    headers.remove_top("Via")
    headers.remove_top("Via")
    assert "Via" not in headers
    assert headers.first(VIA) is None


def test_remove_line_leaves_the_others_in_place() -> None:
    headers = Headers([("Require", "a"), ("To", "t"), ("Require", "b"), ("Require", "a")])
    headers.remove_line("Require", "a")
    assert text(headers) == "To: t | Require: b"
    headers.remove_line("Require", "x")
    assert len(headers) == 2


def test_a_copy_is_independent() -> None:
    headers = Headers([("Via", V1)])
    via = headers.first(VIA)
    other = headers.copy()
    other.set_top("Via", V2)
    assert headers.first(VIA) is via
    assert headers.get("Via") == V1


def test_a_header_value_cannot_bring_another_header() -> None:
    headers = Headers()
    for bad in ("a\r\nEvil: 1", "a\nb", "a\rb"):
        with pytest.raises(LocalError):
            headers.add("Subject", bad)
    for name in ("a b", "a:b", "", "Subject\r\nEvil"):
        with pytest.raises(LocalError):
            headers.add(name, "x")
    assert len(headers) == 0


def test_typed_values_are_kept_until_the_field_changes() -> None:
    headers = Headers([("Contact", "<sip:a@h>, <sip:b@h>"), ("Expires", "60")])
    assert headers.first(CONTACT) is headers.first(CONTACT)
    assert headers.every(CONTACT) is headers.every(CONTACT)
    assert headers.first(EXPIRES) == 60
    headers.set("Expires", 61)
    headers.add("Contact", "<sip:c@h>")
    assert headers.first(EXPIRES) == 61
    assert len(headers.every(CONTACT)) == 3
    assert headers.first(CSEQ) is None


def test_only_wants_one() -> None:
    headers = Headers([("Expires", "1"), ("Expires", "2"), ("CSeq", "x")])
    for field, reason in ((EXPIRES, "stands more than once"), (ROUTE, "missing")):
        with pytest.raises(PeerError, match=reason) as caught:
            headers.only(field)
        assert caught.value.header == field.name
    with pytest.raises(PeerError) as caught:
        headers.only(CSEQ)
    assert caught.value.header == "CSeq"


@pytest.mark.rfc("3261", "25.1")
def test_a_list_may_be_empty_where_the_grammar_says_so() -> None:
    headers = Headers(
        [("Supported", ""), ("Supported", "path,, timer,"), ("Contact", ""), ("Route", "<sip:r>,,")]
    )
    assert headers.every(SUPPORTED) == ["path", "timer"]
    assert headers.first(SUPPORTED) == "path"
    assert Headers([("Supported", "")]).first(SUPPORTED) is None
    for field in (CONTACT, ROUTE):
        for read in (headers.first, headers.every):
            with pytest.raises(PeerError) as caught:
                read(field)
            assert caught.value.header == field.name


def test_too_many_values_are_refused() -> None:
    for lines in ([("Via", ", ".join([V1] * 600))], [("Via", ", ".join([V1] * 300))] * 2):
        with pytest.raises(PeerError) as caught:
            Headers(lines).every(VIA)
        assert (caught.value.status, caught.value.header) == (400, "Via")


@given(st.lists(st.tuples(names, values), max_size=8), st.data())
def test_edits_do_what_a_plain_list_does(items: list[tuple[str, str]], data: st.DataObject) -> None:
    headers = Headers(items)
    model = list(headers)
    for _ in range(3):
        name, value = data.draw(st.tuples(names | st.sampled_from([n for n, _ in model] or ["X-A"]), values))
        canonical = Headers([(name, "")]).names[0]
        at = [i for i, (key, _) in enumerate(model) if key == canonical]
        match data.draw(st.sampled_from(["add", "set", "remove", "prepend"])):
            case "add":
                headers.add(name, value)
                model.append((canonical, value))
            case "set":
                headers.set(name, value)
                model = [item for i, item in enumerate(model) if i not in at[1:]]
                if at:
                    model[at[0]] = (canonical, value)
                else:
                    model.append((canonical, value))
            case "remove":
                headers.remove(name)
                model = [item for i, item in enumerate(model) if i not in at]
            case _:
                headers.prepend(name, value)
                model.insert(at[0] if at else 0, (canonical, value))
        assert list(headers) == model


@pytest.mark.rfc("3261", "7.3.1")
@pytest.mark.parametrize("end", ["\r\n ", " \r\n\t", "\r\n \r\n "])
def test_a_value_that_ends_in_a_fold_with_nothing_behind_it(end: str) -> None:
    headers = Headers.received(["To", "Route"], [f"To: <sip:a@h>{end}", f"Route:{end}<sip:b;lr>{end}"])
    for name, uri in (("To", "sip:a@h"), ("Route", "sip:b;lr")):
        value = headers.first(REGISTRY[name])
        assert f"<{uri}>" == str(value) == headers.get(name)
        assert headers.every(REGISTRY[name]) == [value]
