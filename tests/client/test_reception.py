"""Requests that belong to no call, right and wrong (RFC 3261 section 8.2)."""

from __future__ import annotations

import pytest

from ringfence.client.desk import ALLOW
from ringfence.message import Response
from tests.client.phones import Phones, address
from tests.client.stranger import Stranger


async def answer_to(phones: Phones, stranger: Stranger, method: str, **more: str) -> Response:
    stranger.begin(method, await phones("bob"), **more)  # type: ignore[arg-type]
    return await stranger.response()


@pytest.mark.rfc("3261", "8.2.1")
@pytest.mark.parametrize(("method", "status"), [("SUBSCRIBE", 405), ("REGISTER", 405), ("FROBNICATE", 501)])
async def test_methods_that_a_phone_does_not_serve(
    phones: Phones, stranger: Stranger, method: str, status: int
) -> None:
    response = await answer_to(phones, stranger, method)
    assert (response.status, response.headers.get("Allow")) == (status, ALLOW)


@pytest.mark.rfc("3261", "12.2.2")
@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "NOTIFY", "PRACK"])
@pytest.mark.parametrize("tag", ["", "gone"])
async def test_calls_that_there_are_not(phones: Phones, stranger: Stranger, method: str, tag: str) -> None:
    assert (await answer_to(phones, stranger, method, to_tag=tag)).status == 481


@pytest.mark.parametrize(("tag", "status"), [("", 603), ("gone", 481)])
async def test_a_transfer_outside_a_call_is_declined(
    phones: Phones, stranger: Stranger, tag: str, status: int
) -> None:
    assert (await answer_to(phones, stranger, "REFER", to_tag=tag)).status == status


@pytest.mark.rfc("3261", "8.2.2.3")
async def test_extensions_that_are_not_known(phones: Phones, stranger: Stranger) -> None:
    response = await answer_to(phones, stranger, "INVITE", headers="Require: 100rel, teleport, timer\n")
    assert (response.status, response.headers.get("Unsupported")) == (420, "teleport")


@pytest.mark.rfc("3261", "8.2.3")
async def test_bodies_that_are_not_understood(phones: Phones, stranger: Stranger) -> None:
    response = await answer_to(phones, stranger, "INVITE", body="<x/>", content_type="application/xml")
    assert response.status == 415
    assert response.headers.get("Accept") == (
        "application/sdp, multipart/alternative, multipart/mixed, multipart/related, "
        "application/pkcs7-mime, multipart/signed, message/sip"
    )


@pytest.mark.rfc("3261", "8.2.3")
async def test_encodings_that_are_not_understood(phones: Phones, stranger: Stranger) -> None:
    response = await answer_to(phones, stranger, "INVITE", body="x", headers="Content-Encoding: gzip\n")
    assert (response.status, response.headers.get("Accept-Encoding")) == (415, "identity")


@pytest.mark.rfc("3261", "20.1")
@pytest.mark.parametrize(
    "accept", ["text/x-nobody", "", "application/sdp;q=0.0, text/plain", "application/xml"]
)
async def test_a_caller_who_takes_no_session_description(
    phones: Phones, stranger: Stranger, accept: str
) -> None:
    response = await answer_to(phones, stranger, "INVITE", body=stranger.sdp(), headers=f"Accept: {accept}\n")
    assert response.status == 406
    assert "399 ringfence" in (response.headers.get("Warning") or "")


@pytest.mark.rfc("3261", "20.1")
@pytest.mark.parametrize("accept", ["Application / SDP", "text/plain, application/*;q=0.1", "*/*"])
async def test_a_caller_who_takes_it_among_others(phones: Phones, stranger: Stranger, accept: str) -> None:
    response = await answer_to(phones, stranger, "INVITE", body=stranger.sdp(), headers=f"Accept: {accept}\n")
    assert response.status == 180


@pytest.mark.rfc("3261", "20.11")
async def test_a_body_that_may_be_ignored_is(phones: Phones, stranger: Stranger) -> None:
    optional = "Content-Disposition: render;handling=optional\n"
    response = await answer_to(
        phones, stranger, "INVITE", body="<x/>", content_type="application/xml", headers=optional
    )
    assert response.status == 180


async def test_a_session_description_in_a_multipart(phones: Phones, stranger: Stranger) -> None:
    body = f"--b\r\nContent-Type: application/sdp\r\n\r\n{stranger.sdp()}\r\n--b--\r\n"
    response = await answer_to(
        phones, stranger, "INVITE", body=body, content_type='multipart/mixed;boundary="b"'
    )
    assert response.status == 180


@pytest.mark.rfc("3261", "8.2.2.2")
async def test_the_same_request_by_two_ways(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp(), branch="one")
    await stranger.response(180)
    stranger.begin("INVITE", bob, body=stranger.sdp(), branch="two")
    await stranger.response(482)


@pytest.mark.rfc("3261", "8.2.2.1")
async def test_somebody_else_is_asked_for(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.dial(bob)
    bob_address = address(bob)
    original = bob.desk.account.aor.user
    assert original == "bob"
    stranger.begin("OPTIONS", Renamed(bob_address.replace("bob@", "eve@")))  # type: ignore[arg-type]
    await stranger.response(404)


class Renamed:
    """An address that the agent does not have."""

    def __init__(self, address: str) -> None:
        self.addresses = [address]


@pytest.mark.rfc("3261", "11.2")
async def test_options(phones: Phones, stranger: Stranger) -> None:
    response = await answer_to(phones, stranger, "OPTIONS")
    assert response.status == 200
    assert response.headers.get("Allow") == ALLOW
    assert "application/sdp" in response.headers.values("Accept")
    assert "100rel" in response.headers.values("Supported")


async def test_a_server_asks_whether_the_device_is_there(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("OPTIONS", Renamed(address(bob).replace("bob@", "")))  # type: ignore[arg-type]
    await stranger.response(200)


@pytest.mark.rfc("3261", "19.1.4")
async def test_an_address_is_the_same_with_escapes(phones: Phones, stranger: Stranger) -> None:
    bob = await phones("bob")
    stranger.begin("OPTIONS", bob, uri=bob.addresses[0].replace("bob@", "%62o%62@"))
    assert (await stranger.response()).status == 200


@pytest.mark.rfc("3261", "7.3.1")
async def test_option_tags_are_the_same_in_any_case(phones: Phones, stranger: Stranger) -> None:
    response = await answer_to(phones, stranger, "OPTIONS", headers="Require: Timer, 100Rel\n")
    assert response.status == 200


@pytest.mark.rfc("3261", "17.2.1")
async def test_an_ack_for_nothing_is_dropped(phones: Phones, stranger: Stranger) -> None:
    stranger.begin("ACK", await phones("bob"), to_tag="gone")
    assert await stranger.silence()


async def test_who_has_a_server_is_called_through_it(phones: Phones, stranger: Stranger) -> None:
    """A request from elsewhere has been checked by nobody."""
    bob = await phones("bob", proxy="sip:127.0.0.2:5999", register=False)
    stranger.begin("OPTIONS", bob)
    await stranger.response(403)


async def test_malformed_headers_are_named(phones: Phones, stranger: Stranger) -> None:
    response = await answer_to(phones, stranger, "INVITE", headers="Replaces: x\n", body=stranger.sdp())
    assert response.status == 400
    assert "Replaces" in response.reason
