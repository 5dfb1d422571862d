"""Credentials that were recorded are good for nothing at another node, or after a restart."""

from __future__ import annotations

import pytest

from ringfence.security.nonces import Freshness, Nonces
from ringfence.service.wiring import nonce_key

SECRET = bytes(range(32))
FLOW = "UDP,192.0.2.1:5060"


@pytest.mark.rfc("7616", "3.4")
def test_a_nonce_is_taken_only_by_the_process_that_made_it_and_counts_its_uses() -> None:
    one, other = (Nonces(nonce_key(SECRET)) for _ in range(2))
    nonce = one.make(1000.0, FLOW)
    assert one.check(nonce, 1001.0, FLOW) is Freshness.FRESH
    assert other.check(nonce, 1001.0, FLOW) is Freshness.FORGED
