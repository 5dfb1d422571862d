"""One request on its way through the steps of a role, and what the steps have found out about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ringfence.engine.machine import ServerTransaction
from ringfence.message import NameAddr, Request, SipUri
from ringfence.roles.bodies import Body
from ringfence.roles.callers import Caller
from ringfence.roles.view import View
from ringfence.security.credentials import Credentials
from ringfence.security.digest import Outcome
from ringfence.security.privacy import NOTHING, Wish
from ringfence.security.verification import Verdict
from ringfence.store.records import Account
from ringfence.transport.flow import Flow

if (
    TYPE_CHECKING
):  # no dataclass below has it, so that mypyc, which wants their types at import, can do without
    from ringfence.roles.anchors import RequestMedia
    from ringfence.roles.charges import Charge
    from ringfence.roles.policy import Services


class Trust(StrEnum):
    """What the element that handed us the request is to us (RFC 3324)."""

    STRANGER = "stranger"
    PEER = "peer"
    """Another domain or node whose certificate or address the configuration names."""

    TRUSTED = "trusted peer"
    """A peer whose word on who is calling is believed, too."""


@dataclass(slots=True, init=False)
class Authenticated:
    """A user who has proved an account, and how."""

    account: Account
    evidence: str
    """``digest SHA-256``, ``flow``, ``certificate`` ..."""

    def __init__(self, account: Account, evidence: str) -> None:  # spelt out, so that it is compiled
        self.account = account
        self.evidence = evidence


@dataclass(slots=True, init=False)
class Target:
    """One place to send a request to (RFC 3261 section 16.5).

    ``flow`` is a flow key that wins over the URI. When that flow is gone (after a restart, say) the URI may still
    lead to the phone, unless ``only_flow``: 430 then.
    """

    uri: str
    route: tuple[str, ...] = ()
    flow: str = ""
    only_flow: bool = False
    q: float = 1.0
    tls: bool = False
    """The hop must be TLS although the URI is ``sip``: the phone registered a ``sips`` contact (RFC 5630 5.3)."""

    registered: bool = False
    """A contact of a user of ours, from the location service."""

    fields: tuple[tuple[str, str], ...] = ()
    """Header fields for this target alone, such as a ``div`` (RFC 8946)."""

    inside: bool = False
    """The next hop is the core of our own network, which believes what we say of the caller."""

    privacy: frozenset[str] = NOTHING
    """What the callee there has asked to be kept private of it (RFC 3323 section 4.4)."""

    others: tuple[Target, ...] = ()
    """Further flows to the same phone, each to be tried when the one before is dead (RFC 5626 section 7)."""

    def __init__(
        self,
        uri: str,
        route: tuple[str, ...] = (),
        flow: str = "",
        only_flow: bool = False,
        q: float = 1.0,
        tls: bool = False,
        registered: bool = False,
        fields: tuple[tuple[str, str], ...] = (),
        inside: bool = False,
        privacy: frozenset[str] = NOTHING,
        others: tuple[Target, ...] = (),
    ) -> None:  # spelt out, so that it is compiled
        self.uri = uri
        self.route = route
        self.flow = flow
        self.only_flow = only_flow
        self.q = q
        self.tls = tls
        self.registered = registered
        self.fields = fields
        self.inside = inside
        self.privacy = privacy
        self.others = others


class Findings:
    """What steps have found out; each is set by the step of that name and read by later ones.

    No dataclass: what that makes is not compiled, and every request has one of these.
    """

    peer: Trust = Trust.STRANGER
    peer_name: str = ""
    """The name that the configuration has for the peer; empty for a stranger."""

    role: str = ""
    """What the peer is in our own network: ``edge``, ``core`` or ``outbound``; empty for everybody else."""

    user: Authenticated | None = None
    in_dialog: bool = False
    """The request carries a dialog token of ours: it belongs to a dialog that was set up through us."""

    of_callee: bool = False
    """The request is one of the callee, in a dialog whose token it carries."""

    to_stranger: bool = False
    """Inside a dialog: it goes to somebody who is no user of ours."""

    watched: bool = False
    """Inside a dialog: it may reach somebody whom its sender may not call, so it is found out who sends it."""

    failed: Outcome | None = None
    """What was wrong with credentials that were not right."""

    agreement: str = ""
    """The mechanism that the phone has agreed on with us for this hop (RFC 3329); empty without an agreement."""

    body: Body = Body.NONE
    """How the body is protected end to end, as far as a proxy sees."""

    credentials: Credentials | None = None
    """The credentials that proved ``user``, where it was digest."""

    rspauth: str = ""
    """The proof for the phone that its password is known, where somebody else knows it (``store.authority``)."""

    nextnonce: str = ""
    """The nonce that the phone is to use next, where somebody else makes them."""

    quiet: bool = False
    """What is waited for gives a challenge and nothing else: no 100 is sent meanwhile, so that the challenge can be
    sent once and forgotten. When it is lost, the phone still sends its INVITE again."""

    asserted: tuple[NameAddr, ...] = ()
    """Who calls, on the word of a trusted peer, or of the user itself about its own addresses (RFC 3325)."""

    claimed: tuple[NameAddr, ...] = ()
    """Who calls by a stranger's own word beside an anonymous From: to be compared with its signature, and to be told to
    nobody."""

    passport: Verdict | None = None
    """What the Identity header fields of a request from outside prove (RFC 8224)."""

    unproven: str = ""
    """Values of Resource-Priority that nobody who gives priority has signed, and that stay (RFC 8443)."""

    caller: Caller | None = None
    """Who calls, on what evidence, and who checked it; None for what needs no verdict, such as a BYE."""

    marked: bool = True
    """Whether a phone of ours is told the verdict."""

    for_us: bool = False
    """The Request-URI names a domain of ours, or this node itself."""

    nobody: bool = False
    """The Request-URI is of our domain, and there is no such user."""

    flow: str = ""
    """Key of the flow that a Route of ours named (RFC 5626 section 5.3.1)."""

    view: View | None = None
    """Who is outside in the dialog of the request, where anybody is (``roles.hiding``)."""

    call_id: str = ""
    """The Call-ID behind us, where the sender knows the call by another."""

    private: Wish | None = None
    """What the caller asks for that takes a back-to-back user agent, or has had it (``roles.bridge``)."""

    hides: frozenset[str] = NOTHING
    """What the callee has asked for, once and for all."""

    breadth: int = 0
    """How many branches may exist at a time, here and further down (RFC 5393); 0 before that is known."""


class Call:
    """The context of one request. Steps read the request, add findings and targets, and give a verdict."""

    __slots__ = (
        "charge",
        "findings",
        "flow",
        "media",
        "received_uri",
        "request",
        "services",
        "targets",
        "transaction",
        "uri",
    )

    def __init__(
        self,
        request: Request,
        transaction: ServerTransaction | None,
        flow: Flow,
        services: Services,
        uri: SipUri,
    ) -> None:
        self.request = request
        self.transaction = transaction
        self.flow = flow
        self.services = services
        self.uri = uri
        """The Request-URI, read; a step that changes ``request.uri`` changes this too. A number is read as an
        address of our domain (RFC 3261 section 19.1.6)."""
        self.received_uri = request.uri
        """The Request-URI as received, which digest credentials are computed over."""
        self.findings = Findings()
        self.targets: tuple[Target, ...] = ()
        self.charge: Charge | None = None
        """Whom to tell what becomes of the request, where a bill depends on it."""
        self.media: RequestMedia | None = None
        """What leads its media through our relay; None where they go their own way."""

    @property
    def call_id(self) -> str:
        """The Call-ID by which we know the call."""
        return self.findings.call_id or self.request.call_id

    def retarget(self, uri: SipUri) -> None:
        """Change the Request-URI."""
        self.uri = uri
        self.request.uri = str(uri)
