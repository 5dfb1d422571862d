"""Time and order: transactions, dialogs, forking, where to send. No I/O, no clock: `now` goes in, effects out."""

from ringfence.engine.dialog import Dialog, DialogId, Refusal
from ringfence.engine.effects import Arm, Deliver, Disarm, Due, Effect, Ended, Failed, Outlet, Send, Waiter
from ringfence.engine.machine import ClientTransaction, ServerTransaction, Transaction
from ringfence.engine.timers import Timer, Timers
from ringfence.engine.transactions import MAX_TRANSACTIONS, Transactions

__all__ = [
    "MAX_TRANSACTIONS",
    "Arm",
    "ClientTransaction",
    "Deliver",
    "Dialog",
    "DialogId",
    "Disarm",
    "Due",
    "Effect",
    "Ended",
    "Failed",
    "Outlet",
    "Refusal",
    "Send",
    "ServerTransaction",
    "Timer",
    "Timers",
    "Transaction",
    "Transactions",
    "Waiter",
]
