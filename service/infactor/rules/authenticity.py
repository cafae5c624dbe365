"""The rules that ask what the invoice itself says, and how it came to be."""

from datetime import date, timedelta

from service.domain import RuleCode, Severity
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.rule import Figures, Limit, Mode, Rule

_EDITS_COUNT_FOR = timedelta(days=30)


def _not_sent(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return {} if facts.sent is False else None


def _lines_differ(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    if facts.lines_total is None:
        return None
    return {"lines": f"{facts.lines_total:f}", "total": f"{facts.total:f}"}


def _pay_link(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return {} if facts.online_payment and facts.balance > 0 else None


def _round_amount(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    if limit == 0 or facts.total <= 0 or facts.total % limit != 0:
        return None
    return {"total": f"{facts.total:f}"}


def _number_gap(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    gap = around.numbers_missing
    if gap is None or gap.missing <= limit:
        return None
    return {"number": facts.number, "before": gap.before, "missing": str(gap.missing)}


def _edited_often(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    recent = [day for day in facts.edited if _is_recent(day, around.today)]
    return {"last": max(recent).isoformat()} if len(recent) > limit else None


def _is_recent(day: date, today: date) -> bool:
    # A day ahead was written before the clock was set back.
    return today - _EDITS_COUNT_FOR < day


def _burst(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return {"hour": around.busy_hour} if around.busy_hour else None


RULES = (
    Rule(
        code=RuleCode.NOT_SENT,
        asks="QuickBooks says that it was neither e-mailed nor printed.",
        test=_not_sent,
        words="never sent",
        explains="It was neither e-mailed nor printed from QuickBooks.",
        advice=(
            "This invoice was not sent to your customer from QuickBooks. Open it there and send or "
            "print it."
        ),
        after_approval=Severity.WARNING,
    ),
    Rule(
        code=RuleCode.LINES_DIFFER,
        asks="Its lines, discounts, shipping and tax do not come to its total.",
        test=_lines_differ,
        words="lines that differ from the total",
        explains="Its lines and tax come to {lines}, and its total is {total}.",
        advice=(
            "The lines and the tax of this invoice do not add up to its total. In QuickBooks, open "
            "the invoice, check its lines, discount and tax, and save."
        ),
        after_approval=Severity.CRITICAL,
    ),
    Rule(
        code=RuleCode.PAY_LINK,
        asks="It can be paid online, and such a payment goes to the supplier.",
        test=_pay_link,
        words="with online payment",
        explains="Online payment is on, and pays the supplier.",
        lender=Mode.SIGNAL,
        advice=(
            "This invoice can be paid online, which pays you and not Infactor. In QuickBooks, open "
            "the invoice, turn off online payment and save."
        ),
        after_approval=Severity.CRITICAL,
    ),
    Rule(
        code=RuleCode.ROUND_AMOUNT,
        asks="Its total is a multiple of {limit}.",
        test=_round_amount,
        limit=Limit(1_000, "units of its currency"),
        words="a round amount",
        explains="Its total is {total}.",
        lender=Mode.SIGNAL,
    ),
    Rule(
        code=RuleCode.NUMBER_GAP,
        asks="More than {limit} are missing between its number and the one before.",
        test=_number_gap,
        limit=Limit(10, "numbers"),
        words="after a gap in the numbers",
        explains="{missing} numbers are missing between {before} and {number}.",
        lender=Mode.SIGNAL,
    ),
    Rule(
        code=RuleCode.EDITED_OFTEN,
        asks=(
            "Its amount, currency, customer or due date was changed more than {limit} in 30 days."
        ),
        test=_edited_often,
        limit=Limit(3, "times"),
        words="changed often",
        explains="Its amount, currency, customer or due date was changed often, last on {last}.",
        lender=Mode.SIGNAL,
        after_approval=Severity.WARNING,
    ),
    Rule(
        code=RuleCode.BURST,
        asks=(
            "More than {limit} were entered within the hour, and more than three times as many as "
            "the company usually enters in an hour."
        ),
        test=_burst,
        limit=Limit(20, "invoices"),
        words="one of very many within an hour",
        explains="Far more invoices than usual were entered in the hour from {hour}.",
        lender=Mode.SIGNAL,
    ),
)
