"""What surrounds an invoice while it is judged: the day, and what else is recorded."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date

from service.infactor.rules.twins import Twin


@dataclass(frozen=True, slots=True)
class AccountShares:
    """The whole account of an invoice's buyer, in percent; None where a share says nothing.

    As it was last counted, not to the minute: see `workers.accounts`.
    """

    concentration: int | None = None
    """Of what all buyers of the supplier have open, how much is this buyer's."""
    overdue: int | None = None
    """How much of what the buyer has open is overdue."""
    credit: int | None = None
    """Unapplied credits and payments, of what the buyer has open; may be more than all of it."""


@dataclass(frozen=True, slots=True)
class NumberGap:
    """How many numbers are missing before an invoice's, and the last number before them."""

    before: str
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """All that the rules ask besides the invoice's own facts."""

    today: date
    """In INFACTOR_TIMEZONE."""
    currency: str
    """The one that Infactor shows."""
    proved: bool = True
    """The company was known to be as recorded within the limit of the rule that asks."""
    account: AccountShares = AccountShares()
    numbers_missing: NumberGap | None = None
    busy_hour: str = ""
    """The hour in which it was entered, in words, if far more were entered then than usual."""
    id: str = ""
    """The invoice's own; Infactor's invoiceId."""
    state: str | None = None
    """Of its document in Infactor, where it has twins; None if there is none."""
    withdraws: bool = True
    """Whether documents are withdrawn from Infactor; else what is deleted stays offered there."""
    twins: Sequence[Twin] = ()
    """The invoices that share a key with it."""
    own_addresses: frozenset[str] = frozenset()
    """The supplier's e-mail addresses in one case: of their account, and of their company."""
    shared_addresses: Set[str] = frozenset()
    """Addresses that several customers of the company have, in one case; projects of one customer
    are not several."""
    lookalikes: Mapping[str, str] = field(default_factory=dict)
    """Domains of buyers that look like another one: {domain: the other}."""
