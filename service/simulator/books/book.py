"""A book: the companies that a simulator starts with, as raw QuickBooks JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.simulator import exact_json
from service.simulator.clock import parse_instant
from service.simulator.records import ENTITIES, Json, is_id


class BookError(ValueError):
    """A book cannot be used; the message is one line that says where and why."""


@dataclass(frozen=True)
class Book:
    """Checked companies: {realm id: {"CompanyInfo": …, entity: [records]}}."""

    companies: dict[str, Json]

    @classmethod
    def read(cls, path: Path | str) -> "Book":
        """Return the book in a file; raises BookError."""
        try:
            value = exact_json.decode(Path(path).read_bytes())
        except OSError as e:
            raise BookError(f"{path}: cannot be read: {e.strerror}") from e
        except ValueError as e:
            raise BookError(f"{path}: {e}") from e
        return cls._checked(value, str(path))

    @classmethod
    def of(cls, value: Any, *, source: str = "book") -> "Book":
        """Return the book from a JSON-like value; raises BookError."""
        try:
            value = exact_json.decode(exact_json.encode(value))
        except TypeError as e:
            raise BookError(f"{source}: is not JSON: {e}") from e
        return cls._checked(value, source)

    @classmethod
    def _checked(cls, value: Any, source: str) -> "Book":
        if not isinstance(value, dict):
            raise BookError(f"{source}: must be an object of realm ids, not {_kind(value)}")
        for realm, company in value.items():
            if not is_id(realm):
                raise BookError(f"{source}: {_short(realm)} is not a realm id (digits only)")
            _check_company(f"{source}: company {realm}", company)
        return cls(value)


def _check_company(where: str, company: Any) -> None:
    if not isinstance(company, dict):
        raise BookError(f"{where}: must be an object, not {_kind(company)}")
    for key, value in company.items():
        if key == "CompanyInfo":
            if not isinstance(value, dict):
                raise BookError(f"{where}: CompanyInfo: must be an object, not {_kind(value)}")
            problem = record_problem({"Id": "1", **value})
            if problem:
                raise BookError(f"{where}: CompanyInfo: {problem}")
        elif key == "Generated":
            _check_generated(f"{where}: Generated", value)
        elif key in ENTITIES:
            _check_records(f"{where}: {key}", value)
        else:
            known = ", ".join(("CompanyInfo", "Generated", *ENTITIES))
            raise BookError(f"{where}: {_short(key)} is not one of {known}")


def _check_generated(where: str, value: Any) -> None:
    if not isinstance(value, dict) or set(value) != {"Invoice"}:
        raise BookError(f'{where}: must be {{"Invoice": how many}}')
    count = value["Invoice"]
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 10**8:
        raise BookError(f"{where}: Invoice must be a number up to 100000000, not {_short(count)}")


def _check_records(where: str, records: Any) -> None:
    if not isinstance(records, list):
        raise BookError(f"{where}: must be a list, not {_kind(records)}")
    seen: dict[int, int] = {}
    for index, data in enumerate(records):
        problem = record_problem(data)
        if problem:
            raise BookError(f"{where}[{index}]: {problem}")
        earlier = seen.setdefault(int(data["Id"]), index)
        if earlier != index:
            raise BookError(f"{where}[{index}]: Id {data['Id']} is already used at [{earlier}]")


def record_problem(data: Any) -> str | None:
    """Return in words what makes a record unusable, or None."""
    if not isinstance(data, dict):
        return f"must be an object, not {_kind(data)}"
    if "Id" not in data:
        return "Id is missing"
    if not is_id(data["Id"]):
        return f"Id must be a text of digits, not {_short(data['Id'])}"
    if "SyncToken" in data and not is_id(data["SyncToken"]):
        return f"SyncToken must be a text of digits, not {_short(data['SyncToken'])}"
    return _meta_problem(data.get("MetaData", {})) or _shape_problem(data)


def _meta_problem(meta: Any) -> str | None:
    if not isinstance(meta, dict):
        return f"MetaData must be an object, not {_kind(meta)}"
    for name in ("CreateTime", "LastUpdatedTime"):
        if name in meta:
            try:
                parse_instant(meta[name])
            except (TypeError, ValueError):
                return f"MetaData.{name} is not a time: {_short(meta[name])}"
    return None


def _shape_problem(data: Json) -> str | None:
    for name in ("Line", "LinkedTxn"):
        parts = data.get(name, [])
        if not isinstance(parts, list):
            return f"{name} must be a list, not {_kind(parts)}"
        for index, part in enumerate(parts):
            if not isinstance(part, dict):
                return f"{name}[{index}] must be an object, not {_kind(part)}"
    for name in ("CustomerRef", "BillEmail", "TxnTaxDetail", "CurrencyRef"):
        if not isinstance(data.get(name, {}), dict):
            return f"{name} must be an object, not {_kind(data[name])}"
    return None


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
