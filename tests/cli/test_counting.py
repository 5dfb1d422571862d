"""A bar for who looks, nothing for who does not."""

from __future__ import annotations

import pytest

from ringfence.cli.counting import counting


def test_a_file_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("events", 10) as told:
        assert told is None
    assert capsys.readouterr().err == ""


def test_a_terminal_is_told_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes anything for a terminal then
    with counting("events", 10) as told:
        assert told is not None
        told(7)
    assert "7/10" in capsys.readouterr().err
