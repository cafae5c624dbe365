"""The tables. Each class says what a row of it means."""

from service.database.tables.coordination import (
    Breaker,
    ClockError,
    Heartbeat,
    Lease,
    Pace,
    Process,
    Reads,
    WebhookAnswers,
)
from service.database.tables.inbox import Notice
from service.database.tables.invoices import (
    Customer,
    Document,
    Finding,
    Invoice,
    OldId,
    Receipt,
    Revision,
)
from service.database.tables.metadata import Base
from service.database.tables.operations import (
    Alert,
    AuditEntry,
    LoginAttempt,
    OperatorSession,
    Sample,
)
from service.database.tables.runs import (
    DifferenceRow,
    DocumentCursor,
    Failure,
    InvoicesCursor,
    PageCursor,
    ReconcileCursor,
    Run,
    RunSeen,
    SumsRow,
    Tally,
)
from service.database.tables.suppliers import (
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
    "ClockError",
    "Connection",
    "Customer",
    "DifferenceRow",
    "Document",
    "DocumentCursor",
    "Failure",
    "Finding",
    "Heartbeat",
    "Invoice",
    "InvoicesCursor",
    "Lease",
    "LoginAttempt",
    "Notice",
    "OAuthState",
    "OldId",
    "OperatorSession",
    "Pace",
    "PageCursor",
    "Process",
    "Reads",
    "Receipt",
    "ReconcileCursor",
    "Revision",
    "Run",
    "RunSeen",
    "Sample",
    "SpentLink",
    "SumsRow",
    "Supplier",
    "Tally",
    "WebhookAnswers",
]
