"""WAV files in every common form, and recordings on the sender's time line."""

import math
import struct
import wave
from pathlib import Path

import pytest

from ringfence.client.media import wav
from ringfence.message import LocalError


def sine(frequency: float, rate: int, seconds: float = 0.5, level: int = 10_000) -> list[int]:
    return [round(level * math.sin(2 * math.pi * frequency * n / rate)) for n in range(int(rate * seconds))]


def level_of(samples: list[int]) -> float:
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return math.sqrt(2 * sum(sample * sample for sample in middle) / len(middle))


def write(path: Path, frames: bytes, rate: int = 8000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(frames)
    return path


def samples_of(pcm: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(pcm) // 2}h", pcm))


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_the_rate_is_changed_and_speech_is_kept(tmp_path: Path, rate: int) -> None:
    source = sine(1000, rate)
    read = samples_of(wav.read_wav(write(tmp_path / "a.wav", struct.pack(f"<{len(source)}h", *source), rate)))
    assert len(read) == len(source) * 8000 // rate
    expected = sine(1000, 8000)
    assert max(abs(a - b) for a, b in zip(read[500:3500], expected[500:3500], strict=True)) < 10


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_what_the_low_rate_cannot_carry_is_taken_away(rate: int) -> None:
    assert level_of(list(wav.resample(sine(4600, rate), rate))) < 10_000 / 1000  # 60 dB down
    assert level_of(list(wav.resample(sine(3000, rate), rate))) > 9_900


@pytest.mark.parametrize(
    ("width", "frames"),
    [
        (1, bytes([128, 228])),
        (2, struct.pack("<2h", 0, 25_600)),
        (3, b"\x99\0\0" + b"\x99\0\x64"),
        (4, struct.pack("<2i", 9, 25_600 << 16)),
    ],
)
def test_every_width_of_samples(tmp_path: Path, width: int, frames: bytes) -> None:
    assert samples_of(wav.read_wav(write(tmp_path / "a.wav", frames, width=width))) == [0, 25_600]


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", struct.pack("<4h", 100, 300, -32768, -32768), channels=2)
    assert samples_of(wav.read_wav(path)) == [200, -32768]


def test_loud_input_is_clipped_not_wrapped() -> None:
    square = [32767 if n // 20 % 2 else -32768 for n in range(4000)]
    assert max(wav.resample(square, 16_000)) == 32767
    assert len(wav.resample([], 16_000)) == 0


def test_unreadable_files_are_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "short").write_bytes(b"RIFF")
    for name in ("missing", "text", "short"):
        with pytest.raises(LocalError, match=name):
            wav.read_wav(tmp_path / name)


def test_endless_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", bytes(2 * 3601), rate=1)
    with pytest.raises(LocalError, match="lasts over"):
        wav.read_wav(path)


def test_a_tone() -> None:
    assert level_of(samples_of(wav.tone(440, 0.5))) == pytest.approx(0.25 * 32767, rel=0.01)


def recorded(path: Path) -> list[int]:
    with wave.open(str(path), "rb") as file:
        assert file.getparams()[:3] == (1, 2, 8000)
        return samples_of(file.readframes(file.getnframes()))


def test_a_recording_keeps_time(tmp_path: Path) -> None:
    recorder = wav.Recorder(tmp_path / "a.wav")
    for timestamp, samples in ((2**32 - 2, (1, 2)), (3, (3, 4)), (4, (5, 6)), (4, (7,)), (1 << 20, (8,))):
        recorder.write(timestamp, struct.pack(f"<{len(samples)}h", *samples))
    recorder.restart()
    recorder.write(0, struct.pack("<h", 9))
    recorder.close()
    # Three samples lost; then one that overlaps, one that is late, one after a pause that is cut, a new
    # source.
    assert recorded(tmp_path / "a.wav") == [1, 2, 0, 0, 0, 3, 4, 6, 8, 9]
    assert recorder.samples == 10


def test_a_recording_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="missing"):
        wav.Recorder(tmp_path / "missing" / "a.wav")


def test_a_full_disk_is_told_at_the_end() -> None:
    recorder = wav.Recorder("/dev/full")
    for timestamp in range(0, 80_000, 8000):
        recorder.write(timestamp, bytes(16_000))
    with pytest.raises(LocalError, match="not complete"):
        recorder.close()
