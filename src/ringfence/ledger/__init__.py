"""What happened, for billing: events in a signed chain, the records of calls made from them, and who is told of them.

`book` keeps the ledger in a database and `reading` reads it; they are not imported here, since they need SQLAlchemy.
"""

from ringfence.ledger.calls import Calls, Dialog, LiveCall, Side
from ringfence.ledger.chain import Checkpoint, Link
from ringfence.ledger.events import Event, Kind
from ringfence.ledger.keys import Privacy
from ringfence.ledger.memory import MemoryLedger
from ringfence.ledger.port import Ledger
from ringfence.ledger.records import CallRecord, records_of
from ringfence.ledger.verification import Fault, Finding, Report, verify

__all__ = [
    "CallRecord",
    "Calls",
    "Checkpoint",
    "Dialog",
    "Event",
    "Fault",
    "Finding",
    "Kind",
    "Ledger",
    "Link",
    "LiveCall",
    "MemoryLedger",
    "Privacy",
    "Report",
    "Side",
    "records_of",
    "verify",
]
