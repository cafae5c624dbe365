"""QuickBooks records, stored as given, and found by id or by time of change."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

from service.simulator import exact_json
from service.simulator.clock import parse_instant

Json = dict[str, Any]
Moment = tuple[datetime, bool]  # an instant, and whether it is part of what it bounds
WRITABLE = ("Customer", "Invoice", "Payment", "CreditMemo", "Estimate", "SalesReceipt", "Vendor")
# Books have these too, and clients read them.
ENTITIES = (*WRITABLE, "JournalEntry", "Account")
TRANSACTIONS = ("Invoice", "CreditMemo", "Estimate", "SalesReceipt", "Payment", "JournalEntry")
NAMES = ("Customer", "Vendor", "Account")


class Record:
    """One version of one object; never changed once it is on a shelf."""

    data: Json
    id: str
    number: int
    updated: datetime

    def __init__(self, data: Json) -> None:
        self.data = data
        self.id = data["Id"]
        self.number = int(self.id)
        self.updated = parse_instant(data["MetaData"]["LastUpdatedTime"])

    @property
    def key(self) -> tuple[datetime, int]:
        """The place in the order of change; ids break ties, since times have whole seconds."""
        return self.updated, self.number

    def without(self, names: Iterable[str]) -> msgspec.Raw | Json:
        """Return the record as JSON, without these properties."""
        raw = bytes(self.raw)
        if not any(b'"%b"' % name.encode() in raw for name in names):
            return self.raw
        return {k: v for k, v in self.data.items() if k not in names}

    @cached_property
    def raw(self) -> msgspec.Raw:
        """The record as JSON, encoded once."""
        return msgspec.Raw(exact_json.encode(self.data))


class Shelf:
    """All live objects of one entity, and the stubs of the deleted ones."""

    def __init__(self) -> None:
        self._records: dict[int, Record] = {}
        self._numbers: list[int] = []
        self._by_change: list[tuple[datetime, int]] = []
        self.deleted: dict[int, datetime] = {}

    def __len__(self) -> int:
        return len(self._records)

    def get(self, id_: str) -> Record | None:
        return self._records.get(int(id_)) if is_id(id_) else None

    def put(self, record: Record) -> None:
        """Store the record in place of its earlier version or its stub."""
        old = self._records.get(record.number)
        if old:
            self._forget_change(old)
        elif not self._numbers or record.number > self._numbers[-1]:
            self._numbers.append(record.number)
        else:
            insort(self._numbers, record.number)
        self._records[record.number] = record
        self.deleted.pop(record.number, None)
        if not self._by_change or record.key > self._by_change[-1]:
            self._by_change.append(record.key)
        else:
            insort(self._by_change, record.key)

    def remove(self, record: Record, at: datetime) -> None:
        """Remove the object; a stub with the time of deletion remains."""
        self._forget_change(record)
        del self._numbers[bisect_left(self._numbers, record.number)]
        del self._records[record.number]
        self.deleted[record.number] = at

    def next_id(self) -> int:
        """Return an id above every one that was ever used here."""
        return max([0, *self._numbers[-1:], *self.deleted]) + 1

    def by_id(self, since: Moment | None = None, until: Moment | None = None) -> Sequence[Record]:
        """Return all objects, or those changed between two instants, in the order of ids."""
        if since is None and until is None:
            return _Lazy(self._records, self._numbers)
        return _Lazy(self._records, sorted(number for _, number in self._changed(since, until)))

    def by_change(
        self,
        since: Moment | None = None,
        until: Moment | None = None,
        *,
        descending: bool = False,
    ) -> Sequence[Record]:
        """Return objects in the order of change between two instants.

        Either way the highest id comes first of those that were changed in the same second, as in
        every recorded answer.
        """
        changed = self._changed(since, until)
        if descending:
            return _Lazy(self._records, [number for _, number in reversed(changed)])
        seconds = (list(same) for _, same in groupby(changed, key=itemgetter(0)))
        numbers = [number for same in seconds for _, number in reversed(same)]
        return _Lazy(self._records, numbers)

    def _changed(self, since: Moment | None, until: Moment | None) -> list[tuple[datetime, int]]:
        start, end = 0, len(self._by_change)
        if since:
            start = bisect_left(self._by_change, (since[0], -1 if since[1] else _ABOVE))
        if until:
            end = bisect_left(self._by_change, (until[0], _ABOVE if until[1] else -1))
        return self._by_change[start:end]

    def _forget_change(self, record: Record) -> None:
        del self._by_change[bisect_left(self._by_change, record.key)]


_ABOVE = 10**30


class _Lazy(Sequence[Record]):
    """Records by their numbers, looked up only where a page is cut."""

    def __init__(self, records: dict[int, Record], numbers: Sequence[int]) -> None:
        self._records, self._numbers = records, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Record]:
        return (self._records[number] for number in self._numbers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _Lazy(self._records, self._numbers[index])
        return self._records[self._numbers[index]]


def is_id(value: object) -> bool:
    """Return whether a value is an id as QuickBooks writes them: text of at most 20 digits."""
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20
