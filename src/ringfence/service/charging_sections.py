"""The sections about what calls cost and who may spend it. As in `sections`, the docstring below a key is its
documentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from ringfence.ledger.rates import Rate, read_money
from ringfence.service.sections import Section
from ringfence.service.values import Many, Seconds


def _money(text: str) -> str:
    try:
        amount = read_money(text)
    except ValueError:
        amount = -1
    if amount < 0:
        raise PydanticCustomError(
            "money", 'expected an amount in quotes with at most six decimals, such as "0.05"'
        )
    return text


Money = Annotated[str, AfterValidator(_money)]
OptionalMoney = Annotated[str, AfterValidator(lambda text: text and _money(text))]


class ChargingSection(Section):
    """What calls cost, and who grants credit to accounts that are prepaid (`ringfence user limit --prepaid`)."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    """Of all amounts, by ISO 4217."""
    credit: Literal["balance", "diameter"] = "balance"
    """balance: that of `ringfence user credit`. diameter: the servers of [[diameter_server]], by credit control
    (RFC 8506)."""
    quota_seconds: Annotated[float, Field(ge=5, le=3600)] = 60.0
    """A prepaid call is granted so long at a time. Shorter: less is set aside, and asked for more often."""


class RateSection(Section):
    """A price. The longest prefix of a destination decides; a destination that none fits costs nothing, and prepaid
    accounts may not call it if it is a telephone number."""

    prefix: Annotated[str, Field(min_length=1, examples=["tel:+358"])]
    """How the destination begins: "tel:+358", "sip:", "sip:room1@conference.example.org"."""
    per_minute: Annotated[Money, Field(examples=["0.05"])]
    """For a minute."""
    setup: Money = "0"
    """For a call that is answered."""
    step_seconds: Annotated[int, Field(ge=1, le=3600)] = 1
    """Seconds are charged in whole steps of so many."""
    minimum_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """So many are charged at least."""

    def rate(self) -> Rate:
        """The same, as calls are charged."""
        return Rate(
            read_money(self.per_minute), read_money(self.setup), self.step_seconds, self.minimum_seconds
        )


class Fraud(Section):
    """Limits for each account within an hour. An account over one of them is told in the log, in the ledger
    (`ringfence ledger alerts`), in the metrics and to `command`."""

    cost_per_hour: OptionalMoney = ""
    """What its calls may cost, those that go on included; empty: anything. It needs prices."""
    destinations_per_hour: Annotated[int, Field(ge=0, le=100_000)] = 0
    """How many different destinations outside the domain it may call; 0: any number."""
    action: Literal["alert", "refuse", "end"] = "refuse"
    """alert: nothing but tell. refuse: its calls are answered 403 for block_seconds. end: those that go on are ended
    too. `ringfence user unblock` lets it call again."""
    block_seconds: Seconds = 3600.0
    """How long an account is blocked; and how soon the same alert is told again."""
    command: Annotated[Many[str], Field(examples=[("/usr/local/bin/tell-operator",)])] = ()
    """A program with its arguments that is run for each alert, and reads it as JSON from standard input: to send a
    mail, or to call a web hook. It gets 30 seconds."""
