"""The rules that ask whether there is anything to lend on."""

from service.domain import RuleCode
from service.infactor.money import same_currency
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.rule import Figures, Mode, Rule


def _deleted(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return {} if facts.deleted else None


def _void(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return {} if facts.void else None


def _not_positive(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return {"total": f"{facts.total:f}"} if facts.total <= 0 else None


def _paid(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return {"total": f"{facts.total:f}"} if facts.balance <= 0 < facts.total else None


def _partly_paid(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    if not 0 < facts.balance < facts.total:
        return None
    return {"balance": f"{facts.balance:f}", "total": f"{facts.total:f}"}


def _currency(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    if not facts.currency or same_currency(facts.currency, around.currency):
        return None
    return {"currency": facts.currency, "infactors": around.currency}


RULES = (
    Rule(
        code=RuleCode.DELETED,
        asks="The invoice was deleted in QuickBooks.",
        test=_deleted,
        words="deleted",
        explains="It was deleted in QuickBooks.",
        standard=Mode.HOLD,
        advice="The invoice was deleted in QuickBooks. There is nothing to do here.",
    ),
    Rule(
        code=RuleCode.VOID,
        asks="The invoice was voided in QuickBooks.",
        test=_void,
        words="voided",
        explains="It was voided in QuickBooks.",
        standard=Mode.HOLD,
        advice="The invoice was voided in QuickBooks. If that was a mistake, make a new invoice.",
    ),
    Rule(
        code=RuleCode.NOT_POSITIVE,
        asks="The total is zero or less.",
        test=_not_positive,
        words="total of zero or less",
        explains="Its total is {total}.",
        standard=Mode.HOLD,
        advice=(
            "Only invoices with a total above zero can be financed. Correct the lines in "
            "QuickBooks if the total is wrong."
        ),
    ),
    Rule(
        code=RuleCode.PAID,
        asks="Nothing is left to be paid.",
        test=_paid,
        words="paid",
        explains="Nothing is left to be paid of {total}.",
        standard=Mode.HOLD,
        advice=(
            "Nothing is left to be paid on this invoice. If a payment was applied to it by "
            "mistake, take it off in QuickBooks."
        ),
    ),
    Rule(
        code=RuleCode.PARTLY_PAID,
        asks="Part of it is paid: Infactor shows the total alone, so money would be lent twice.",
        test=_partly_paid,
        words="partly paid",
        explains="{balance} of {total} is left to be paid.",
        standard=Mode.HOLD,
        advice=(
            "Part of this invoice has been paid already, and Infactor can only finance the whole. "
            "If a payment was applied by mistake, take it off in QuickBooks."
        ),
    ),
    Rule(
        code=RuleCode.CURRENCY,
        asks="It is in another currency than `INFACTOR_CURRENCY`, or in none that is certain.",
        test=_currency,
        words="another currency",
        explains="It is in {currency}, and Infactor shows {infactors}.",
        standard=Mode.HOLD,
        advice=(
            "Infactor shows amounts in {currency} only, and this invoice is in another currency. "
            "To have it financed, make it in {currency} in QuickBooks."
        ),
    ),
)
