"""Which transaction a message belongs to: RFC 3261 sections 17.1.3, 17.2.3, 9.2 and 8.2.2.2.

A key is a text of what the RFC compares. A branch that starts with the magic cookie tells transactions apart by itself;
the requests of RFC 2543 elements need the whole comparison of section 17.2.3. A branch that is nothing but the cookie
names no transaction (RFC 4475 section 3.2.1), so it is taken for one of those. Only a branch can hold a space, and it
stands first, so that different values make different texts. One text, not a tuple of four: a lingering transaction is
cold when it ends, and each object that has to be looked at then is a miss of the cache.
"""

from __future__ import annotations

from ringfence.message import Request, Response
from ringfence.message.fields import MAGIC_COOKIE

_COOKIE_SIZE = len(MAGIC_COOKIE)


def request_key(request: Request) -> str:
    """The key of the client transaction that a request makes (RFC 3261 section 17.1.3).

    The method counts, since a CANCEL shares the branch of its INVITE.
    """
    return f"{request.via.branch} {request.method}"


def response_key(response: Response) -> str:
    """The key of the client transaction that a response is for."""
    return f"{response.via.branch} {response.cseq.method}"


def server_key(request: Request, method: str | None = None) -> str:
    """The key of a server transaction, from any of its requests (RFC 3261 section 17.2.3).

    An ACK has the key of its INVITE. ``method`` asks for the transaction of another method on the same branch, as a
    CANCEL needs it (section 9.2).

    Raises:
        PeerError: 400 when a header field that is compared is malformed.
    """
    if method is None:
        method = request.method if request.method != "ACK" else "INVITE"
    via = request.via
    branch = via.branch
    if len(branch) > _COOKIE_SIZE and branch.startswith(MAGIC_COOKIE):
        # sent-by is compared too: "there could be accidental or malicious duplication of branch parameters".
        return f"{branch} {via.host.lower()} {via.port} {method}"
    return _key_2543(request, method)


def _key_2543(request: Request, method: str) -> str:
    """Request-URI, tags, Call-ID, CSeq and top Via, without the parameters that a server adds to a Via.

    For INVITE the To tag is left out: its ACK carries the tag of the response (see ``acknowledges``).
    """
    via = request.via
    to_tag = request.to.tag
    tags = f"{request.from_.tag} {to_tag if method != 'INVITE' else None}"
    dialog = f"{request.uri} {request.call_id} {tags} {request.cseq.number}"
    return f"{via.branch} {dialog} {via.host.lower()} {via.port} {method}"


def acknowledges(ack: Request, response: Response) -> bool:
    """Whether an ACK of an RFC 2543 client is for this response: by the To tag (RFC 3261 section 17.2.3).

    With the magic cookie the branch has told that already.
    """
    branch = ack.via.branch
    if len(branch) > _COOKIE_SIZE and branch.startswith(MAGIC_COOKIE):
        return True
    return ack.to.tag == response.to.tag


def merge_key(request: Request) -> str | None:
    """From tag, Call-ID and CSeq: what a merged request shares with the first one (RFC 3261 section 8.2.2.2).

    None for a request within a dialog, which cannot be merged.
    """
    if request.to.tag is not None:
        return None
    return f"{request.call_id} {request.from_.tag} {request.cseq}"
