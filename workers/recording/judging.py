"""Judges recorded invoices by the rules in force."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.config.settings import Settings
from service.database.tables import Connection, Supplier
from service.domain import RuleCode
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts, decoded
from service.infactor.rules.judge import Judgement, judge, plain
from service.store import buyer_addresses
from service.store.invoices import InvoiceRow
from workers.recording.surroundings import (
    Owner,
    Twins,
    addresses_of,
    lookalike_domains,
    shared_addresses,
)

_DUPLICATES = {RuleCode.DUPLICATE, RuleCode.DUPLICATE_ELSEWHERE}


class Judge:
    """Judges invoices of one company at one moment; what surrounds them is read for all at once."""

    def __init__(
        self, session: Session, settings: Settings, connection_id: str, at: datetime
    ) -> None:
        self._session = session
        self._settings = settings
        self._connection_id = connection_id
        self._today = settings.today(at)
        self._asked = {one.rule.code for one in settings.rules.in_force}
        self._twins: list[Twins] = []

    @property
    def asks_for_twins(self) -> bool:
        """Whether a rule in force asks for other invoices of the same sale."""
        return not self._asked.isdisjoint(_DUPLICATES)

    def judgements(self, facts: Mapping[str, InvoiceFacts]) -> dict[str, Judgement]:
        """Return the judgement of each of these invoices, by its id."""
        book = self._settings.rules
        around = self._circumstances(facts)
        return {id_: judge(known, around[id_], book) for id_, known in facts.items()}

    def judged(self, rows: Sequence[InvoiceRow]) -> list[InvoiceRow]:
        """Return these rows with the reasons that their facts give them now.

        That they are about to be recorded is known from now on: which addresses the buyers have.
        """
        facts = {row.id: decoded(row.facts) for row in rows}
        noted = addresses_of(self._connection_id, facts.values())
        buyer_addresses.note(self._session, noted)
        judgements = self.judgements(facts)
        return [_with(row, judgements[row.id]) for row in rows]

    def neighbours(self, ids: Collection[str]) -> set[str]:
        """Return the invoices beside those judged that share a key with one of these of them."""
        return {other for twins in self._twins for other in twins.others(ids)}

    def _circumstances(self, facts: Mapping[str, InvoiceFacts]) -> dict[str, Circumstances]:
        alike = self._alike(facts)
        around = dict.fromkeys(facts, alike)
        if self.asks_for_twins:
            twins = Twins(self._session, self._owner, facts)
            self._twins.append(twins)
            around |= twins.surrounding(alike)
        return around

    def _alike(self, facts: Mapping[str, InvoiceFacts]) -> Circumstances:
        """Return what surrounds all of them in the same way."""
        session, owner, asked = self._session, self._owner, self._asked
        return Circumstances(
            today=self._today,
            currency=self._settings.infactor_currency,
            withdraws=self._settings.infactor_withdraw,
            own_addresses=owner.addresses,
            shared_addresses=shared_addresses(session, owner, facts)
            if RuleCode.SHARED_ADDRESS in asked
            else frozenset(),
            lookalikes=lookalike_domains(session, owner, facts)
            if RuleCode.LOOKALIKE_DOMAIN in asked
            else {},
        )

    @cached_property
    def _owner(self) -> Owner:
        row = self._session.execute(
            select(
                *(Connection.supplier_id, Connection.environment, Connection.own_emails),
                Supplier.email,
            )
            .join(Supplier, Supplier.id == Connection.supplier_id)
            .where(Connection.id == self._connection_id)
        ).one()
        addresses = frozenset(map(str.casefold, [row.email, *row.own_emails]))
        return Owner(self._connection_id, row.supplier_id, row.environment, addresses)


def _with(row: InvoiceRow, judgement: Judgement) -> InvoiceRow:
    return replace(
        row,
        hold=judgement.hold,
        holds=plain(judgement.holds),
        signals=plain(judgement.signals),
    )
