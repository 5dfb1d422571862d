"""What both media planes keep of a session, and what they refuse to put through a relay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ringfence.message import Message, sdp
from ringfence.roles.media import Outcome, Party, Rewritten, Silent
from ringfence.roles.media_body import Description, find
from ringfence.roles.media_party import Member
from ringfence.roles.media_streams import needs_ice
from ringfence.transport.flow import Endpoint


@dataclass(slots=True)
class Session:
    """Two parties, and the offer that one of them made last."""

    silent: Silent | None
    members: dict[Party, Member] = field(default_factory=lambda: {party: Member() for party in Party})
    offerer: Party = Party.CALLER
    offer: sdp.Session | None = None
    confirmed: bool = False
    """The call is up: from now on silence ends it."""
    held: bool = False

    def meet(
        self,
        party: Party,
        seen: Endpoint,
        toward: Endpoint | None,
        anonymous: bool,
        token: Callable[[], str],
    ) -> None:
        """Learn where a message of this party came from and where it goes. ``token`` names an anonymous one."""
        member = self.members[party]
        member.place = seen.host
        if anonymous:
            member.hide(token)
        if toward is not None:
            self.members[party.other].place = toward.host

    def offer_of(self, party: Party, message: Message, answer: sdp.Session) -> sdp.Session | Rewritten:
        """The offer that this description of ``party`` answers; or why it answers none (RFC 3264 section 6)."""
        if self.offer is None or self.offerer is party:
            return no_answer(message)
        if len(answer.media) != len(self.offer.media):
            return Rewritten(message.body, Outcome.UNREADABLE, "it has not as many streams as the offer")
        return self.offer


def no_answer(message: Message) -> Rewritten:
    """A description where there was no offer: it stays as it is, and must not pass."""
    return Rewritten(message.body, Outcome.UNREADABLE, "it answers no offer")


def readable(message: Message) -> Description | Rewritten:
    """The description in a message; or the message's own body, with the reason why it stays as it is."""
    found = find(message)
    if isinstance(found, Description) and needs_ice(found.session):
        return Rewritten(
            message.body, Outcome.NEEDS_ICE, "a browser made it: it takes media by ICE and in no other way"
        )
    return found
