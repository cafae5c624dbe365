"""The tables, and what a row of each means."""

from service.store.tables.books import (
    Customer,
    Document,
    Finding,
    Invoice,
    OldId,
    Receipt,
    Revision,
)
from service.store.tables.metadata import Base
from service.store.tables.notices import Notice
from service.store.tables.oversight import (
    Alert,
    AuditEntry,
    LoginAttempt,
    OperatorSession,
    Sample,
)
from service.store.tables.runs import Run, RunSeen
from service.store.tables.sharing import Breaker, Deliveries, Heartbeat, Lease, Pace, Reads
from service.store.tables.suppliers import (
    BrowserSession,
    Connection,
    OAuthState,
    SpentLink,
    Supplier,
)

__all__ = [
    "Alert",
    "AuditEntry",
    "Base",
    "Breaker",
    "BrowserSession",
    "Connection",
    "Customer",
    "Deliveries",
    "Document",
    "Finding",
    "Heartbeat",
    "Invoice",
    "Lease",
    "LoginAttempt",
    "Notice",
    "OAuthState",
    "OldId",
    "OperatorSession",
    "Pace",
    "Reads",
    "Receipt",
    "Revision",
    "Run",
    "RunSeen",
    "Sample",
    "SpentLink",
    "Supplier",
]
