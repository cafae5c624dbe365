"""What can go wrong, arranged by what the caller should do about it.

    ServiceError
      + ConfigurationError          stop the start; the message says what to fix
      + LinkError                   a connect or view link that cannot be used
      + NotASupplier(refusal)       Infactor does not know this person as a supplier: refuse them
      + InfactorAway                Infactor's own database is away: everything for it waits
      + OutOfTime                   a query of ours took too long: ask for less
      + SyncError(intuit_tid, code)
          + TransientError(retry_after)   try again later: network, time-out, 5xx, lock busy
              x Throttled                 429: pause this company only
              x BudgetSpent               this month's reads are kept for what is more urgent
              x KeysRefused               the app's own keys: an operator fixes them for all at once
              x StoreFailed               our own database refused a statement or was away
          x Unrecognised              an unknown answer: try for three days, then fail
          x Unforeseen                our own code failed: likewise
          + ApprovalNeeded(withdrawals, reasons)  too many withdrawals: an operator decides
          + PermanentError                trying again cannot help: fail, and show why
              x Disconnected              the authorisation is dead: the supplier must reconnect
              x Gone                      QuickBooks answered 610: deleted, or never there
              x Refused                   QuickBooks will not serve this request
                  x Barred                nor any other of this company, until access is restored
              x TooLarge                  413, 414, 4000: ask for fewer ids at once
              x Poisoned                  4002, 10000: one bad record fails the whole query
              x Unmappable(field, why)    the record cannot be expressed in Infactor's terms

Third-party exceptions are turned into these where a client calls, and nowhere else.
"""

from collections.abc import Mapping
from enum import StrEnum


class ServiceError(Exception):
    """Base of every error that this project raises on purpose."""


class ConfigurationError(ServiceError):
    """A setting is missing, malformed or contradicts another one."""


class LinkError(ServiceError):
    """A connect or view link is malformed, expired, spent or meant for something else."""


class OutOfTime(ServiceError):
    """A query for a page took longer than a page may wait."""


class Refusal(StrEnum):
    """Why a person is not served as a supplier of Infactor."""

    UNKNOWN = "unknown"
    NOT_A_SUPPLIER = "not_a_supplier"
    NOT_VERIFIED = "not_verified"


class NotASupplier(ServiceError):
    """Infactor has no verified account of a supplier for this person."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class InfactorAway(ServiceError):
    """Infactor's own database does not answer or refuses us: what is for it waits.

    The message says what is wrong and, if known, how to fix it; it never contains an address.
    """


class SyncError(ServiceError):
    """A call to QuickBooks failed, or its answer could not be used.

    `intuit_tid` is Intuit's trace id of the answer and `code` its fault code, where there is one.
    The message holds no token and no payload: it is stored and shown to operators.
    """

    def __init__(
        self, message: str, *, intuit_tid: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.intuit_tid = intuit_tid
        self.code = code


class TransientError(SyncError):
    """The same request may succeed later; `retry_after` is in seconds, if QuickBooks named it.

    `is_outage` where QuickBooks cannot be reached or fails itself: nobody here can do anything.
    """

    def __init__(
        self,
        message: str,
        *,
        intuit_tid: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        is_outage: bool = False,
    ) -> None:
        super().__init__(message, intuit_tid=intuit_tid, code=code)
        self.retry_after = retry_after
        self.is_outage = is_outage


class Throttled(TransientError):
    """QuickBooks answered 429: this company is over its limit, or the app over its month's."""


class BudgetSpent(TransientError):
    """The reads that are left this month are kept for more urgent purposes."""


class KeysRefused(TransientError):
    """QuickBooks refuses to renew tokens because of the app's own keys; no connection has ended."""


class StoreFailed(TransientError):
    """Our own database refused a statement or was away."""


class Unrecognised(SyncError):
    """QuickBooks gave an answer that is not in the table of faults; it may pass or stay."""


class Unforeseen(SyncError):
    """Our own code failed unexpectedly; the log has the traceback."""


class ApprovalNeeded(SyncError):
    """A run would withdraw more invoices than it may without an operator's approval.

    `why` names no invoice, because people write names into invoice numbers; `named` lists the first
    of them. `withdrawals` counts this and earlier steps, out of `offered`. `reasons` are this
    step's holds by invoice id.
    """

    def __init__(
        self, why: str, named: str, *, withdrawals: int, offered: int, reasons: Mapping[str, str]
    ) -> None:
        super().__init__(f"{why}: {named}")
        self.why = why
        self.named = named
        self.withdrawals = withdrawals
        self.offered = offered
        self.reasons = reasons


class PermanentError(SyncError):
    """The same request fails again until somebody changes something."""


class Disconnected(PermanentError):
    """The refresh token is dead; only a new consent by the supplier helps."""


class Gone(PermanentError):
    """QuickBooks answered 610: the object was deleted, or never existed."""


class Refused(PermanentError):
    """QuickBooks refuses the request."""


class Barred(Refused):
    """QuickBooks refuses every request for the company until somebody there restores our access.

    The subscription ended, a user lost access, or the app is not allowed. The work waits, because
    it is still valid once that is fixed.
    """


class TooLarge(PermanentError):
    """The query was refused for its size: halve it."""


class Poisoned(PermanentError):
    """One record fails every query that contains it: split the query until the record is alone."""


class Unmappable(PermanentError):
    """A QuickBooks record cannot be expressed as an Infactor invoice: which field, and why."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why
