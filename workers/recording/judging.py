"""Judges recorded invoices by the rules in force."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from service.config.settings import Settings
from service.domain import RuleCode
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts, decoded
from service.infactor.rules.judge import Judgement, judge, plain
from service.store import proof
from service.store.invoices import InvoiceRow


class Judge:
    """Judges invoices of one company at one moment; what surrounds them is read for all at once."""

    def __init__(
        self, session: Session, settings: Settings, connection_id: str, at: datetime
    ) -> None:
        self._session = session
        self._settings = settings
        self._connection_id = connection_id
        self._at = at
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
        alike = Circumstances(
            today=self._today,
            currency=self._settings.infactor_currency,
            proved=self._is_proved(),
        )
        return dict.fromkeys(facts, alike)

    def _is_proved(self) -> bool:
        hours = self._settings.rules.limit_of(RuleCode.UNPROVEN)
        if hours is None:
            return True
        return proof.is_company_proved(self._session, self._connection_id, hours, self._at)


def _with(row: InvoiceRow, judgement: Judgement) -> InvoiceRow:
    return replace(
        row,
        hold=judgement.hold,
        holds=plain(judgement.holds),
        signals=plain(judgement.signals),
    )
