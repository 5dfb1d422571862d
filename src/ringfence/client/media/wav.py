"""WAV files to the linear audio of a call, and what was heard to a WAV file.

A call has 8000 samples a second, one channel, 16 bits. Files have any rate, channels and width of linear
PCM: channels are averaged, and the rate is changed by a windowed sinc filter that takes away what the lower
rate can't carry.
"""

from __future__ import annotations

import math
import struct
import sys
import wave
from array import array
from collections.abc import Sequence
from itertools import repeat
from operator import mul
from pathlib import Path

from ringfence.message import LocalError

__all__ = ["RATE", "Recorder", "read_wav", "resample", "tone"]

RATE = 8000
"""Samples a second of G.711."""
MAX_SECONDS = 3600
"""Longest file to play: it is held in memory, 16 kB a second."""
MAX_GAP = 10 * RATE
"""Longest silence that a recording fills in for a pause of the sender; a longer one is cut, since a forged timestamp
must not fill the disk."""

_HALF_WIDTH = 12  # zero crossings of the filter at each side; more is steeper and slower
_ROLL_OFF = 0.92  # of the lower Nyquist frequency: the rest is the slope of the filter


def read_wav(path: str | Path) -> bytes:
    """The file as linear audio of a call.

    Raises:
        LocalError: It can't be read, is no linear PCM, or lasts over an hour.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate, count = file.getparams()[:4]
            if not rate or count > MAX_SECONDS * rate:
                raise LocalError(f"{path}: lasts over {MAX_SECONDS} s")
            data = file.readframes(count)
    except (OSError, EOFError, wave.Error) as error:
        raise LocalError(f"{path}: {error or 'cut short'}") from error
    samples = _samples(data, width)
    if channels > 1:
        sums = (samples[channel::channels] for channel in range(channels))
        samples = [sum(sample) // channels for sample in zip(*sums, strict=False)]
    return _pcm(resample(samples, rate, RATE))


def _samples(data: bytes, width: int) -> Sequence[int]:
    """Signed 16-bit samples: the two highest bytes of each; 8-bit ones are unsigned in WAV files."""
    if width == 1:
        return [(octet - 128) << 8 for octet in data]
    if width > 2:
        kept = bytearray(len(data) // width * 2)
        kept[::2] = data[width - 2 :: width]
        kept[1::2] = data[width - 1 :: width]
        data = bytes(kept)
    samples = array("h", data[: len(data) & ~1])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _pcm(samples: Sequence[int]) -> bytes:
    out = array("h", samples)
    if sys.byteorder == "big":
        out.byteswap()
    return out.tobytes()


def resample(samples: Sequence[int], rate: int, to: int = RATE) -> Sequence[int]:
    """The samples at another rate, without what lies above half of the lower rate."""
    if rate == to:
        return samples
    divisor = math.gcd(rate, to)
    up, down = to // divisor, rate // divisor
    cutoff = _ROLL_OFF * min(1.0, to / rate)  # of the Nyquist frequency of the input
    reach = math.ceil(_HALF_WIDTH / cutoff)
    padded = [0] * reach + list(samples) + [0] * (reach + 1)
    # Outputs fall on `up` positions between two inputs, and come back to the first after `up` outputs.
    phases = [
        _taps(number * down % up / up, cutoff, reach)
        for number in range(min(up, len(samples) * up // down + 1))
    ]
    out = []
    for number in range(len(samples) * up // down):
        start = number * down // up + 1
        taps = phases[number % up]
        value = round(sum(map(mul, taps, padded[start : start + len(taps)])))
        out.append(-32768 if value < -32768 else min(value, 32767))
    return out


def _taps(fraction: float, cutoff: float, reach: int) -> list[float]:
    """The filter for an output that lies ``fraction`` after an input: a sinc under a Blackman window."""
    taps = []
    for offset in range(1 - reach, reach + 1):
        x = offset - fraction
        angle = math.pi * x / reach
        window = 0.42 + 0.5 * math.cos(angle) + 0.08 * math.cos(2 * angle)
        sinc = math.sin(math.pi * cutoff * x) / (math.pi * cutoff * x) if x else 1.0
        taps.append(sinc * window)
    total = sum(taps)  # a constant stays what it is
    return list(map(mul, taps, repeat(1 / total)))


def tone(frequency: float, seconds: float, level: float = 0.25) -> bytes:
    """A sine as linear audio; ``level`` is of full scale."""
    step = 2 * math.pi * frequency / RATE
    return _pcm([round(32767 * level * math.sin(step * number)) for number in range(int(RATE * seconds))])


class Recorder:
    """Writes what is heard to a WAV file, in its place on the time line of the sender.

    A disk that fills up stops the recording, not the call: ``close`` tells.
    """

    __slots__ = ("_error", "_file", "_next", "samples")

    def __init__(self, path: str | Path) -> None:
        """Raises LocalError when the file can't be written."""
        self._next: int | None = None  # timestamp that follows what is written
        self._error: OSError | None = None
        self.samples = 0  # written so far
        try:
            self._file = open(path, "wb")  # noqa: SIM115  (closed in close)
        except OSError as error:
            raise LocalError(f"{path}: {error.strerror}") from error
        self._write(self._header())

    def _header(self) -> bytes:
        size = 2 * self.samples
        form = (b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)  # linear PCM, one channel, 16 bits
        return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", *form, b"data", size)

    def write(self, timestamp: int, pcm: bytes) -> None:
        """Put samples at this media time; gaps become silence, what overlaps is cut."""
        if self._next is not None:
            gap = (timestamp - self._next + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
            if 0 < gap <= MAX_GAP:
                pcm = bytes(2 * gap) + pcm
                timestamp -= gap
            elif -MAX_GAP < gap < 0:
                pcm, timestamp = pcm[-2 * gap :], self._next
        self._write(pcm)
        self.samples += len(pcm) // 2
        self._next = timestamp + len(pcm) // 2 & 0xFFFFFFFF

    def _write(self, data: bytes) -> None:
        if self._error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self._error = error

    def restart(self) -> None:
        """The next samples follow those that are written, whatever their timestamp: the source has changed."""
        self._next = None

    def close(self) -> None:
        """Complete the file. Raises LocalError when that fails, as on a full disk."""
        try:
            with self._file:
                self._file.seek(0)
                self._file.write(self._header())
        except OSError as error:
            self._error = self._error or error
        if self._error is not None:
            raise LocalError(f"{self._file.name}: the recording is not complete: {self._error.strerror}")
