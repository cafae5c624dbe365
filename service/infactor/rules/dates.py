"""The rules that ask about an invoice's dates. They give other answers as the days go by."""

from datetime import date, timedelta

from service.domain import RuleCode, Severity
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.rule import Figures, Limit, Rule


def _no_due_date(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return {} if facts.due_date is None else None


def _overdue(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    due = facts.due_date
    if due is None or _days(due, around.today) <= limit:
        return None
    return {"due": due.isoformat()}


def _due_too_soon(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    due = facts.due_date
    if due is None or not 0 <= _days(around.today, due) < limit:
        return None
    return {"due": due.isoformat()}


def _terms_too_long(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    begins = _begins(facts)
    if begins is None or facts.due_date is None or _days(begins, facts.due_date) <= limit:
        return None
    return {"dated": begins.isoformat(), "due": facts.due_date.isoformat()}


def _too_old(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    begins = _begins(facts)
    if begins is None or _days(begins, around.today) <= limit:
        return None
    return {"dated": begins.isoformat()}


def _future_dated(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    begins = _begins(facts)
    if begins is None or _days(around.today, begins) <= limit:
        return None
    return {"dated": begins.isoformat()}


def _backdated(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    created, dated = facts.created, facts.txn_date
    if created is None or dated is None or _days(dated, created) <= limit:
        return None
    return {"dated": dated.isoformat(), "created": created.isoformat()}


def _begins(facts: InvoiceFacts) -> date | None:
    """Return the invoice's own date, or the day on which it was entered if it has none."""
    return facts.txn_date or facts.created


def _days(earlier: date, later: date) -> int:
    return (later - earlier) // timedelta(days=1)


RULES = (
    Rule(
        code=RuleCode.NO_DUE_DATE,
        asks="The invoice has no due date.",
        test=_no_due_date,
        words="without a due date",
        explains="It has no due date.",
        advice=(
            "This invoice has no due date. In QuickBooks, open the invoice, fill in 'Due date' and "
            "save."
        ),
    ),
    Rule(
        code=RuleCode.OVERDUE,
        asks="The due date passed more than {limit} ago.",
        test=_overdue,
        limit=Limit(0, "days"),
        words="overdue",
        explains="It was due on {due}.",
        advice=(
            "This invoice is overdue. If you agreed on a later date with your customer, correct "
            "'Due date' in QuickBooks."
        ),
        after_approval=Severity.WARNING,
    ),
    Rule(
        code=RuleCode.DUE_TOO_SOON,
        asks="The due date is less than {limit} ahead.",
        test=_due_too_soon,
        limit=Limit(7, "days"),
        words="due too soon",
        explains="It is due on {due}.",
        advice="This invoice is due so soon that it is not financed any more.",
    ),
    Rule(
        code=RuleCode.TERMS_TOO_LONG,
        asks="The due date is more than {limit} after the invoice's date.",
        test=_terms_too_long,
        limit=Limit(120, "days"),
        words="terms too long",
        explains="It is dated {dated} and due on {due}.",
        advice=(
            "The time to pay on this invoice is longer than Infactor finances. If the due date is "
            "a mistake, correct 'Due date' in QuickBooks."
        ),
    ),
    Rule(
        code=RuleCode.TOO_OLD,
        asks="The invoice's date is more than {limit} ago.",
        test=_too_old,
        limit=Limit(180, "days"),
        words="too old",
        explains="It is dated {dated}.",
        advice="This invoice is older than Infactor finances.",
    ),
    Rule(
        code=RuleCode.FUTURE_DATED,
        asks="The invoice's date is more than {limit} ahead.",
        test=_future_dated,
        limit=Limit(1, "days"),
        words="dated in the future",
        explains="It is dated {dated}.",
        advice=(
            "The date of this invoice is in the future. It is offered when that day comes; if it "
            "is a mistake, correct 'Invoice date' in QuickBooks."
        ),
        after_approval=Severity.WARNING,
    ),
    Rule(
        code=RuleCode.BACKDATED,
        asks="The invoice's date is more than {limit} before the day on which it was entered.",
        test=_backdated,
        limit=Limit(30, "days"),
        words="entered long after its date",
        explains="It is dated {dated}, and was entered on {created}.",
        after_approval=Severity.WARNING,
    ),
)
