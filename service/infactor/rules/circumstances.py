"""What surrounds an invoice while it is judged: the day, and what else is recorded."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date

from service.infactor.rules.twins import Twin


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """All that the rules ask besides the invoice's own facts."""

    today: date
    """In INFACTOR_TIMEZONE."""
    currency: str
    """The one that Infactor shows."""
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
