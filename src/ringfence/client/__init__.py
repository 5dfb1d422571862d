"""A user agent as a library: register, call with real audio, answer, hold, transfer, write."""

from ringfence.client.account import Account
from ringfence.client.agent import UserAgent
from ringfence.client.call import Call
from ringfence.client.certificates import Smime
from ringfence.client.errors import AgentError, CallError, MessageError, RegistrationError, RequestFailed
from ringfence.client.incoming import IncomingCall
from ringfence.client.ipsec import IpsecSettings
from ringfence.client.outgoing import OutgoingCall
from ringfence.client.peer import Evidence, Peer
from ringfence.client.protection import Protection, Verdict
from ringfence.client.registration import RegistrationState
from ringfence.client.session import Encryption, Media
from ringfence.client.states import CallEvent, CallState, Ending
from ringfence.client.text import Text
from ringfence.security.privacy import Privacy
from ringfence.transport.inquiry import Revocation

__all__ = [
    "Account",
    "AgentError",
    "Call",
    "CallError",
    "CallEvent",
    "CallState",
    "Encryption",
    "Ending",
    "Evidence",
    "IncomingCall",
    "IpsecSettings",
    "Media",
    "MessageError",
    "OutgoingCall",
    "Peer",
    "Privacy",
    "Protection",
    "RegistrationError",
    "RegistrationState",
    "RequestFailed",
    "Revocation",
    "Smime",
    "Text",
    "UserAgent",
    "Verdict",
]
