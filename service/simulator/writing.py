"""The accounting API's writes: create, full and sparse update, void, delete."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from service.simulator import checks, drafts, refusals
from service.simulator.book import record_problem
from service.simulator.faults import unsupported
from service.simulator.ledger import Ledger
from service.simulator.records import ENTITIES, Json, Record
from service.simulator.schema import with_numbers
from service.simulator.switches import Switches
from service.simulator.totals import money


class Writer:
    """Carries out one write of a client; a refused one has changed nothing."""

    def __init__(self, ledger: Ledger, switches: Switches) -> None:
        self._ledger = ledger
        self._company = ledger.company
        self._switches = switches

    def write(self, entity: str, operation: str, given: Any) -> Json:
        """Return the envelope of what was written; raises Fault."""
        actions: dict[str, Callable[[str, Json], Json]] = {
            "create": self._save,
            "update": self._save,
            "void": self._void,
            "delete": self._delete,
        }
        if operation not in actions or entity not in ENTITIES:
            raise unsupported(f"{operation} {entity}")
        if not isinstance(given, dict):
            raise unsupported(f"{operation} without an object")
        checks.check_shape(entity, given)
        try:
            return actions[operation](entity, with_numbers(given))
        except ValueError as e:
            raise refusals.unreadable(str(e)) from e

    def _save(self, entity: str, given: Json) -> Json:
        old = self._current(entity, given) if given.get("Id") else None
        before = old.data if old else {}
        data = drafts.merged(entity, given, before)
        problem = record_problem({**data, "Id": "1"}) or checks.shape_problem(data)
        if problem:
            raise refusals.unreadable(problem)
        data = self._finished(entity, data, before, old.id if old else "")
        ledger = self._ledger
        record = ledger.update(entity, old, data) if old else ledger.put(entity, data)
        return {entity: record.raw}

    def _finished(self, entity: str, data: Json, before: Json, id_: str) -> Json:
        now = self._ledger.now
        if entity == "Customer":
            data = drafts.customer(self._company, data, before)
            checks.check_name(self._company, data, id_)
            return data
        checks.check_date(data, self._switches)
        if entity == "Payment":
            with self._ledger.without_payment(id_):
                checks.check_payment(self._company, data)
            return drafts.payment(self._company, data, now)
        lines = data.get("Line", [])
        data["Line"] = [_priced(line) for line in lines]
        checks.check_sale(self._company, entity, data, id_, self._switches)
        return drafts.sale(self._company, entity, data, before, now, self._switches)

    def _void(self, entity: str, given: Json) -> Json:
        if entity == "Customer":
            raise unsupported("void Customer")
        old = self._current(entity, given)
        return {entity: self._ledger.void(old.id, entity).raw}

    def _delete(self, entity: str, given: Json) -> Json:
        if entity == "Customer":
            # A name list entry is made inactive by an update instead.
            raise unsupported("delete Customer")
        old = self._current(entity, given)
        self._ledger.delete(entity, old.id)
        return {entity: {"domain": "QBO", "status": "Deleted", "Id": old.id}}

    def _current(self, entity: str, given: Json) -> Record:
        if not given.get("Id"):
            raise refusals.missing("Id")
        old = self._ledger.find(entity, str(given["Id"]))
        checks.check_version(given, old)
        if entity != "Customer":
            checks.check_date(old.data, self._switches)
        return old


def _priced(line: Any) -> Any:
    """Return a sales line with its amount, which follows from quantity and price."""
    detail = line.get("SalesItemLineDetail") if isinstance(line, dict) else None
    if not isinstance(detail, dict) or "Amount" in line:
        return line
    if "Qty" in detail and "UnitPrice" in detail:
        amount: Decimal = money(detail, "Qty") * money(detail, "UnitPrice")
        return {**line, "Amount": amount}
    return line
