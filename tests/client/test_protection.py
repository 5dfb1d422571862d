"""The verdict on a call: who could read, change and hear what."""

from __future__ import annotations

from typing import Any

import pytest

from ringfence.client.protection import NOBODY, NOTHING, Protection, Wish, verdict_on
from ringfence.security.smime_signer import Signer, Speaks
from ringfence.security.tunnel import Compared, Comparison, Line

SIGNER = Signer(None, Speaks.USER, (), ())
SAME = Comparison((Line("From", Compared.SAME, "", ("a",), ("a",)),))
OTHER = Comparison((Line("From", Compared.CHANGED, "differs", ("a",), ("b",)),))
ALL = Wish(sign=True, encrypt=True, tunnel=True)
GCM = "aes-256-gcm"


@pytest.mark.parametrize(
    ("found", "wish", "how", "said"),
    [
        (None, NOTHING, {"every_hop": True, "srtp": True}, ("servers",) * 4),
        (None, NOTHING, {"every_hop": False, "srtp": False}, ("anybody",) * 4),
        (None, NOTHING, {"every_hop": True, "srtp": False}, ("servers", "servers", "servers", "anybody")),
        (
            Protection(signer=SIGNER, intact=True, encrypted=GCM, comparison=SAME),
            ALL,
            {"every_hop": True, "srtp": True},
            ("ends", "nobody", "nobody", "ends"),
        ),
        (
            Protection(signer=SIGNER, intact=True, encrypted=GCM, comparison=OTHER),
            ALL,
            {"every_hop": True, "srtp": True},
            ("ends", "nobody", "servers", "ends"),
        ),
        (
            Protection(signer=SIGNER, intact=True),
            ALL,
            {"every_hop": True, "srtp": True},
            ("servers", "nobody", "servers", "servers"),
        ),
        (
            Protection(signer=SIGNER, intact=True, encrypted=GCM),
            Wish(sign=True),
            {"every_hop": True, "srtp": True},
            ("servers", "nobody", "servers", "servers"),
        ),
        (
            Protection(signer=SIGNER, intact=False),
            Wish(sign=True),
            {"every_hop": True, "srtp": True},
            ("servers", "servers", "servers", "servers"),
        ),
        (
            Protection(encrypted="aes-256-cbc"),
            Wish(encrypt=True),
            {"every_hop": False, "srtp": True},
            ("ends", "anybody", "anybody", "ends"),
        ),
    ],
)
def test_the_weaker_direction_counts(
    found: Protection | None, wish: Wish, how: dict[str, Any], said: tuple[str, ...]
) -> None:
    verdict = verdict_on(found, wish, **how)
    assert len(verdict) == len(said)
    for text, word in zip(verdict, said, strict=True):
        assert text == NOBODY if word == "nobody" else word in text
    assert str(verdict).startswith("read by ")
