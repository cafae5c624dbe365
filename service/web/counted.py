"""How many invoices a company has, without counting very many of them for every page."""

import time
from collections.abc import Callable, Collection

from sqlalchemy.orm import Session

from service.store import counts

_MANY = 10_000
_SECONDS = 30.0


class Counted:
    """Counts each company's invoices; one with many is counted again after half a minute.

    To count 100,000 takes most of the time of a page, and open pages ask every few seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, many: int = _MANY) -> None:
        self._clock = clock
        self._many = many
        self._kept: dict[tuple[str, int | None], tuple[float, tuple[int, int]]] = {}

    def of_companies(
        self, session: Session, connection_ids: Collection[str], supplier_id: int | None = None
    ) -> dict[str, tuple[int, int]]:
        """Return for each company how many invoices there are, here and in Infactor.

        With a supplier, of those that they may see.
        """
        at = self._clock()
        known = {
            i: numbers
            for i in connection_ids
            for when, numbers in [self._kept.get((i, supplier_id), (0.0, (0, 0)))]
            if numbers[0] >= self._many and at - when < _SECONDS
        }
        unknown = [i for i in connection_ids if i not in known]
        found = counts.of_companies(session, unknown, shown_to=supplier_id)
        for i, numbers in found.items():
            if numbers[0] >= self._many:
                self._kept[i, supplier_id] = (at, numbers)
            else:
                self._kept.pop((i, supplier_id), None)
        return known | found

    def of_company(
        self, session: Session, connection_id: str, supplier_id: int | None = None
    ) -> tuple[int, int]:
        """Return the same of one company."""
        return self.of_companies(session, [connection_id], supplier_id)[connection_id]
