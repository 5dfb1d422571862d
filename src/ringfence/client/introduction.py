"""Getting the certificate of somebody whom nothing is known of yet, by asking them (RFC 3261 section 23.2)."""

from __future__ import annotations

from ringfence.client.desk import Desk
from ringfence.client.protection import Wish
from ringfence.client.secure import CERTIFICATES
from ringfence.message import LocalError, SipUri


async def introduce(desk: Desk, wish: Wish, address: SipUri) -> Wish:
    """Make sure that a message to this address can be protected; ask for its certificate where that is missing.

    Gives the wish, and with it that we sign what we encrypt, if we can: the signature brings our certificate along, and
    without it the answer can't be encrypted to us.

    What comes back is believed as ``client.certificates`` says: on first contact, or when an authority vouches for it.

    Raises:
        LocalError: when something is missing, or its certificate is another one than before.
        RequestFailed: when it can't be asked.
    """
    secure = desk.secure
    if wish.encrypt and secure.certificates.own is not None:
        wish = wish._replace(sign=True)
    if wish.encrypt and secure.lacks(Wish(encrypt=True), address):
        request = desk.request("OPTIONS", address, [("Accept", CERTIFICATES)])
        secure.learn(await desk.exchange(request).run(), address)
    if lacking := secure.lacks(wish, address):
        raise LocalError(lacking)
    return wish
