"""Stops a run that would withdraw many invoices, until an operator approves.

An empty or wrong answer with HTTP 200 must not reject a portfolio. Notices need no limit: each is
about one invoice.
"""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.database.tables import Run
from service.errors import ApprovalNeeded
from service.infactor.holds import word
from service.store import approvals
from service.store.approvals import Held
from workers.recording.outcome import Recorded

# A day's payments, even if that is most of a small company's invoices.
_ALWAYS_ALLOWED = 4
_MOST_ALLOWED = 20
_ONE_IN = 20  # 5 %
_MOST_NAMED = 10


def check_withdrawals(session: Session, run: Run, recorded: Recorded) -> None:
    """Raise ApprovalNeeded if this batch brings its run, over all steps, above the limit.

    The limit is 5 % of the undecided invoices, at least 4, at most 20. Call it in the batch's
    transaction, which the error rolls back.
    """
    before = run.tally["withdrawn"]
    total = before + len(recorded.withdrawn)
    if run.confirmed or not recorded.withdrawn or total <= _ALWAYS_ALLOWED:
        return
    # The undecided invoices before the run withdrew any.
    offered = approvals.undecided(session, run.connection_id) + total
    allowed = _allowed(offered)
    if total > allowed:
        what = f"it would withdraw {total} of the company's {offered} undecided invoices"
        already = f", {before} of which it has withdrawn already" if before else ""
        withdrawn = approvals.held(session, recorded.withdrawn)
        limit = f"more than {allowed} need an operator's confirmation"
        raise ApprovalNeeded(
            f"{what}{already} ({_reasons(withdrawn)} in QuickBooks; {limit})",
            _named(withdrawn),
            withdrawals=total,
            offered=offered,
            reasons={one.invoice_id: one.hold for one in withdrawn},
        )


def _allowed(offered: int) -> int:
    return min(_MOST_ALLOWED, max(_ALWAYS_ALLOWED, offered // _ONE_IN))


def _reasons(withdrawn: Sequence[Held]) -> str:
    counted = Counter(one.hold for one in withdrawn).most_common()
    return ", ".join(f"{count} {word(hold)}" for hold, count in counted)


def _named(withdrawn: Sequence[Held]) -> str:
    differ = len({one.hold for one in withdrawn}) > 1
    names = [f"{one.name} ({word(one.hold)})" if differ else one.name for one in withdrawn]
    more = ", …" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
