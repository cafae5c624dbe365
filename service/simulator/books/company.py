"""One QuickBooks company: its CompanyInfo, its records, and what these tell for new ones."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from service.simulator.books.totals import SALES as SALES_LINE
from service.simulator.clock import parse_instant, to_seconds
from service.simulator.faults import Fault, poisoned
from service.simulator.limits import Windows
from service.simulator.records import ENTITIES, Json, Record, Shelf, is_id
from service.simulator.switches import Switches

# Since then every call gets the fields of minor version 75, whatever it asks for.
ALL_FIELDS_SINCE = datetime(2025, 8, 1, tzinfo=UTC)
ADDRESSES = ("BillAddr", "ShipAddr", "ShipFromAddr")
# QuickBooks adds these only where a company's settings want them.
OPTIONAL = {
    "BillAddr", "ShipAddr", "LinkedTxn", "CustomField", "CurrencyRef", "TxnTaxDetail",
    "AllowIPNPayment", "AllowOnlinePayment", "AllowOnlineCreditCardPayment",
    "AllowOnlineACHPayment", "ProcessPayment", "DepositToAccountRef",
}  # fmt: skip
SERVICES: Json = {"value": "1", "name": "Services"}


class Profile:
    """Items, custom fields and address ids that occur, and when the company was last changed."""

    def __init__(self, now: datetime) -> None:
        self._begun = now
        self._newest: datetime | None = None
        self._items: dict[str, Json] = {}
        self._custom_fields: list[Json] = []
        self._names: dict[str, set[str]] = {}
        self._last_address = 0

    def learn(self, entity: str, data: Json) -> None:
        """Note what one record of the book tells."""
        if "domain" in data:  # all that QuickBooks had to say about it
            self._names.setdefault(entity, set()).update(data)
        changed = data.get("MetaData", {}).get("LastUpdatedTime")
        if changed:
            instant = parse_instant(changed)
            self._newest = max(self._newest or instant, instant)
        for name in ADDRESSES:
            self._see_address(data.get(name))
        fields = _objects(data.get("CustomField"))
        self._custom_fields = [_definition(part) for part in fields] or self._custom_fields
        for line in _objects(data.get("Line")):
            detail = line.get(SALES_LINE)
            if isinstance(detail, dict) and isinstance(detail.get("ItemRef"), dict):
                self._items[str(detail["ItemRef"].get("value"))] = detail

    def has_all_fields(self, switches: Switches) -> bool:
        """Whether answers have the fields of 2026: as switched, else by the newest record.

        A company without dated records goes by the clock.
        """
        if switches.fields != "as the book":
            return switches.fields == "2026"
        return (self._newest or self._begun) >= ALL_FIELDS_SINCE

    def like_the_others(self, entity: str, data: Json, given: Json) -> Json:
        """Return the record without what was only added, and none of its kind has here."""
        others = self._names.get(entity)
        if others is None:
            return data
        unwanted = OPTIONAL - others - set(given)
        return {name: value for name, value in data.items() if name not in unwanted}

    def item_name(self, id_: str) -> str:
        """Return the name of an item; one that no record names is called Services."""
        ref = self._items.get(id_, {}).get("ItemRef", SERVICES)
        return str(ref.get("name", SERVICES["name"]))

    def item_account(self, id_: str) -> Json:
        """Return the income account of an item."""
        account: Json = self._items.get(id_, {}).get("ItemAccountRef") or SERVICES
        return account

    def with_definitions(self, given: list[Json]) -> list[Json]:
        """Return the company's custom fields, with the values that are given."""
        values = {str(field.get("DefinitionId")): field for field in _objects(given)}
        known = [
            {**field, **values.pop(str(field.get("DefinitionId")), {})}
            for field in self._custom_fields
        ]
        return [*known, *values.values()]

    def with_id(self, address: Json, old: Any = None) -> Json:
        """Return an address with its Id: the old one's if it says the same, else a new one."""
        if address.get("Id"):
            self._see_address(address)
            return address
        if isinstance(old, dict) and "Id" in old and _text_of(old) == _text_of(address):
            return {"Id": old["Id"], **address}
        self._last_address += 1
        return {"Id": str(self._last_address), **address}

    def _see_address(self, address: Any) -> None:
        if isinstance(address, dict) and is_id(address.get("Id")):
            self._last_address = max(self._last_address, int(address["Id"]))


def _objects(value: Any) -> list[Json]:
    """Return the objects of a list; a book may hold anything, so that clients can be tried."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _definition(custom_field: Json) -> Json:
    return {k: v for k, v in custom_field.items() if not k.endswith("Value")}


def _text_of(address: Json) -> Json:
    return {k: v for k, v in address.items() if k not in ("Id", "Lat", "Long")}


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
