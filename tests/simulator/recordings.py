"""Recorded traffic of the real QuickBooks: where it is, and what its companies held before each.

Its format is in the README beside it. It belongs to others, so it is never part of this project.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

Json = dict[str, Any]
VARIABLE = "QUICKBOOKS_RECORDINGS"
FOLDER = Path(__file__).parents[2] / ".." / "shared" / "data" / "recorded"
REALM = "9341455000000001"
# What the recorded requests leave out of the address of a company.
_COMPANY = re.compile(r"^/(?:v3/)?(?:company/[^/]+/)?")


def recordings_file() -> Path:
    """Return where the interactions are, whether they exist there or not."""
    return Path(os.environ.get(VARIABLE, FOLDER)).resolve() / "interactions.jsonl"


@dataclass(frozen=True)
class Recording:
    """One request and the real answer."""

    number: int
    raw: Json

    def __str__(self) -> str:
        source = Path(self.raw["file"]).name.removesuffix(".test.json").removesuffix(".yml")
        return f"{self.number} {source} {self.raw['kind'] or ''}".strip()

    @property
    def company(self) -> tuple[str, str]:
        """Whose books these are: the repository has one company, or names several."""
        found = re.search(r"/company/(\d+)/", self.raw["path"])
        return self.raw["repo"], found[1] if found else ""

    @cached_property
    def at(self) -> datetime:
        """The moment that the answer names, else that of the recording."""
        named = self.answer.get("time") if isinstance(self.answer, dict) else None
        if isinstance(named, str):
            return datetime.fromisoformat(named)
        at = self.raw["at"]
        return parsedate_to_datetime(at) if "," in at else datetime.fromisoformat(at)

    @property
    def answer(self) -> Any:
        return self.raw["body"]

    @property
    def is_oauth(self) -> bool:
        return self.raw["path"].startswith("/oauth2")

    @property
    def is_own_work(self) -> bool:
        """The simulator makes the answer, and does not only give back what was loaded."""
        wrote = self.raw["method"] == "POST" and self.resource != "query"
        return self.is_oauth or wrote or self.raw["status"] != 200

    @property
    def resource(self) -> str:
        """What the path names inside the company, such as `invoice/145`."""
        return _COMPANY.sub("", self.raw["path"])

    @property
    def statement(self) -> str:
        """The query, wherever it stood."""
        if self.resource != "query":
            return ""
        return parse_qs(self.raw["query"]).get("query", [self.raw["req_body"]])[0]

    @cached_property
    def given(self) -> Json:
        """The JSON that was sent, if it was JSON."""
        try:
            given = json.loads(self.raw["req_body"] or "{}")
        except ValueError:
            return {}
        return given if isinstance(given, dict) else {}

    def records(self) -> Iterator[tuple[str, Json]]:
        """Give every whole record of the answer with its entity."""
        yield from _records(self.answer)


def _records(value: Any) -> Iterator[tuple[str, Json]]:
    if isinstance(value, list):
        for part in value:
            yield from _records(part)
    if not isinstance(value, dict):
        return
    for name, part in value.items():
        if isinstance(part, dict) and "SyncToken" in part:
            yield name, part
        elif name in ("QueryResponse", "CDCResponse", "BatchItemResponse"):
            yield from _records(part)
        elif isinstance(part, list):
            yield from ((name, each) for each in part if _is_record(each))


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and "SyncToken" in value and "Id" in value


def read_recordings(path: Path) -> list[Recording]:
    """Return all interactions of a file, numbered from 0."""
    lines = path.read_text().splitlines()
    return [Recording(number, json.loads(line)) for number, line in enumerate(lines)]


def book_before(recording: Recording, everything: list[Recording]) -> Json:
    """Return what the company must have held when the request came.

    Of each record: the version that the request wants to change; else the last one seen before,
    else the first one seen after. What was created later is left out.
    """
    held: dict[str, dict[str, Json]] = {}
    seen = [other for other in everything if other.company == recording.company]
    later = [other for other in seen if other.at >= recording.at and other is not recording]
    earlier = [other for other in seen if other.at < recording.at]
    for other in (*reversed(sorted(later, key=_moment)), *sorted(earlier, key=_moment)):
        for entity, record in other.records():
            if datetime.fromisoformat(record["MetaData"]["CreateTime"]) <= recording.at:
                held.setdefault(entity, {})[record["Id"]] = record
    _add_answer(recording, everything, held)
    _add_customer(recording, held)
    # In no order that an answer could be right by chance with.
    return {
        entity: sorted(records.values(), key=lambda r: r["Id"][::-1])
        for entity, records in held.items()
    }


def _moment(recording: Recording) -> datetime:
    return recording.at


def _add_answer(
    recording: Recording, everything: list[Recording], held: dict[str, dict[str, Json]]
) -> None:
    """What the answer shows was there, apart from what the request itself has made."""
    rows = list(recording.records())
    if recording.resource == "batch":
        queried = [
            item for item in recording.answer["BatchItemResponse"] if "QueryResponse" in item
        ]
        rows = list(_records(queried))
    if recording.resource == "query" and not recording.is_own_work:
        [entity] = re.findall(r"(?i) from (\w+)", recording.statement)
        if " where " not in recording.statement.lower() and not _is_page(recording):
            held[entity] = {}
    given = next((part for part in recording.given.values() if isinstance(part, dict)), None)
    asked = recording.given if "Id" in recording.given else given or {}
    for entity, record in rows:
        mine = held.setdefault(entity, {})
        if not recording.is_own_work or recording.resource == "batch":
            mine[record["Id"]] = record
        elif "Id" in asked:
            mine[record["Id"]] = _read_before(recording, everything, entity, asked) or {
                **record,
                "SyncToken": asked["SyncToken"],
            }
        else:
            mine.pop(record["Id"], None)


def _read_before(
    recording: Recording, everything: list[Recording], entity: str, asked: Json
) -> Json | None:
    """Return the version that the request wants to change, as the same recording shows it."""
    same = (other for other in everything if other.raw["file"] == recording.raw["file"])
    shown = (part for other in same if other.number < recording.number for part in other.records())
    wanted = (entity, asked["Id"], asked["SyncToken"])
    return next((r for e, r in shown if (e, r["Id"], r["SyncToken"]) == wanted), None)


def _is_page(recording: Recording) -> bool:
    """The company held more than this answer shows."""
    limit = re.search(r"(?i) maxresults (\d+)", recording.statement)
    found = recording.answer.get("QueryResponse", {})
    return "(*)" in recording.statement or found.get("maxResults") == int(limit[1] if limit else 0)


def _add_customer(recording: Recording, held: dict[str, dict[str, Json]]) -> None:
    """The customer of what was written, whose name and addresses the answer repeats."""
    for _, record in recording.records():
        ref = record.get("CustomerRef")
        if recording.is_own_work and ref:
            named: Json = {"Id": ref["value"], "DisplayName": ref["name"]}
            addresses = {k: record[k] for k in ("BillAddr", "ShipAddr") if k in record}
            known = held.setdefault("Customer", {}).get(ref["value"], record["MetaData"])
            meta = known.get("MetaData", record["MetaData"])
            held["Customer"][ref["value"]] = {**known, "MetaData": meta, **named, **addresses}
