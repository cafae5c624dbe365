"""Which invoices other rules, or a rehearsed import, would hold, offer or signal; and the sums."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from service.cli.console import SHOWN, answer_json, show_list
from service.cli.context import name_of
from service.database.tables import Connection
from service.store.judging_queue import NamedInvoice
from service.wording import called, money, several

if TYPE_CHECKING:
    from workers.recording.judge_batch import OtherReason


def show_changes(found: Sequence[Mapping[str, Any]], limit: int | None) -> None:
    """Print the changes as a table, each invoice and rule from and to."""
    columns = ("Company", "Invoice", "Buyer", "Balance due", "Rule", "From", "To")
    show_list("What would change", columns, [_line(one) for one in found], limit)


class WhatIf:
    """What other rules would change: how many invoices, and how much is due on them.

    As JSON each change is printed at once; else the first `limit` are kept to be shown, and one to
    tell that there are more: there may be a million.
    """

    def __init__(self, currency: str, limit: int | None, *, as_json: bool) -> None:
        self._currency = currency
        self._kept = 0 if as_json else (limit or SHOWN) + 1
        self._as_json = as_json
        self._by_rule: Counter[str] = Counter()
        self._moved: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self._due: dict[bool, dict[str, Decimal]] = {True: {}, False: {}}
        self.found: list[dict[str, Any]] = []
        """Each invoice and rule to be shown, as programs get it."""

    def add(
        self,
        company: Connection,
        others: "Sequence[OtherReason]",
        named: Mapping[str, NamedInvoice],
    ) -> None:
        """Add changes of some invoices; one that changes sides counts once."""
        self._by_rule.update(f"{one.code}: {one.before} to {one.after}" for one in others)
        moved = {one.invoice_id: one for one in others if one.held != one.would_be_held}
        for id_, one in moved.items():
            due, name = self._due[one.would_be_held], named[id_].currency or self._currency
            self._moved[one.would_be_held]["invoices"] += 1
            due[name] = due.get(name, Decimal(0)) + (named[id_].balance or 0)
        wanted = others if self._as_json else others[: self._kept - len(self.found)]
        rows = (_row(company, named[one.invoice_id], one, self._currency) for one in wanted)
        if self._as_json:
            answer_json(rows)
        else:
            self.found += rows

    def lines(self) -> Iterator[str]:
        """Yield the sums in words."""
        for change, count in self._by_rule.items():
            yield f"{change}: {several(count, 'invoice', 'invoices')}."
        for side, words in ((True, "Held instead of offered"), (False, "Offered instead of held")):
            count = self._moved[side]["invoices"]
            due = ", ".join(money(sum_, name) for name, sum_ in sorted(self._due[side].items()))
            yield f"{words}: {several(count, 'invoice', 'invoices')}{due and f', {due} due'}."
        yield "Nothing was written."


def _row(
    company: Connection, invoice: NamedInvoice, one: "OtherReason", currency: str
) -> dict[str, Any]:
    return {
        "connection": company.id,
        "company": name_of(company),
        "invoice": invoice.id,
        "quickbooks_id": invoice.quickbooks_id,
        "number": invoice.number,
        "buyer": invoice.buyer,
        "balance": invoice.balance,
        "currency": invoice.currency or currency,
        "rule": one.code,
        "from": one.before,
        "to": one.after,
        "held": one.held,
        "would_be_held": one.would_be_held,
    }


def _line(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        *(row["company"], called(row["quickbooks_id"], row["number"]), row["buyer"]),
        money(row["balance"], row["currency"]),
        *(row["rule"], row["from"], row["to"]),
    )
