"""What is compiled by hand, the scanner of messages and the ports for media, under AddressSanitizer.

The scanner gets the torture messages with random changes, the ports get packets of RTCP and anything else.

``run`` starts it: a copy of the package is compiled with the sanitizer in build/memory, and a child process feeds it.
Python's own allocator is off there, so that a read past the end of any object is seen. The child also holds that the
compiled part and its pure twin agree.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "memory"
FLAGS = ("-fsanitize=address", "-fno-omit-frame-pointer", "-g")


def run(seconds: int) -> bool:
    """Compile, and run a child for so long; whether it found nothing. A machine without the sanitizer passes."""
    library = sanitizer()
    if library is None:
        print("memory: passed over, there is no gcc with AddressSanitizer here")
        return True
    sys.path.insert(0, str(ROOT))
    from hatch_build import LEGS, SCANNER, compile_native

    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(ROOT / "src", WORK / "src", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for module in (SCANNER, LEGS):
        compile_native(WORK, module, *FLAGS)
    environment = os.environ | {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": f"{WORK / 'src'}{os.pathsep}{ROOT}",
    }
    command = [sys.executable, __file__, str(max(1, seconds // 2))]
    return subprocess.run(command, check=False, env=environment, timeout=seconds + 120).returncode == 0


def sanitizer() -> str | None:
    """Where the library of the sanitizer is."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    found = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    ).stdout.strip()
    return found if os.path.isabs(found) else None


def feed(seconds: int) -> None:
    """In the child: change messages at random and read them, compiled and pure."""
    from tests.message.test_scan import both
    from tests.torture.malformed import cases

    from ringfence.message import _scan
    from ringfence.message.message import write_pure
    from ringfence.message.params import plain_params_pure

    assert _scan.__file__.startswith(str(WORK)), _scan.__file__
    seeds = [path.read_bytes() for path in sorted((ROOT / "tests" / "torture").glob("rfc*/*.dat"))]
    seeds += [case.data for case in cases() if len(case.data) < 4096]
    seed = time.time_ns()
    print(f"memory: random seed {seed}", flush=True)
    chance = random.Random(seed)
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = changed(chance.choice(seeds), chance)
        fast, slow = both(data)
        assert fast == slow, data
        text = data[chance.randrange(len(data) + 1) :].decode("utf-8", "surrogateescape")
        for piece in (text, text[text.find(";") :]):
            assert _scan.plain_params(piece) == plain_params_pure(piece), piece
            _scan.after_first(piece)
        lines = text.split("\r\n")
        assert _scan.write("START", lines, data) == write_pure("START", lines, data), lines
        count += 1
    print(f"memory: {count} messages, nothing found")


def flood(seconds: int) -> None:
    """In the child: send packets through two ports that rewrite RTCP, which are closed and opened again meanwhile."""
    from ringfence.transport import _legs
    from ringfence.transport.legs import Screen
    from ringfence.transport.ports import bind_pair
    from ringfence.transport.rtcp import without_names

    assert _legs.__file__.startswith(str(WORK)), _legs.__file__
    chance = random.Random(time.time_ns())
    end, count = time.monotonic() + seconds, 0
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(("127.0.0.1", 0))
    while time.monotonic() < end:
        pair = bind_pair("127.0.0.1")
        place = pair[0].getsockname()
        legs = [_legs.Leg(udp) for udp in pair]
        legs[0].join(legs[1])
        legs[0].expect(sender.getsockname(), frozenset({"127.0.0.1"}))
        legs[1].expect(("127.0.0.1", 9), frozenset({"127.0.0.1"}))
        legs[0].screen(Screen.CLEAR, b"x" * chance.choice((1, 5, 255)))
        for _ in range(chance.randrange(400)):
            data = packet(chance)
            sender.sendto(data, place)
            assert _legs.rewritten(data, b"x1") == without_names(data, b"x1"), data
            count += 1
        for leg in legs:
            assert leg.packets + leg.dropped >= 0
            leg.close()
    print(f"memory: {count} packets, nothing found")


def packet(chance: random.Random) -> bytes:
    """A compound packet, almost right."""
    data = b""
    for _ in range(chance.randrange(1, 5)):
        words = chance.randrange(12)
        kind = chance.choice((200, 201, 202, 202, 202, 203, 204, 206, 210))
        length = words if chance.random() < 0.9 else chance.randrange(1 << 16)
        data += (
            bytes([0x80 | chance.randrange(4), kind])
            + length.to_bytes(2, "big")
            + chance.randbytes(4 * words)
        )
    return data[: chance.choice((len(data), chance.randrange(len(data) + 1)))]


def changed(data: bytes, chance: random.Random) -> bytes:
    """A copy with a few octets replaced, put in, taken out, or all behind a place cut off."""
    text = bytearray(data)
    for _ in range(chance.randrange(6)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(4):
            case 0:
                text[at : at + 1] = bytes([chance.choice(b'\r\n :;,=<>"\\\x00\xff%A0')])
            case 1:
                text[at:at] = bytes([chance.choice(b"\r\n\t :;,=-1")]) * chance.choice((1, 1, 2, 300))
            case 2:
                del text[at : at + chance.choice((1, 2, 40))]
            case _:
                if chance.random() < 0.2:
                    del text[at:]
    return bytes(text)


if __name__ == "__main__":
    feed(int(sys.argv[1]))
    flood(int(sys.argv[1]))
