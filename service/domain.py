"""Every state, status and kind of a connection, notice, run, invoice, document and finding.

The values stand in the database, in Infactor's documents and in what programs read, so they never
change. Everything may import this file; it imports nothing of ours.
"""

import re
from enum import StrEnum
from typing import NewType


class ConnectionState(StrEnum):
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


class CompanyState(StrEnum):
    """In what state a company is for operators; of a connected one QuickBooks may be called."""

    CONNECTED = "connected"
    PAUSED = "paused"
    DEAD = "dead"  # ended by QuickBooks
    DISCONNECTED = "disconnected"
    RELEASED = "released"  # for another supplier to connect


class NoticeStatus(StrEnum):
    """How far a notice has come, in the order of its life."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    IGNORED = "ignored"


class OwnNotice(StrEnum):
    """Why the service put a notice into its own inbox; stored as the notice's operation."""

    SYNC = "sync"
    RESUMED = "resumed"
    RENEWED = "renewed"
    CHECK = "check"
    UNRECORDED = "unrecorded"
    ORPHANED = "orphaned"
    UNREADABLE = "unreadable"


class RunKind(StrEnum):
    BACKFILL = "backfill"
    RECONCILE = "reconcile"
    WITHDRAWAL = "withdrawal"


class RunState(StrEnum):
    """How far a run has come; one that waits for an operator is active."""

    ACTIVE = "active"
    DONE = "done"
    FAILED = "failed"


class RunCause(StrEnum):
    CONNECT = "connect"
    RECONNECT = "reconnect"
    COMMAND = "command"
    DAILY = "daily"
    DOWNTIME = "downtime"
    NOTICE = "notice"


class RevisionCause(StrEnum):
    """Why an invoice was read and recorded again."""

    NOTICE = "notice"
    PAYMENT = "payment"
    CHECK = "check"
    BACKFILL = "backfill"
    RECONCILE = "reconcile"
    COMMAND = "command"
    RULES = "rules"  # judged again, without a read
    CUSTOMER = "customer"  # mapped again, without a read, because its customer has changed
    REHEARSAL = "rehearsal"  # what a dry run would do; nothing of it is kept


class ProcessKind(StrEnum):
    RECEIVER = "receiver"
    WORKER = "worker"


class EventType(StrEnum):
    """What an event for Infactor's own server says has happened."""

    CONNECTED = "connection.connected"
    ENDED = "connection.ended"
    PAUSED = "connection.paused"
    RESUMED = "connection.resumed"
    RELEASED = "connection.released"
    RECORDED = "invoice.recorded"
    INVOICE_HELD = "invoice.held"
    INVOICE_RELEASED = "invoice.released"
    DELIVERED = "invoice.delivered"
    WITHDRAWN = "invoice.withdrawn"
    DECIDED = "invoice.decided"
    FINDING_OPENED = "finding.opened"
    FINDING_CHANGED = "finding.changed"
    FINDING_CLOSED = "finding.closed"


class Severity(StrEnum):
    """How soon somebody should act, the most urgent first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class DifferenceKind(StrEnum):
    """How an invoice differs from its record, as a reconcile found it."""

    # In QuickBooks.
    RECORDED_AS_DELETED = "recorded as deleted"
    OUTDATED = "outdated"
    AMOUNTS = "amounts"
    DELETED_IN_QUICKBOOKS = "deleted in QuickBooks"
    NOT_SHOWN = "not shown"  # while some could not be shown: deleted, or one of those
    UNREADABLE = "unreadable"
    # In either.
    MISSING = "missing"  # in Infactor: nobody has decided, so it can be created again
    AHEAD = "ahead"
    # In Infactor.
    # Somebody had decided, or it was adopted, so it is never created again.
    DELETED_IN_INFACTOR = "deleted in Infactor"
    DOUBLED = "doubled"
    EDITED = "edited by hand"
    BEHIND = "behind"
    UNRECORDED = "not recorded here"
    NOT_COMPARED = "could not be compared"


class FindingKind(StrEnum):
    """What a finding says about an invoice's document."""

    CHANGED = "changed"  # in QuickBooks, after somebody in Infactor decided
    MOVED_ON = "moved_on"  # decided in Infactor although it was held
    HURRIED = "hurried"  # its amounts were overwritten just before the approval
    MISSING = "missing"
    DOUBLED = "doubled"  # an older copy of it can still be financed
    SETTLED = "settled"  # paid, credited or written off in QuickBooks, after the approval
    RULE = "rule"  # a rule holds it, but somebody had decided already


class SettlementKind(StrEnum):
    """How part of an invoice was settled."""

    CASH = "cash"
    CREDIT_NOTE = "credit_note"
    WRITE_OFF = "write_off"


class State(StrEnum):
    """Every state that Infactor knows; an invented one would appear on every financier's page."""

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
"""A buyer has approved, whatever happened since."""

ENDED = frozenset({State.COMPLETED, State.IFACTOR_REJECTED, State.IFACTOR_PROPOSAL_REJECTED})
"""Infactor's pages lead nowhere from here. From `invoice_rejected` only we do, where it is ours."""


class RuleCode(StrEnum):
    """What a rule about an invoice asks; of the reasons for a hold, the first in this order leads.

    A code has at most 20 letters and never changes: it stands in the database and in settings.
    """

    # Without these there is nothing to lend on.
    DELETED = "deleted"
    VOID = "void"
    NOT_POSITIVE = "not_positive"
    PAID = "paid"
    PARTLY_PAID = "partly_paid"
    CURRENCY = "currency"
    # The invoice itself.
    DUPLICATE = "duplicate"
    DUPLICATE_ELSEWHERE = "duplicate_elsewhere"
    OWN_BUYER = "own_buyer"
    LOOKALIKE_DOMAIN = "lookalike_domain"
    LINES_DIFFER = "lines_differ"
    NOT_SENT = "not_sent"
    # Its dates.
    NO_DUE_DATE = "no_due_date"
    OVERDUE = "overdue"
    DUE_TOO_SOON = "due_too_soon"
    TERMS_TOO_LONG = "terms_too_long"
    TOO_OLD = "too_old"
    FUTURE_DATED = "future_dated"
    BACKDATED = "backdated"
    # Its buyer's whole account.
    SET_OFF = "set_off"
    CROSS_AGED = "cross_aged"
    CONCENTRATION = "concentration"
    # Signs that somebody should look.
    SHARED_ADDRESS = "shared_address"
    FREE_MAIL = "free_mail"
    BUYER_CHANGED = "buyer_changed"
    PAY_LINK = "pay_link"
    ROUND_AMOUNT = "round_amount"
    NUMBER_GAP = "number_gap"
    EDITED_OFTEN = "edited_often"
    BURST = "burst"
    # Nobody knows whether the record is still true. Last: where it leads, it is the only hold.
    UNPROVEN = "unproven"


class Action(StrEnum):
    """What a delivery does to Infactor's document."""

    CREATE = "create"
    REFRESH = "refresh"
    UNCHANGED = "unchanged"
    HOLD = "hold"
    WITHDRAW = "withdraw"
    RESTORE = "restore"
    FROZEN = "frozen"

    @property
    def past(self) -> str:
        """The past tense, as receipts keep it: "created"."""
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


RealmId = NewType("RealmId", str)

_DIGITS = re.compile(r"0*([1-9][0-9]{0,19})")


def realm_id_of(text: str) -> RealmId | None:
    """Return the id that was written, or None for what is none: it is ASCII digits, 20 at most.

    Without blanks around it and leading zeros: two spellings of one company would be two companies,
    with an owner each.
    """
    found = _DIGITS.fullmatch(text.strip()) if len(text) <= 64 else None
    return RealmId(found[1]) if found else None
