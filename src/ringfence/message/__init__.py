"""Bytes to SIP values and back. No state, no I/O."""

from ringfence.message.address import NameAddr, parse_address
from ringfence.message.build import ack_for, cancel_for, response_to
from ringfence.message.errors import LocalError, PeerError, RingfenceError
from ringfence.message.headers import Field, Headers
from ringfence.message.message import Message, Request, Response
from ringfence.message.params import Params, parse_params
from ringfence.message.parser import parse
from ringfence.message.status import reason_phrase
from ringfence.message.uri import OtherUri, SipUri, TelUri, Uri, parse_uri, sip_uri

__all__ = [
    "Field",
    "Headers",
    "LocalError",
    "Message",
    "NameAddr",
    "OtherUri",
    "Params",
    "PeerError",
    "Request",
    "Response",
    "RingfenceError",
    "SipUri",
    "TelUri",
    "Uri",
    "ack_for",
    "cancel_for",
    "parse",
    "parse_address",
    "parse_params",
    "parse_uri",
    "reason_phrase",
    "response_to",
    "sip_uri",
]
