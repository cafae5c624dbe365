"""A shelf of very many generated records; only changed ones are stored."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec

from service.simulator import exact_json
from service.simulator.clock import to_seconds
from service.simulator.records import Json, Moment, Record, Shelf, is_id

FIRST_ID = 101
SPAN = timedelta(days=730)
# Placeholders of a template; these characters cannot occur in an invoice.
_MARKS = {"Id": "\ue001", "Created": "\ue002", "Updated": "\ue003", "Date": "\ue004"}
_MARKS |= {"Number": "\ue005", "Due": "\ue006"}


class Made(Record):
    """A record whose JSON and content are made when they are read."""

    def __init__(self, series: "Series", index: int) -> None:
        self._series, self._index = series, index
        self.number = FIRST_ID + index
        self.id = str(self.number)
        self.updated = series.updated(index)

    @cached_property
    def raw(self) -> msgspec.Raw:
        return msgspec.Raw(self._series.json(self._index))

    def __getattr__(self, name: str) -> Any:
        if name != "data":
            raise AttributeError(name)
        self.data = exact_json.decode(bytes(self.raw))
        return self.data


@dataclass(frozen=True)
class Series:
    """`count` invoices up to `ends`; ids and times of change rise together, by index."""

    count: int
    ends: datetime
    templates: tuple[bytes, ...]
    first_number: int = FIRST_ID + 900

    @cached_property
    def span(self) -> timedelta:
        """From the first change to the last: two years, or as many seconds as there are."""
        return max(SPAN, timedelta(seconds=self.count))

    @cached_property
    def begins(self) -> datetime:
        return self.ends - self.span

    def record(self, index: int) -> Record:
        return Made(self, index)

    def updated(self, index: int) -> datetime:
        """Return when it was last changed, in whole seconds."""
        return self.begins + timedelta(seconds=self._seconds(index))

    def index_of(self, number: int) -> int | None:
        """Return the index of an id, None if it is not in this series."""
        index = number - FIRST_ID
        return index if 0 <= index < self.count else None

    def place_of(self, moment: datetime, after: bool = False) -> int:
        """Return how many were changed before the moment, or up to it with `after`."""
        seconds = (moment - self.begins).total_seconds()
        place = bisect_left(range(self.count), seconds, key=self._seconds)
        while after and place < self.count and self._seconds(place) <= seconds:
            place += 1
        return place

    def json(self, index: int) -> bytes:
        updated = self.updated(index)
        created = to_seconds(updated - timedelta(minutes=7 * (index % 90)))
        due = (updated + timedelta(days=(15, 30, 60)[index % 3])).date().isoformat()
        number = FIRST_ID + index
        return self.templates[index % len(self.templates)] % {
            b"Id": b"%d" % number,
            b"Created": created.encode(),
            b"Updated": to_seconds(updated).encode(),
            b"Date": created[:10].encode(),
            b"Number": b"%d" % (self.first_number + index),
            b"Due": due.encode(),
        }

    def _seconds(self, index: int) -> int:
        return index * int(self.span.total_seconds()) // max(self.count, 1)


def template(invoice: Json) -> bytes:
    """Return an invoice's JSON with placeholders for id, number and times."""
    times = {"CreateTime": _MARKS["Created"], "LastUpdatedTime": _MARKS["Updated"]}
    open_ = {"Id": _MARKS["Id"], "MetaData": times, "TxnDate": _MARKS["Date"]}
    if "DeliveryInfo" in invoice:
        open_["DeliveryInfo"] = {**invoice["DeliveryInfo"], "DeliveryTime": _MARKS["Created"]}
    for name, mark in (("DocNumber", "Number"), ("DueDate", "Due")):
        if name in invoice:
            open_[name] = _MARKS[mark]
    text = exact_json.encode({**invoice, **open_}).replace(b"%", b"%%")
    for name, mark in _MARKS.items():
        text = text.replace(mark.encode(), b"%%(%b)b" % name.encode())
    return text


class VastShelf(Shelf):
    """A series without its changed or deleted records, together with changed and new ones."""

    def __init__(self, series: Series) -> None:
        super().__init__()
        self._series = series
        self._replaced: list[int] = []

    def __len__(self) -> int:
        return self._series.count - len(self._replaced) + super().__len__()

    def get(self, id_: str) -> Record | None:
        changed = super().get(id_)
        if changed or not is_id(id_):
            return changed
        index = self._series.index_of(int(id_))
        if index is None or self._is_replaced(index):
            return None
        return self._series.record(index)

    def put(self, record: Record) -> None:
        self._replace(record.number)
        super().put(record)

    def remove(self, record: Record, at: datetime) -> None:
        self._replace(record.number)
        if super().get(record.id):
            super().remove(record, at)
        else:
            self.deleted[record.number] = at

    def next_id(self) -> int:
        return max(super().next_id(), FIRST_ID + self._series.count)

    def by_id(self, since: Moment | None = None, until: Moment | None = None) -> Sequence[Record]:
        changed = super().by_id(since, until)
        places = [record.number - FIRST_ID for record in changed]
        return self._view(since, until, places, changed)

    def by_change(
        self,
        since: Moment | None = None,
        until: Moment | None = None,
        *,
        descending: bool = False,
    ) -> Sequence[Record]:
        changed = super().by_change(since, until, descending=descending)
        if not descending:
            places = [self._place_in_time(record, highest_first=True) for record in changed]
            return self._view(since, until, places, changed)
        ascending = changed[::-1]
        places = [self._place_in_time(record, highest_first=False) for record in ascending]
        falling: Sequence[Record] = self._view(since, until, places, ascending)[::-1]
        return falling

    def _place_in_time(self, record: Record, *, highest_first: bool) -> int:
        """Return before which index of the series a record stands; no two of it share a second."""
        place = self._series.place_of(record.updated)
        same = place < self._series.count and self._series.updated(place) == record.updated
        return place + (same and (FIRST_ID + place > record.number) == highest_first)

    def _view(
        self,
        since: Moment | None,
        until: Moment | None,
        places: list[int],
        changed: Sequence[Record],
    ) -> "View":
        low = self._series.place_of(since[0], after=not since[1]) if since else 0
        high = self._series.place_of(until[0], after=until[1]) if until else self._series.count
        low = min(low, high)
        first, last = bisect_left(self._replaced, low), bisect_left(self._replaced, high)
        return View(self._series, low, high, self._replaced[first:last], places, changed)

    def _is_replaced(self, index: int) -> bool:
        at = bisect_left(self._replaced, index)
        return at < len(self._replaced) and self._replaced[at] == index

    def _replace(self, number: int) -> None:
        index = self._series.index_of(number)
        if index is not None and not self._is_replaced(index):
            insort(self._replaced, index)


class View(Sequence[Record]):
    """A part of a series without some records, and with others between; nothing is made in advance.

    `places` are the indexes of the series before which the others stand.
    """

    def __init__(
        self,
        series: Series,
        low: int,
        high: int,
        gone: list[int],
        places: list[int],
        others: Sequence[Record],
    ) -> None:
        self._series, self._low, self._gone, self._others = series, low, gone, others
        self._rest = high - low - len(gone)
        self._positions = [
            min(max(place, low), high) - low - bisect_left(gone, place) + n
            for n, place in enumerate(places)
        ]

    def __len__(self) -> int:
        return self._rest + len(self._positions)

    def __iter__(self) -> Iterator[Record]:
        return (self._at(position) for position in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        places = range(len(self))[index]
        return Part(self, places) if isinstance(places, range) else self._at(places)

    def _at(self, position: int) -> Record:
        before = bisect_left(self._positions, position)
        if before < len(self._positions) and self._positions[before] == position:
            return self._others[before]
        rank = position - before
        gone, low = self._gone, self._low
        skipped = bisect_right(range(len(gone)), rank, key=lambda n: gone[n] - low - n)
        return self._series.record(low + rank + skipped)


class Part(Sequence[Record]):
    """Some positions of a view, in any order; a slice of it is a range again."""

    def __init__(self, view: View, places: range) -> None:
        self._view, self._places = view, places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Record]:
        return (self._view[place] for place in self._places)

    def __getitem__(self, index: Any) -> Any:
        places = self._places[index]
        return Part(self._view, places) if isinstance(places, range) else self._view[places]
