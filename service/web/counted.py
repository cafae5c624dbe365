"""How many invoices a company has, without counting very many of them for every page."""

import time
from collections.abc import Callable

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

    def of_company(
        self, session: Session, connection_id: str, supplier_id: int | None = None
    ) -> tuple[int, int]:
        """Return how many invoices there are, here and in Infactor.

        With a supplier, of those that they may see.
        """
        key, at = (connection_id, supplier_id), self._clock()
        when, numbers = self._kept.get(key, (0.0, (0, 0)))
        if numbers[0] >= self._many and at - when < _SECONDS:
            return numbers
        numbers = counts.of_company(session, connection_id, shown_to=supplier_id)
        if numbers[0] >= self._many:
            self._kept[key] = (at, numbers)
        else:
            self._kept.pop(key, None)
        return numbers
