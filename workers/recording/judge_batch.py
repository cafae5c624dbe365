"""Judges recorded invoices by the rules in force."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from msgspec.structs import replace
from sqlalchemy.orm import Session

from service.config.settings import Settings
from service.domain import RuleCode
from service.infactor.rules.circumstances import AccountShares, Circumstances, NumberGap
from service.infactor.rules.facts import InvoiceFacts, decoded
from service.infactor.rules.judge import Judgement, judge, plain
from service.infactor.rules.rule import Mode
from service.infactor.rules.shares import ACCOUNT_RULES
from service.store import accounts, buyer_addresses, proof
from service.store.accounts import HOUR_MS
from service.store.invoices import InvoiceRow
from workers.recording.circumstances import (
    Owner,
    Twins,
    TwinsOfOne,
    addresses_of,
    lookalike_domains,
    owner_of,
    shared_addresses,
)
from workers.recording.numbers import missing_numbers

DUPLICATES = frozenset({RuleCode.DUPLICATE, RuleCode.DUPLICATE_ELSEWHERE})


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
        """Return these rows with the reasons that their facts give them now.

        That they are about to be recorded is known from now on: which addresses the buyers have.
        """
        facts = {row.id: decoded(row.facts) for row in rows}
        noted = addresses_of(self._connection_id, facts.values())
        buyer_addresses.note(self._session, noted)
        judgements = self.judgements(facts)
        return [_with(row, judgements[row.id]) for row in rows]

    def _circumstances(self, facts: Mapping[str, InvoiceFacts]) -> dict[str, Circumstances]:
        found = dict.fromkeys(facts, self._alike(facts))
        for id_, twins in self._twins_of(facts).items():
            found[id_] = dataclasses.replace(
                found[id_], id=id_, twins=twins.twins, state=twins.state
            )
        for id_, account in self._accounts(facts).items():
            found[id_] = dataclasses.replace(found[id_], account=account)
        for id_, hour in self._busy_hours(facts).items():
            found[id_] = dataclasses.replace(found[id_], busy_hour=hour)
        for id_, gap in self._missing_numbers(facts).items():
            found[id_] = dataclasses.replace(found[id_], numbers_missing=gap)
        return found

    def _alike(self, facts: Mapping[str, InvoiceFacts]) -> Circumstances:
        """Return what surrounds all of them in the same way."""
        session, owner, rules = self._session, self._owner, self._settings.rules
        around = Circumstances(
            today=self._today,
            currency=self._settings.infactor_currency,
            withdraws=self._settings.infactor_withdraw,
            own_addresses=owner.addresses,
            proved=self._is_proved(),
        )
        if rules.asks_any({RuleCode.SHARED_ADDRESS}):
            shared = shared_addresses(session, owner, facts)
            around = dataclasses.replace(around, shared_addresses=shared)
        if rules.asks_any({RuleCode.LOOKALIKE_DOMAIN}):
            like = lookalike_domains(session, owner, facts)
            around = dataclasses.replace(around, lookalikes=like)
        return around

    def _twins_of(self, facts: Mapping[str, InvoiceFacts]) -> dict[str, TwinsOfOne]:
        if not self._settings.rules.asks_any(DUPLICATES):
            return {}
        return Twins(self._session, self._owner, facts).of_each()

    @cached_property
    def _owner(self) -> Owner:
        return owner_of(self._session, self._connection_id)

    def _accounts(self, facts: Mapping[str, InvoiceFacts]) -> dict[str, AccountShares]:
        """Return the accounts, as last counted, of the buyers of those that are open."""
        customers = {
            id_: known.customer_id
            for id_, known in facts.items()
            if known.customer_id and known.balance > 0
        }
        if not customers or not self._settings.rules.asks_any(ACCOUNT_RULES):
            return {}
        wanted = set(customers.values())
        kept = accounts.of_customers(self._session, self._connection_id, wanted)
        return {
            id_: AccountShares(*kept[customer])
            for id_, customer in customers.items()
            if customer in kept
        }

    def _busy_hours(self, facts: Mapping[str, InvoiceFacts]) -> dict[str, str]:
        if not self._settings.rules.asks_any({RuleCode.BURST}):
            return {}
        busy = accounts.busy_hours(self._session, self._connection_id)
        if not busy:
            return {}
        hours = {id_: known.created_ms // HOUR_MS for id_, known in facts.items()}
        return {id_: _hour_text(hour) for id_, hour in hours.items() if hour in busy}

    def _missing_numbers(self, facts: Mapping[str, InvoiceFacts]) -> dict[str, NumberGap]:
        """Return the gaps in the numbers; none while an import may still fill them."""
        if not self._settings.rules.asks_any({RuleCode.NUMBER_GAP}):
            return {}
        if accounts.is_importing(self._session, self._connection_id):
            return {}
        return missing_numbers(self._session, self._connection_id, facts)

    def _is_proved(self) -> bool:
        hours = self._settings.rules.limit_of(RuleCode.UNPROVEN)
        if hours is None:
            return True
        return proof.is_company_proved(self._session, self._connection_id, hours, self._at)


def _hour_text(hour: int) -> str:
    return datetime.fromtimestamp(hour * HOUR_MS // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _with(row: InvoiceRow, judgement: Judgement) -> InvoiceRow:
    return replace(
        row,
        hold=judgement.hold,
        holds=plain(judgement.holds),
        signals=plain(judgement.signals),
    )


Kept = tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]
"""(holds, signals) as the record keeps them."""


def kept(judgement: Judgement) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
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
