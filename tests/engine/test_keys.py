"""Which transaction a message belongs to (RFC 3261 sections 17.1.3, 17.2.3, 9.2, 8.2.2.2)."""

from __future__ import annotations

import pytest

from ringfence.engine.keys import acknowledges, merge_key, request_key, response_key, server_key
from tests.conversations.playbook import TCP, Playbook, Up, request, response


@pytest.mark.rfc("3261", "17.1.3")
def test_a_response_matches_by_branch_and_method() -> None:
    invite, cancel = request("INVITE"), request("CANCEL")
    assert response_key(response(invite, 200)) == request_key(invite)
    assert response_key(response(cancel, 200)) == request_key(cancel)
    assert request_key(invite) != request_key(cancel)
    assert request_key(invite) != request_key(request(branch="z9hG4bKb"))


@pytest.mark.rfc("3261", "17.2.3")
def test_a_request_matches_by_branch_sent_by_and_method() -> None:
    key = server_key(request("INVITE"))
    assert server_key(request("INVITE", uri="sip:other@example.net", call_id="other")) == key
    assert server_key(request("ACK", to_tag="t")) == key
    assert server_key(request("INVITE", sent_by="PC33.Example.ORG")) == key
    assert server_key(request("INVITE", branch="z9hG4bKb")) != key
    assert server_key(request("INVITE", sent_by="pc34.example.org")) != key
    assert server_key(request("INVITE", sent_by="pc33.example.org:5070")) != key
    assert server_key(request("CANCEL")) != key
    assert server_key(request("CANCEL"), "INVITE") == key


OLD = ["z9hG4bK", "1", None]
"""Branches that name no transaction; the first is the "badbranch" message of RFC 4475 section 3.2.1."""


@pytest.mark.rfc("3261", "17.2.3")
@pytest.mark.parametrize("branch", OLD)
def test_rfc_2543_requests_match_by_the_whole_of_them(branch: str | None) -> None:
    key = server_key(request("INVITE", branch=branch))
    assert server_key(request("INVITE", branch=branch)) == key
    assert server_key(request("ACK", branch=branch, to_tag="t")) == key
    assert server_key(request("CANCEL", branch=branch), "INVITE") == key
    assert server_key(request("INVITE", branch=branch, uri="sip:other@example.net")) != key
    assert server_key(request("INVITE", branch=branch, call_id="other")) != key
    assert server_key(request("INVITE", branch=branch, cseq=2)) != key
    assert server_key(request("INVITE", branch=branch, from_tag="other")) != key
    assert server_key(request("INVITE", branch=branch, sent_by="other.example.org")) != key
    assert server_key(request("INVITE")) != key


@pytest.mark.rfc("3261", "17.2.3")
@pytest.mark.parametrize("branch", OLD)
def test_rfc_2543_requests_of_other_methods_match_by_the_to_tag_too(branch: str | None) -> None:
    key = server_key(request("BYE", branch=branch, to_tag="t"))
    assert server_key(request("BYE", branch=branch, to_tag="t")) == key
    assert server_key(request("BYE", branch=branch, to_tag="u")) != key


@pytest.mark.rfc("3261", "17.2.3")
def test_an_rfc_2543_ack_is_told_by_the_tag_of_the_response() -> None:
    invite = request("INVITE", branch=None)
    assert acknowledges(request("ACK", branch=None, to_tag="t"), response(invite, 486))
    assert not acknowledges(request("ACK", branch=None, to_tag="u"), response(invite, 486))
    assert acknowledges(request("ACK", to_tag="u"), response(request("INVITE"), 486))


@pytest.mark.rfc("3261", "17.2.3")
def test_an_rfc_2543_call_is_refused_and_acknowledged() -> None:
    play = Playbook()
    play >> request("INVITE", branch=None) << Up("INVITE")
    play >> request("INVITE", branch=None) << 100
    play.answer(486) << 486
    play >> request("ACK", branch=None, to_tag="another") << Up("ACK", stray=True)
    play.wait(0.5) << 486
    play >> request("ACK", branch=None, to_tag="t")
    play.wait(4).silent()


@pytest.mark.rfc("6026", "6")
def test_an_rfc_2543_ack_for_a_2xx_goes_up() -> None:
    play = Playbook(flow=TCP)
    play >> request("INVITE", branch=None) << Up("INVITE")
    play.answer(200) << 200
    play >> request("ACK", branch=None, to_tag="t") << Up("ACK", stray=True)


@pytest.mark.rfc("3261", "8.2.2.2")
def test_merged_requests_share_call_id_from_tag_and_cseq() -> None:
    key = merge_key(request("INVITE"))
    assert key is not None
    assert merge_key(request("INVITE", branch="z9hG4bKb", uri="sip:other@example.net")) == key
    assert merge_key(request("INVITE", cseq=2)) != key
    assert merge_key(request("MESSAGE")) != key
    assert merge_key(request("INVITE", from_tag="other")) != key
    assert merge_key(request("INVITE", to_tag="t")) is None
