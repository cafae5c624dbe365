"""The rule that asks whether anybody knows that the record is still true."""

from service.domain import RuleCode
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.rule import Figures, Limit, Mode, Rule


def _unproven(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    return None if around.proved else {}


RULES = (
    Rule(
        code=RuleCode.UNPROVEN,
        asks=(
            "The company's connection has ended or is paused, or nothing has confirmed its books"
            " in QuickBooks for {limit}."
        ),
        test=_unproven,
        limit=Limit(36, "hours"),
        words="not confirmed",
        explains="QuickBooks does not confirm the company's books at present.",
        standard=Mode.HOLD,
        advice=(
            "We can't confirm your invoices with QuickBooks right now, so they are not in Infactor."
            " If the connection has ended, connect QuickBooks again. They will then return"
            " automatically."
        ),
    ),
)
