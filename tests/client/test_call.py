"""Calls between two agents, with what is heard."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ringfence.client import CallError, CallState, Media
from ringfence.client.media.wav import tone
from ringfence.message import LocalError
from tests.client.phones import Phones, address, event, loudness, pitch
from tests.client.stranger import Stranger


def write_tone(path: Path, frequency: float, seconds: float) -> Path:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(tone(frequency, seconds))
    return path


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_a_tone_arrives_as_the_same_tone(phones: Phones, tmp_path: Path, transport: str) -> None:
    alice = await phones("alice", transport=transport)
    bob = await phones("bob", transport=transport)
    low, high = write_tone(tmp_path / "low.wav", 440, 0.6), write_tone(tmp_path / "high.wav", 1000, 0.6)
    call, theirs = await phones.call(
        alice,
        bob,
        Media(play=low, record=tmp_path / "alice.wav"),
        Media(play=high, record=tmp_path / "bob.wav"),
    )
    assert call.session.played is not None
    assert theirs.session.played is not None
    await asyncio.gather(call.session.played, theirs.session.played)
    await asyncio.sleep(0.1)
    await call.hang_up()
    await theirs.ended
    assert pitch(tmp_path / "bob.wav") == pytest.approx(440, rel=0.02)
    assert pitch(tmp_path / "alice.wav") == pytest.approx(1000, rel=0.02)


@pytest.mark.rfc("3261", "15.1")
async def test_the_caller_hangs_up(phones: Phones) -> None:
    call, theirs = await phones.call(await phones("alice"), await phones("bob"))
    assert (call.state, theirs.state) == (CallState.ANSWERED, CallState.ANSWERED)
    await call.hang_up()
    assert (await call.ended).by == "us"
    assert (await theirs.ended).by == "peer"
    assert (call.state, theirs.state) == (CallState.ENDED, CallState.ENDED)


@pytest.mark.rfc("3261", "15.1")
async def test_the_callee_hangs_up(phones: Phones) -> None:
    call, theirs = await phones.call(await phones("alice"), await phones("bob"))
    await theirs.hang_up()
    assert (await call.ended).by == "peer"
    with pytest.raises(CallError, match="over"):
        await call.hold()


async def test_nothing_is_left_of_a_call(phones: Phones) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    call, _ = await phones.call(alice, bob)
    await call.hang_up()
    assert not alice.desk.calls
    assert not bob.desk.calls


async def test_events_tell_the_story(phones: Phones) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    call, _ = await phones.call(alice, bob)
    await call.hang_up()
    assert [item.kind async for item in call.events()] == ["ringing", "answered", "ended"]


@pytest.mark.rfc("3264", "8.4")
async def test_hold_stops_the_audio_and_resume_brings_it_back(phones: Phones, tmp_path: Path) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    call, theirs = await phones.call(alice, bob)
    await call.hold()
    await event(theirs, "held")
    assert (call.session.holding, theirs.session.held) == (True, True)
    assert call.session.agreed is not None
    assert call.session.agreed.direction == "sendonly"
    theirs.audio.record_to(tmp_path / "held.wav")
    sending = phones.run(call.audio.send_tone(440, 0.2))
    await asyncio.sleep(0.3)
    theirs.audio.record_to(tmp_path / "after.wav")
    assert loudness(tmp_path / "held.wav") == 0
    await call.resume()
    await event(theirs, "resumed")
    await sending
    await asyncio.sleep(0.1)
    await call.hang_up()
    await theirs.ended
    assert pitch(tmp_path / "after.wav") == pytest.approx(440, rel=0.03)


async def test_both_sides_hold_at_one_time(phones: Phones) -> None:
    call, theirs = await phones.call(await phones("alice"), await phones("bob"))
    await call.hold()
    await theirs.hold()
    assert call.session.agreed is not None
    assert call.session.agreed.direction == "inactive"
    await call.resume()
    assert call.session.agreed.direction == "recvonly"
    await theirs.resume()
    assert call.session.agreed.direction == "sendrecv"


@pytest.mark.rfc("3261", "14.1")
async def test_changes_that_collide_are_both_made(phones: Phones) -> None:
    call, theirs = await phones.call(await phones("alice"), await phones("bob"))
    await asyncio.gather(call.hold(), theirs.hold())
    assert (call.session.holding, call.session.held) == (True, True)
    assert (theirs.session.holding, theirs.session.held) == (True, True)


@pytest.mark.rfc("4733", "2")
async def test_keys_are_heard(phones: Phones) -> None:
    call, theirs = await phones.call(await phones("alice"), await phones("bob"))
    await call.send_digits("4#")
    assert (await event(theirs, "key")).facts == {"key": "4"}
    assert (await event(theirs, "key")).facts == {"key": "#"}
    with pytest.raises(LocalError, match="keys"):
        await call.send_digits("x")


async def test_text_within_a_call(phones: Phones) -> None:
    call, theirs = await phones.call(await phones("alice"), await phones("bob"))
    await theirs.send_text("wait a moment")
    assert (await event(call, "text")).facts["text"] == "wait a moment"


async def test_closing_the_agent_hangs_up(phones: Phones) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    call, theirs = await phones.call(alice, bob)
    await alice.close()
    assert call.state is CallState.ENDED
    assert (await theirs.ended).by == "peer"


async def test_a_file_that_cannot_be_played(phones: Phones, tmp_path: Path) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    with pytest.raises(LocalError, match="broken"):
        await alice.call(address(bob), media=Media(play=broken))
    assert not alice.desk.live


async def test_a_recording_that_cannot_be_written_does_not_end_the_call(
    phones: Phones, tmp_path: Path
) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    call, _ = await phones.call(alice, bob, Media(record=tmp_path / "missing" / "x.wav"))
    assert "missing" in str((await event(call, "fault")).facts["reason"])
    assert call.state is CallState.ANSWERED


async def test_closing_the_agents_while_it_rings(phones: Phones) -> None:
    alice, bob = await phones("alice"), await phones("bob")
    call = await alice.call(address(bob))
    theirs = await anext(bob.incoming())
    await bob.close()
    assert theirs.state is CallState.ENDED
    assert (await call.ended).status == 603
    second = await alice.call("sip:nobody@127.0.0.1:9")
    await alice.close()
    assert second.state is CallState.ENDED


async def test_a_peer_that_is_gone_does_not_keep_the_agent(
    phones: Phones, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has our 2xx and sends no ACK, so that a BYE has to wait."""
    monkeypatch.setattr("ringfence.client.agent.GOODBYE_TIME", 0.1)
    bob = await phones("bob")
    stranger.begin("INVITE", bob, body=stranger.sdp())
    call = await anext(bob.incoming())
    answering = asyncio.create_task(call.answer())
    await stranger.response(200)
    await bob.close()
    assert call.state is CallState.ENDED
    answering.cancel()
