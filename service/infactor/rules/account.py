"""The rules that ask about the whole account of an invoice's buyer."""

from service.domain import RuleCode, Severity
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.rule import Figures, Limit, Rule

_STEP = 5


def _concentration(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return _over(around.account.concentration, limit, facts)


def _cross_aged(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return _over(around.account.overdue, limit, facts)


def _set_off(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return _over(around.account.credit, limit, facts)


def _over(share: int | None, limit: int, facts: InvoiceFacts) -> Figures | None:
    """Return the share in steps, so that the figures of a whole account change seldom."""
    if share is None or share <= limit or facts.balance <= 0:
        return None
    return {"share": str(max(limit, (share - 1) // _STEP * _STEP))}


RULES = (
    Rule(
        code=RuleCode.SET_OFF,
        asks=(
            "More than {limit} of what the buyer has open could be set off against credits and "
            "payments that are applied to no invoice."
        ),
        test=_set_off,
        limit=Limit(10, "percent"),
        words="a customer with unapplied credits",
        explains="Unapplied credits are more than {share} percent of what its buyer has open.",
        advice=(
            "This customer has credits or payments in QuickBooks that are applied to no invoice. "
            "Apply them to the invoices that they are for."
        ),
        after_approval=Severity.WARNING,
    ),
    Rule(
        code=RuleCode.CROSS_AGED,
        asks="More than {limit} of what the buyer has open is overdue.",
        test=_cross_aged,
        limit=Limit(50, "percent"),
        words="a buyer who is late with other invoices",
        explains="More than {share} percent of what its buyer has open is overdue.",
        after_approval=Severity.WARNING,
    ),
    Rule(
        code=RuleCode.CONCENTRATION,
        asks="More than {limit} of what all buyers of the supplier have open is this buyer's.",
        test=_concentration,
        limit=Limit(25, "percent"),
        words="too much with one buyer",
        explains="Its buyer has more than {share} percent of what is open with this supplier.",
    ),
)
