"""Counts a company's invoices, without counting very many of them for every page."""

import time
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy.orm import Session

from service.queries import invoice_totals, invoices
from service.queries.invoice_totals import Totals
from service.queries.invoices import StatusFilter, Wanted

_MANY = 10_000
_SECONDS = 30.0


class CountCache:
    """Counts companies' invoices; those with at least `many` are counted at most every 30 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, many: int = _MANY) -> None:
        self._clock = clock
        self._many = many
        self._totals: dict[Any, tuple[float, tuple[int, int]]] = {}
        self._by_status: dict[Any, tuple[float, tuple[int, ...]]] = {}
        self._money: dict[Any, tuple[float, Totals]] = {}

    def of_companies(
        self, session: Session, connection_ids: Collection[str], supplier_id: int | None = None
    ) -> dict[str, tuple[int, int]]:
        """Return {company: (recorded, in Infactor)}; with a supplier, of what they may see."""
        at = self._clock()
        known = self._known(self._totals, connection_ids, supplier_id, at)
        unknown = [i for i in connection_ids if i not in known]
        found = invoices.of_companies(session, unknown, shown_to=supplier_id)
        for i, numbers in found.items():
            if numbers[0] >= self._many:
                self._totals[i, supplier_id] = (at, numbers)
        return known | found

    def of_company(
        self, session: Session, connection_id: str, supplier_id: int | None = None
    ) -> tuple[int, int]:
        """Return the same for one company."""
        return self.of_companies(session, [connection_id], supplier_id)[connection_id]

    def by_status(
        self,
        session: Session,
        connection_ids: Collection[str],
        supplier_id: int,
        filters: tuple[StatusFilter, ...],
    ) -> dict[str, tuple[int, ...]]:
        """Return {company: count for each filter} of the invoices that the supplier may see."""
        at = self._clock()
        known = self._known(self._by_status, connection_ids, (supplier_id, filters), at)
        unknown = tuple(i for i in connection_ids if i not in known)
        wanted = Wanted(connection_ids=unknown, supplier_id=supplier_id)
        found = invoices.counts(session, wanted, filters)
        totals = self.of_companies(session, unknown, supplier_id)
        for i, numbers in found.items():
            if totals[i][0] >= self._many:
                self._by_status[i, (supplier_id, filters)] = (at, numbers)
        return known | found

    def money(
        self, session: Session, connection_ids: Collection[str], supplier_id: int
    ) -> dict[str, Totals]:
        """Return {company: totals} of the invoices that the supplier may see."""
        at = self._clock()
        known = self._known(self._money, connection_ids, supplier_id, at)
        unknown = [i for i in connection_ids if i not in known]
        found = invoice_totals.of_companies(session, unknown, supplier_id)
        for i, totals in found.items():
            if sum(one.count for some in totals.values() for one in some) >= self._many:
                self._money[i, supplier_id] = (at, totals)
        return known | found

    @staticmethod
    def _known(
        kept: dict[Any, tuple[float, Any]], connection_ids: Collection[str], about: Any, at: float
    ) -> dict[str, Any]:
        """Return what was counted in the last 30 s; drop what is older."""
        for key, (when, _) in list(kept.items()):  # other threads add to it meanwhile
            if at - when >= _SECONDS:
                kept.pop(key, None)
        return {i: kept[i, about][1] for i in connection_ids if (i, about) in kept}
