"""How much of a company may be withdrawn: what would be more waits for an operator's approval.

An empty or wrong answer inside a 200 must not reject a portfolio, whoever asked for it. So a
company's withdrawals are counted over an hour, by whatever path they came; a run counts all of
its own, however long it takes.
"""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.database.tables import Run
from service.errors import ApprovalNeeded
from service.infactor.rules.catalogue import word
from service.store import approvals, documents
from service.store.approvals import ALWAYS_ALLOWED, Held, allowed
from workers.recording.outcome import Recorded

_MOST_NAMED = 10


def check_withdrawals(
    session: Session, connection_id: str, recorded: Recorded, run: Run | None
) -> None:
    """Raise ApprovalNeeded if the batch that was just written withdraws too much of the company.

    With a `run` that an operator has approved, nothing is too much. While withdrawals that notices
    asked for wait to be approved, notices withdraw nothing: theirs wait with those. To be called in
    the batch's own transaction, of which nothing must be kept when it raises.
    """
    batch = recorded.withdrawn
    if not batch or (run is not None and run.confirmed):
        return
    before = approvals.count_withdrawn(session, connection_id)
    waiting = None if run else approvals.waiting_withdrawal(session, connection_id)
    if run is not None:
        before = max(before, run.tally["withdrawn"])
    if waiting is None and before + len(batch) <= ALWAYS_ALLOWED:
        return
    # As many as there were before any of these was withdrawn.
    offered = documents.count_offered(session, connection_id) + before + len(batch)
    if waiting is not None or before + len(batch) > allowed(offered):
        reasons = {**((waiting and waiting.would_withdraw) or {}), **batch}
        raise _too_much(approvals.named(session, reasons), before, offered)


def _too_much(withdrawn: Sequence[Held], before: int, offered: int) -> ApprovalNeeded:
    total = before + len(withdrawn)
    what = f"it would withdraw {total} of the company's {offered} undecided invoices"
    already = f", {before} of which are withdrawn already" if before else ""
    limit = f"more than {allowed(offered)} need an operator's confirmation"
    return ApprovalNeeded(
        f"{what}{already} ({_reasons(withdrawn)} in QuickBooks; {limit})",
        _named(withdrawn),
        withdrawals=total,
        offered=offered,
        reasons={one.invoice_id: one.hold for one in withdrawn},
    )


def _reasons(withdrawn: Sequence[Held]) -> str:
    counted = Counter(one.hold for one in withdrawn).most_common()
    return ", ".join(f"{count} {word(hold)}" for hold, count in counted)


def _named(withdrawn: Sequence[Held]) -> str:
    differ = len({one.hold for one in withdrawn}) > 1
    names = [f"{one.name} ({word(one.hold)})" if differ else one.name for one in withdrawn]
    more = ", …" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
