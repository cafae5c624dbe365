"""How many accounting calls were served, by kind, company and status."""

from collections import Counter, defaultdict

from service.simulator.records import Json


class Calls:
    """The meter that a client's economy is read from; token calls are not in it."""

    def __init__(self) -> None:
        self._by_company: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._by_status: Counter[int] = Counter()

    def count(self, realm: str, kind: str, status: int) -> None:
        """One more call was answered (a dropped one has status 444)."""
        self._by_company[realm][kind] += 1
        self._by_status[status] += 1

    def clear(self) -> None:
        """The meter stands at nothing."""
        self._by_company.clear()
        self._by_status.clear()

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
