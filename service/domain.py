"""The words for what can be so: of a connection, a notice, a run, an invoice, a finding.

They stand in the database, in Infactor's documents and in what programs read, so a value never
changes. Everybody may import this; it imports nothing of ours.
"""

from enum import StrEnum


class ConnectionState(StrEnum):
    """Whether a company's authorisation is in use."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


class NoticeStatus(StrEnum):
    """How far a notice has come, in the order of its life."""

    PENDING = "pending"
    DONE = "done"
    PARKED = "parked"
    IGNORED = "ignored"


class OwnNotice(StrEnum):
    """Why we sent ourselves a notice: its operation."""

    SYNC = "sync"
    RESUMED = "resumed"
    RENEWED = "renewed"
    UNRECORDED = "unrecorded"
    UNREADABLE = "unreadable"


class RunKind(StrEnum):
    """What a run does with a company's invoices."""

    BACKFILL = "backfill"
    RECONCILE = "reconcile"
    WITHDRAWAL = "withdrawal"


class RunState(StrEnum):
    """How far a run has come; one that waits for an operator is active."""

    ACTIVE = "active"
    DONE = "done"
    FAILED = "failed"


class RunCause(StrEnum):
    """Why a run was begun."""

    CONNECT = "connect"
    RECONNECT = "reconnect"
    COMMAND = "command"
    DAILY = "daily"
    DOWNTIME = "downtime"
    NOTICE = "notice"


class RevisionCause(StrEnum):
    """Why an invoice was read, and written anew."""

    NOTICE = "notice"
    PAYMENT = "payment"
    BACKFILL = "backfill"
    RECONCILE = "reconcile"
    COMMAND = "command"
    REHEARSAL = "rehearsal"  # what a dry run would do; nothing of it is kept


class Severity(StrEnum):
    """How soon somebody should look, the soonest first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class DifferenceKind(StrEnum):
    """How an invoice that a reconcile has compared differs from its record."""

    # In QuickBooks.
    DELETED_HERE = "deleted here"
    OUTDATED = "outdated"
    AMOUNTS = "amounts"
    DELETED_THERE = "deleted there"
    NOT_SHOWN = "not shown"  # and something could not be shown: it is deleted there, or just that
    UNREADABLE = "unreadable"
    # In either.
    MISSING = "missing"  # in Infactor: and nobody has decided, so that it can be made again
    AHEAD = "ahead"
    # In Infactor.
    DELETED = "deleted"  # and somebody had decided: it is never made again
    DOUBLED = "doubled"
    EDITED = "edited by hand"
    BEHIND = "behind"
    NOT_COMPARED = "could not be compared"


class FindingKind(StrEnum):
    """What a finding says of an invoice's document."""

    CHANGED = "changed"  # in QuickBooks, since somebody has decided
    MOVED_ON = "moved_on"  # though it was held back
    HURRIED = "hurried"  # its amounts were written over just before the approval
    MISSING = "missing"


class State(StrEnum):
    """Every state that Infactor knows; an invented one would appear at every financier's."""

    DRAFT = "draft"
    INVOICE_CREATED = "invoice_created"
    INVOICE_REJECTED = "invoice_rejected"
    INVOICE_ACCEPTED = "invoice_accepted"
    IFACTOR_REQUEST = "ifactor_request"
    IFACTOR_REJECTED = "ifactor_rejected"
    IFACTOR_PROPOSED = "ifactor_proposed"
    IFACTOR_PROPOSAL_ACCEPTED = "ifactor_proposal_accepted"
    IFACTOR_PROPOSAL_REJECTED = "ifactor_proposal_rejected"
    IFACTOR_PREPAID = "ifactor_prepaid"
    INVOICE_PAID = "invoice_paid"
    COMPLETED = "completed"


APPROVED = frozenset(State) - {State.DRAFT, State.INVOICE_CREATED, State.INVOICE_REJECTED}
"""A buyer has said yes, whatever came of it since."""

ENDED = frozenset({State.COMPLETED, State.IFACTOR_REJECTED, State.IFACTOR_PROPOSAL_REJECTED})
"""Infactor's pages lead nowhere from here; from `invoice_rejected` only we do, where it is ours."""


class Hold(StrEnum):
    """The closed list of reasons for which an invoice is not offered in Infactor.

    In order of precedence: of several, the first one counts.
    """

    DELETED = "deleted"
    VOID = "void"
    NOT_POSITIVE = "not_positive"
    PAID = "paid"
    PARTLY_PAID = "partly_paid"
    CURRENCY = "currency"


class Action(StrEnum):
    """What a delivery does to the document."""

    CREATE = "create"
    REFRESH = "refresh"
    UNCHANGED = "unchanged"
    HOLD = "hold"
    WITHDRAW = "withdraw"
    RESTORE = "restore"
    FROZEN = "frozen"

    @property
    def past(self) -> str:
        """The word for what was done: "created"."""
        return _PAST[self]


_PAST = {
    Action.CREATE: "created",
    Action.REFRESH: "refreshed",
    Action.UNCHANGED: "unchanged",
    Action.HOLD: "held",
    Action.WITHDRAW: "withdrawn",
    Action.RESTORE: "restored",
    Action.FROZEN: "frozen",
}
