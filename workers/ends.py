"""What became of notices, one log line for each, once the transaction that made it so is committed.

With the delivery's id in it, one can follow a webhook through the log up to its end.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import structlog

from service.errors import SyncError
from service.store.tables import Notice
from workers.failures import why

log = structlog.get_logger(__name__)


class Ends:
    """Collects the ends within one transaction."""

    def __init__(self) -> None:
        self._lines: list[tuple[Callable[..., object], str, dict[str, Any]]] = []

    def done(self, notices: Iterable[Notice], outcome: str) -> None:
        """Note that these are done."""
        for notice in notices:
            self._lines.append((log.info, "notice.done", {**_name(notice), "outcome": outcome}))

    def failed(
        self, notices: Iterable[Notice], error: SyncError, parked: Collection[int] = ()
    ) -> None:
        """Note that these failed: some for good, the others to be tried again."""
        for notice in notices:
            event = "notice.parked" if notice.id in parked else "notice.failed"
            self._lines.append((log.warning, event, {**_name(notice), **why(error)}))

    def tell(self) -> None:
        """Log them, after the commit."""
        for write, event, values in self._lines:
            write(event, **values)


def _name(notice: Notice) -> dict[str, Any]:
    return {"notice": notice.id, "delivery": notice.delivery_id}
