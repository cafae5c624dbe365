"""What the records of a company tell about it, for the new ones that QuickBooks completes."""

from datetime import UTC, datetime
from typing import Any

from service.simulator.books.totals import SALES as SALES_LINE
from service.simulator.clock import parse_instant
from service.simulator.records import Json, is_id
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
