"""One QuickBooks company: its CompanyInfo and its records."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from service.simulator.books.profile import Profile
from service.simulator.clock import to_seconds
from service.simulator.faults import Fault, poisoned
from service.simulator.limits import Windows
from service.simulator.records import ENTITIES, Json, Record, Shelf

KEPT_REPLIES = 10_000


class Company:
    """What belongs to one realm id; the caller holds the simulator's lock."""

    def __init__(self, realm: str, info: Json | None = None, *, now: datetime) -> None:
        self.realm = realm
        self.poison: dict[tuple[str, int], Fault] = {}
        self.replies: dict[str, Json] = {}
        self.used = Windows()
        self.profile = Profile(now)
        self.shelves = {entity: Shelf() for entity in ENTITIES}
        self.shelves["CompanyInfo"] = Shelf()
        self.shelves["CompanyInfo"].put(Record(with_defaults(_company_info(realm, info), now)))

    @property
    def info(self) -> Record:
        return self.shelves["CompanyInfo"].by_id()[0]

    @property
    def user(self) -> str:
        """The id of the user who makes the changes, another one than the company's."""
        return str(int(self.realm) + 12)

    @property
    def name(self) -> str:
        return str(self.info.data.get("CompanyName") or self.realm)

    def reply(self, request_id: str, answer: Json) -> None:
        """Store the answer to this request id, for repetitions."""
        if len(self.replies) >= KEPT_REPLIES:
            del self.replies[next(iter(self.replies))]
        self.replies[request_id] = answer

    def turn_poison(self, entity: str, id_: str) -> None:
        """Make the record unreadable, or readable again."""
        key = entity, int(id_)
        if self.poison.pop(key, None) is None:
            self.poison[key] = poisoned()

    def check(self, entity: str, numbers: Iterable[int]) -> None:
        """Raise the fault of the first unreadable one of these objects."""
        if self.poison:
            for number in numbers:
                if fault := self.poison.get((entity, number)):
                    raise fault

    def set_info(self, info: Json, now: datetime) -> Record:
        record = Record(with_defaults(_company_info(self.realm, info), now))
        self.shelves["CompanyInfo"] = Shelf()
        self.shelves["CompanyInfo"].put(record)
        return record

    def load(self, entity: str, records: list[Json], now: datetime) -> None:
        """Store a book's records, with defaults."""
        for data in records:
            self.shelves[entity].put(Record(with_defaults(data, now)))
            self.profile.learn(entity, data)


def with_defaults(data: Json, now: datetime) -> Json:
    """Return the record with SyncToken and MetaData, which every real record has."""
    stamp = to_seconds(now)
    meta: dict[str, Any] = dict(data.get("MetaData") or {})
    meta.setdefault("CreateTime", meta.get("LastUpdatedTime", stamp))
    meta.setdefault("LastUpdatedTime", stamp if "MetaData" not in data else meta["CreateTime"])
    return {**data, "SyncToken": data.get("SyncToken", "0"), "MetaData": meta}


def _company_info(realm: str, info: Json | None) -> Json:
    return {"Id": "1", "CompanyName": f"Company {realm}", "domain": "QBO", **(info or {})}
