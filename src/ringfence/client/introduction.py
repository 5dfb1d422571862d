"""Getting the certificate of somebody whom nothing is known of yet: from their domain, or by asking them.

The certificate service of their domain (RFC 6072) is asked first, through our own server: it answers when they are not
there, too. Where it has none, they are asked themselves (RFC 3261 section 23.2).
"""

from __future__ import annotations

import asyncio

from ringfence.client.desk import Desk
from ringfence.client.errors import RequestFailed
from ringfence.client.protection import Wish
from ringfence.client.secure import CERTIFICATES
from ringfence.engine.routing import is_sips
from ringfence.message import LocalError, Request, SipUri
from ringfence.transport.flow import Flow


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
    if wish.encrypt:
        await desk.status.look_after(address)
    if wish.encrypt and secure.lacks(Wish(encrypt=True), address):
        await ask_domain(desk, address)
    if wish.encrypt and secure.lacks(Wish(encrypt=True), address):
        request = desk.request("OPTIONS", address, [("Accept", CERTIFICATES)])
        secure.learn(await desk.exchange(request).run(), address)
    if lacking := secure.lacks(wish, address):
        raise LocalError(lacking)
    return wish


NOTIFY_TIME = 4.0
"""Seconds that a NOTIFY may take after its SUBSCRIBE was accepted; it is sent at once (RFC 6072 section 6.7)."""


async def ask_domain(desk: Desk, address: SipUri) -> bool:
    """Ask the certificate service of a domain; gives whether a certificate came and is believed.

    It comes through our own server, which has checked who it is from, or it is passed over. By TLS or IPsec that makes
    it good for a first contact; else an authority has to stand behind it (RFC 6072 section 10.3).

    Raises:
        LocalError: when it is another one than before, and nobody vouches for it.
    """
    if desk.line.home is None:
        return False
    headers = [("Event", "certificate"), ("Accept", "application/pkix-cert"), ("Expires", "0")]
    request = desk.request("SUBSCRIBE", address, headers)
    told: asyncio.Future[tuple[Request, Flow]] = asyncio.get_running_loop().create_future()
    key = request.call_id, request.from_.tag or ""
    desk.subscriptions[key] = told

    def prepare(request: Request, flow: Flow) -> None:
        request.headers.set("Contact", desk.contact(flow, secure=is_sips(request)))

    try:
        response = await desk.exchange(request, prepare=prepare).run()
        if response.status // 100 != 2:
            return False
        async with asyncio.timeout(NOTIFY_TIME):
            notify, flow = await told
    except (RequestFailed, TimeoutError):
        return False  # there are other ways to get it
    finally:
        del desk.subscriptions[key]
    same = isinstance(notify.from_.uri, SipUri) and notify.from_.uri.aor == address.aor
    if not same or not notify.body:
        return False
    return desk.secure.take(notify.body, address, sure=flow.secure or flow.local in desk.line.protected)
