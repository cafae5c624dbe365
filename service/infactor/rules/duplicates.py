"""The rules that ask whether money may be lent twice on one sale."""

from collections.abc import Iterator
from functools import partial

from service.domain import APPROVED, RuleCode, Severity, State
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.rule import Figures, Limit, Rule
from service.infactor.rules.twins import Twin, shared

_LENT_ON = APPROVED - {State.IFACTOR_REJECTED, State.IFACTOR_PROPOSAL_REJECTED}


def _duplicate(
    facts: InvoiceFacts, around: Circumstances, limit: int, *, same_supplier: bool
) -> Figures | None:
    """Say which other invoice comes first; where somebody has approved this one, any other.

    The one that was approved comes first, then the one that was entered first.
    """
    for twin, what in _twins(facts, around, limit):
        if twin.same_supplier is same_supplier and (
            around.state in _LENT_ON or _is_first(twin, facts, around)
        ):
            return {"twin": twin.id, "number": twin.facts.number, "shared": what}
    return None


def _twins(facts: InvoiceFacts, around: Circumstances, limit: int) -> Iterator[tuple[Twin, str]]:
    """Yield the twins that count, the leading first, and what each shares with this invoice."""
    if not around.twins or facts.total <= 0:
        return
    for twin in sorted(around.twins, key=_rank):
        if _counts(twin, around) and (what := shared(facts, twin, limit)):
            yield twin, what


def _rank(twin: Twin) -> tuple[bool, int, str]:
    return twin.state not in _LENT_ON, twin.facts.created_ms, twin.id


def _is_first(twin: Twin, facts: InvoiceFacts, around: Circumstances) -> bool:
    entered = (twin.facts.created_ms, twin.id) < (facts.created_ms, around.id)
    return twin.state in _LENT_ON or entered


def _counts(twin: Twin, around: Circumstances) -> bool:
    """Return whether the twin can still be lent on: one that is deleted or void is entered again
    for good, unless Infactor has it all the same.
    """
    if not twin.facts.deleted and twin.facts.total > 0:
        return True
    left_open = twin.state == State.INVOICE_CREATED and not around.withdraws
    return twin.state in _LENT_ON or left_open


RULES = (
    Rule(
        code=RuleCode.DUPLICATE,
        asks=(
            "Another invoice of the supplier, entered or approved before, has the same number with "
            "the same amount or buyer, dated at most {limit} apart; or the same buyer, amount and "
            "date."
        ),
        test=partial(_duplicate, same_supplier=True),
        limit=Limit(180, "days"),
        words="a duplicate",
        explains="It has the same {shared} as invoice {number} ({twin}) of this supplier.",
        advice=(
            "Another invoice in your QuickBooks has the same number, or the same customer, amount "
            "and date. Delete or void the one that is not right, or correct it, and save."
        ),
        after_approval=Severity.CRITICAL,
    ),
    Rule(
        code=RuleCode.DUPLICATE_ELSEWHERE,
        asks=(
            "An invoice of another supplier, entered or approved before, has the same number and "
            "amount, and the same buyer or date, dated at most {limit} apart; or the same buyer, "
            "amount and date."
        ),
        test=partial(_duplicate, same_supplier=False),
        limit=Limit(180, "days"),
        words="a duplicate of another supplier's",
        explains="It has the same {shared} as invoice {number} ({twin}) of another supplier.",
        after_approval=Severity.CRITICAL,
    ),
)
