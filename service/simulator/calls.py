"""The calls that were served: a meter of accounting calls, and the last calls of any kind."""

from collections import Counter, defaultdict, deque
from dataclasses import asdict, dataclass
from itertools import islice

from service.simulator.records import Json

KEPT = 500


@dataclass(frozen=True)
class Served:
    """One call as the list of calls shows it; never a token."""

    at: str
    kind: str
    company: str | None
    what: str
    status: int
    ms: float
    intuit_tid: str


class Calls:
    """The meter that a client's economy is read from; token calls are only in the list."""

    def __init__(self) -> None:
        self._by_company: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._by_status: Counter[int] = Counter()
        self._last: deque[Served] = deque(maxlen=KEPT)

    def count(self, realm: str, kind: str, status: int) -> None:
        """One more call was answered (a dropped one has status 444)."""
        self._by_company[realm][kind] += 1
        self._by_status[status] += 1

    def note(self, call: Served) -> None:
        """The call stands in the list."""
        self._last.append(call)

    def last(self, most: int = KEPT) -> list[Json]:
        """Return the last calls, newest first."""
        return [asdict(call) for call in islice(reversed(self._last), most)]

    def clear(self) -> None:
        """The meter stands at nothing, and the list is empty."""
        self._by_company.clear()
        self._by_status.clear()
        self._last.clear()

    def summary(self) -> Json:
        """Return the counts as `GET /_sim/calls` shows them."""
        by_kind: Counter[str] = Counter()
        for kinds in self._by_company.values():
            by_kind.update(kinds)
        return {
            "total": by_kind.total(),
            "by_kind": dict(by_kind),
            "by_company": {
                realm: {"total": kinds.total(), **kinds}
                for realm, kinds in self._by_company.items()
            },
            "by_status": {str(status): n for status, n in sorted(self._by_status.items())},
        }
