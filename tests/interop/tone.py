"""Sounds that can be told apart: sine tones in WAV files, and how much of a tone is in a recording."""

from __future__ import annotations

import array
import math
import wave
from pathlib import Path

RATE = 8000
WINDOW = 800
"""Samples that are judged at a time: 0.1 s, which tells tones apart that differ by 10 Hz or more."""

CLEAR = 0.5
"""Share of the energy of a window that has to be at the tone. G.711 keeps more than 0.95 of it; another tone,
noise or silence has less than 0.05."""

AUDIBLE = 1000.0
"""Mean amplitude under which a window is silence."""


def write_tone(path: Path, hertz: float, seconds: float = 30.0) -> Path:
    """Write 16-bit mono samples of a sine at half of full scale."""
    count = int(RATE * seconds)
    samples = array.array("h", (int(16000 * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(count)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def seconds_of_tone(path: Path, hertz: float) -> float:
    """How long the tone is heard in a recording of 16-bit mono at 8 kHz."""
    samples = array.array("h", _samples(path))
    windows = (samples[start : start + WINDOW] for start in range(0, len(samples) - WINDOW + 1, WINDOW))
    return sum(_has_tone(window, hertz) for window in windows) * WINDOW / RATE


def _samples(path: Path) -> bytes:
    """What follows the header. A program that still records, or was ended, leaves wrong lengths there."""
    data = path.read_bytes()
    start = data.find(b"data") + 8
    return data[start : start + (len(data) - start) // 2 * 2] if start >= 8 else b""


def _has_tone(window: array.array[int], hertz: float) -> bool:
    energy = sum(sample * sample for sample in window)
    if energy < AUDIBLE**2 * len(window):
        return False
    return _power(window, hertz) / (energy * len(window) / 2) > CLEAR


def _power(window: array.array[int], hertz: float) -> float:
    """Goertzel's algorithm: the squared magnitude at one frequency."""
    turn = 2 * math.cos(2 * math.pi * hertz / RATE)
    before = last = 0.0
    for sample in window:
        before, last = last, sample + turn * last - before
    return before * before + last * last - turn * before * last
