"""What a batch of notices asks for: pure, so that it can be read as a table."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from service.store.tables import Notice


@dataclass
class Plan:
    """The reads that answer a batch of notices, and which notices wait for which."""

    invoices: dict[str, list[Notice]] = field(default_factory=dict)  # by QuickBooks id
    voided: set[str] = field(default_factory=set)
    customers: dict[str, list[Notice]] = field(default_factory=dict)
    merged_away: dict[str, list[Notice]] = field(default_factory=dict)
    changes: list[Notice] = field(default_factory=list)


def plan(notices: Iterable[Notice]) -> Plan:
    """Return the reads for these notices; a notice only names what to read, it is never data.

    A payment or credit memo moves invoices that its notice does not name: one query for whatever
    changed since the watermark answers them all.
    """
    made = Plan()
    for notice in notices:
        entity_id = notice.entity_id or ""
        if notice.entity == "Invoice":
            made.invoices.setdefault(entity_id, []).append(notice)
            if notice.operation == "voided":
                made.voided.add(entity_id)
        elif notice.entity == "Customer":
            made.customers.setdefault(entity_id, []).append(notice)
            if notice.operation == "merged" and notice.deleted_id:
                made.merged_away.setdefault(notice.deleted_id, []).append(notice)
        else:
            made.changes.append(notice)
    return made
