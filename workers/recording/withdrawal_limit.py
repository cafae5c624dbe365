"""How much a run may withdraw: one that would withdraw more waits for an operator's approval.

An empty or wrong answer inside a 200 must not reject a portfolio. Notices do without: each is
about one invoice, which somebody in QuickBooks has touched.
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

# So few are a day's payments, even where they are most of a small company.
_ALWAYS_ALLOWED = 4
_MOST_ALLOWED = 20
_ONE_IN = 20  # 5 %
_MOST_NAMED = 10


def check_withdrawals(session: Session, run: Run, recorded: Recorded) -> None:
    """Raise ApprovalNeeded if the batch that was just written withdraws too much for its run.

    Counts what the run has withdrawn in all its steps. To be called in the batch's own transaction,
    which then leaves everything as it was.
    """
    before = run.tally["withdrawn"]
    total = before + len(recorded.withdrawn)
    if run.confirmed or not recorded.withdrawn or total <= _ALWAYS_ALLOWED:
        return
    # As many as there were before the run withdrew any.
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
    """Return how many there are of each reason, of most first."""
    counted = Counter(one.hold for one in withdrawn).most_common()
    return ", ".join(f"{count} {word(hold)}" for hold, count in counted)


def _named(withdrawn: Sequence[Held]) -> str:
    """Name the first of them, each with its reason where that is not the same for all."""
    differ = len({one.hold for one in withdrawn}) > 1
    names = [f"{one.name} ({word(one.hold)})" if differ else one.name for one in withdrawn]
    more = ", …" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
