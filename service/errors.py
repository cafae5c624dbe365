"""What can go wrong, arranged by what the caller should do about it.

    ServiceError
      + ConfigurationError          stop the start; the message says what to mend
      + LinkError                   a connect or view link that cannot be used
      + NotASupplier(refusal)       Infactor does not know this person as a supplier: refuse them
      + InfactorAway                Infactor's own database serves nobody: everything for it waits
      + SyncError(intuit_tid, code)
          + TransientError(retry_after)   try again later: network, time-out, 5xx, lock busy
              x Throttled                 429: pause this company only
              x BudgetSpent               this month's reads are kept for what is more urgent
              x KeysRefused               the app's own keys: an operator mends them for all at once
              x StoreFailed               our own database: no fault of QuickBooks', nor of a record
          x Unrecognised              an answer that no table knows: try again for days, then park
          x Unforeseen                our own fault: likewise
          + ApprovalNeeded(withdrawals, reasons)  a run would withdraw so much: an operator decides
          + PermanentError                trying again cannot help: park, and show why
              x Disconnected              the authorisation is dead: the supplier must reconnect
              x Gone                      QuickBooks answered 610: deleted, or never there
              x Refused                   QuickBooks will not serve this request
                  x Barred                nor any other of this company, until somebody lets us in
              x TooLarge                  413, 414, 4000: ask for fewer ids at once
              x Poisoned                  4002, 10000: one bad record fails the whole query
              x Unmappable(field, why)    the record cannot be expressed in Infactor's terms

Third-party exceptions are turned into these at the client's edge, and nowhere else.
"""

from collections.abc import Mapping
from enum import StrEnum


class ServiceError(Exception):
    """Base of everything that this project raises on purpose."""


class ConfigurationError(ServiceError):
    """A setting is missing, malformed or contradicts another one."""


class LinkError(ServiceError):
    """A connect or view link is malformed, expired, spent or meant for something else."""


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
    """Infactor's own database does not answer, or refuses us: what is for it waits.

    The message says what is wrong and, where that is known, how to mend it; never an address.
    """


class SyncError(ServiceError):
    """Talking to QuickBooks, or expressing what it said, did not work.

    `intuit_tid` is Intuit's trace id of the answer and `code` its fault code, where there is one.
    The message never holds a token or a payload: it is stored and shown to operators.
    """

    def __init__(
        self, message: str, *, intuit_tid: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.intuit_tid = intuit_tid
        self.code = code


class TransientError(SyncError):
    """The same request may succeed later; `retry_after` is in seconds, if QuickBooks named it."""

    def __init__(
        self,
        message: str,
        *,
        intuit_tid: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, intuit_tid=intuit_tid, code=code)
        self.retry_after = retry_after


class Throttled(TransientError):
    """QuickBooks answered 429: this company is over its limit, or the app over its month's."""


class BudgetSpent(TransientError):
    """The reads that are left this month are kept for what is more urgent."""


class KeysRefused(TransientError):
    """QuickBooks refuses to renew tokens because of the app's own keys; no connection has ended."""


class StoreFailed(TransientError):
    """Our own database did not take what was to be written."""


class Unrecognised(SyncError):
    """QuickBooks answered something that nobody has met: neither known to pass nor to stay."""


class Unforeseen(SyncError):
    """The work itself went wrong in a way that nobody foresaw: the log has the traceback."""


class ApprovalNeeded(SyncError):
    """A run would withdraw more invoices than it may unless an operator confirms it.

    `why` says so in words that name none of them, because people write names into the numbers of
    their invoices; `named` are the first of them by their numbers. `withdrawals` is how many, with
    those of its earlier steps, of how many that are `offered`; `reasons` are the holds of this
    step's, by invoice.
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
    """The same request will fail again until somebody changes something."""


class Disconnected(PermanentError):
    """The refresh token is dead; only a new consent by the supplier helps."""


class Gone(PermanentError):
    """QuickBooks answered 610: the object was deleted, or never existed."""


class Refused(PermanentError):
    """QuickBooks refuses the request."""


class Barred(Refused):
    """QuickBooks refuses every request for the company until somebody there lets us in again.

    A subscription that ended, a user who lost access, an app that is not allowed: what was asked
    for waits, because the day that it is mended it is as good as new.
    """


class TooLarge(PermanentError):
    """The query was refused for its size: halve it."""


class Poisoned(PermanentError):
    """One record makes every query fail that contains it: split the query until it is alone."""


class Unmappable(PermanentError):
    """A QuickBooks record cannot be expressed as an Infactor invoice."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why
