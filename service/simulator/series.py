"""A long series of invoices that exist only while somebody looks at them."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec

from service.simulator import exact
from service.simulator.clock import to_seconds
from service.simulator.records import Json, Record

FIRST_ID = 101
SPAN = timedelta(days=730)
# What a template leaves open; the letters cannot occur in an invoice.
_MARKS = {"Id": "\ue001", "Created": "\ue002", "Updated": "\ue003", "Date": "\ue004"}
_MARKS |= {"Number": "\ue005", "Due": "\ue006"}


class Made(Record):
    """A record whose JSON is made when it is wanted, and whose content when that is."""

    def __init__(self, series: "Series", index: int) -> None:
        self._series, self._index = series, index
        self.number = FIRST_ID + index
        self.id = str(self.number)
        self.updated = series.updated(index)

    @cached_property
    def raw(self) -> msgspec.Raw:
        """The invoice as JSON."""
        return msgspec.Raw(self._series.json(self._index))

    def __getattr__(self, name: str) -> Any:
        if name != "data":
            raise AttributeError(name)
        self.data = exact.decode(bytes(self.raw))
        return self.data


@dataclass(frozen=True)
class Series:
    """`count` invoices up to `ends`; ids and times of change rise together, by index."""

    count: int
    ends: datetime
    templates: tuple[bytes, ...]

    @cached_property
    def begins(self) -> datetime:
        """When the first one was changed last."""
        return self.ends - SPAN

    def record(self, index: int) -> Record:
        """Return one invoice, the same for the same index."""
        return Made(self, index)

    def updated(self, index: int) -> datetime:
        """Return when it was changed last, in whole seconds."""
        return self.begins + timedelta(seconds=_second(index, self.count))

    def index_of(self, number: int) -> int | None:
        """Return the place of an id, None when it is not of this series."""
        index = number - FIRST_ID
        return index if 0 <= index < self.count else None

    def place_of(self, moment: datetime, after: bool = False) -> int:
        """Return how many were changed before the moment, or with `after` up to it."""
        seconds = (moment - self.begins).total_seconds()
        place = bisect_left(range(self.count), seconds, key=self._seconds)
        while after and place < self.count and self._seconds(place) <= seconds:
            place += 1
        return place

    def json(self, index: int) -> bytes:
        """Return one invoice as QuickBooks writes it."""
        updated = self.updated(index)
        created = to_seconds(updated - timedelta(minutes=7 * (index % 90)))
        due = (updated + timedelta(days=(15, 30, 60)[index % 3])).date().isoformat()
        number = FIRST_ID + index
        return self.templates[index % len(self.templates)] % {
            b"Id": b"%d" % number,
            b"Created": created.encode(),
            b"Updated": to_seconds(updated).encode(),
            b"Date": created[:10].encode(),
            b"Number": b"%d" % (number + 900),
            b"Due": due.encode(),
        }

    def _seconds(self, index: int) -> int:
        return _second(index, self.count)


def template(invoice: Json) -> bytes:
    """Return an invoice's JSON with its id, number and times left open."""
    times = {"CreateTime": _MARKS["Created"], "LastUpdatedTime": _MARKS["Updated"]}
    open_ = {"Id": _MARKS["Id"], "MetaData": times, "TxnDate": _MARKS["Date"]}
    if "DeliveryInfo" in invoice:
        open_["DeliveryInfo"] = {**invoice["DeliveryInfo"], "DeliveryTime": _MARKS["Created"]}
    for name, mark in (("DocNumber", "Number"), ("DueDate", "Due")):
        if name in invoice:
            open_[name] = _MARKS[mark]
    text = exact.encode({**invoice, **open_}).replace(b"%", b"%%")
    for name, mark in _MARKS.items():
        text = text.replace(mark.encode(), b"%%(%b)b" % name.encode())
    return text


def _second(index: int, count: int) -> int:
    return index * int(SPAN.total_seconds()) // max(count, 1)
