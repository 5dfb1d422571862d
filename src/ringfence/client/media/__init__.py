"""The audio of a call: RTP, RTCP, SRTP, G.711, key presses, and WAV files at both ends."""

from ringfence.client.media.srtp import SUITES, new_crypto
from ringfence.client.media.statistics import Statistics
from ringfence.client.media.stream import AudioStream

__all__ = ["SUITES", "AudioStream", "Statistics", "new_crypto"]
