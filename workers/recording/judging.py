"""Judges recorded invoices by the rules in force."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy.orm import Session

from service.config.settings import Settings
from service.domain import RuleCode
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts, decoded
from service.infactor.rules.judge import Judgement, judge, plain
from service.infactor.rules.rule import Mode
from service.store.invoices import InvoiceRow


class Judge:
    """Judges invoices of one company at one moment; what surrounds them is read for all at once."""

    def __init__(
        self, session: Session, settings: Settings, connection_id: str, at: datetime
    ) -> None:
        self._session = session
        self._settings = settings
        self._connection_id = connection_id
        self._today = settings.today(at)

    def judgements(self, facts: Mapping[str, InvoiceFacts]) -> dict[str, Judgement]:
        """Return the judgement of each of these invoices, by its id."""
        book = self._settings.rules
        around = self._circumstances(facts)
        return {id_: judge(known, around[id_], book) for id_, known in facts.items()}

    def judged(self, rows: Sequence[InvoiceRow]) -> list[InvoiceRow]:
        """Return these rows with the reasons that their facts give them now."""
        judgements = self.judgements({row.id: decoded(row.facts) for row in rows})
        return [_with(row, judgements[row.id]) for row in rows]

    def _circumstances(self, facts: Mapping[str, InvoiceFacts]) -> dict[str, Circumstances]:
        alike = Circumstances(today=self._today, currency=self._settings.infactor_currency)
        return dict.fromkeys(facts, alike)


def _with(row: InvoiceRow, judgement: Judgement) -> InvoiceRow:
    return replace(
        row,
        hold=judgement.hold,
        holds=plain(judgement.holds),
        signals=plain(judgement.signals),
    )


Kept = tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]
"""(holds, signals) as the record keeps them."""


def kept(judgement: Judgement) -> Kept:
    """Return the reasons as the record keeps them."""
    return plain(judgement.holds), plain(judgement.signals)


@dataclass(frozen=True, slots=True)
class OtherReason:
    """A rule that comes to mean something else to an invoice: a mode each, `off` for nothing.

    `held` and `would_be_held`: whether the invoice is held, by any rule.
    """

    invoice_id: str
    code: RuleCode
    before: Mode
    after: Mode
    held: bool
    would_be_held: bool


def other_reasons(invoice_id: str, before: Kept, after: Kept) -> Iterator[OtherReason]:
    """Yield each rule that means something else after than before."""
    modes_before, modes_after = _modes(before), _modes(after)
    for code in RuleCode:
        modes = modes_before.get(code, Mode.OFF), modes_after.get(code, Mode.OFF)
        if modes[0] is not modes[1]:
            yield OtherReason(invoice_id, code, *modes, bool(before[0]), bool(after[0]))


def _modes(reasons: Kept) -> dict[str, Mode]:
    holds, signals = reasons
    return {
        **{one["code"]: Mode.SIGNAL for one in signals},
        **{one["code"]: Mode.HOLD for one in holds},
    }
