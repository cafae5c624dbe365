"""Change data capture: what changed since a moment, deleted objects as stubs."""

from datetime import datetime, timedelta
from typing import Any

from service.simulator.clock import parse_instant, to_seconds
from service.simulator.company import Company
from service.simulator.faults import Fault, invalid_query
from service.simulator.properties import ENTITY_NAMES
from service.simulator.records import Json

MOST_OBJECTS = 1000
FURTHEST = timedelta(days=30)


def changes(company: Company, entities: str, changed_since: str, now: datetime) -> list[Json]:
    """Return one group per entity asked for, 1,000 objects in all; raises Fault."""
    names = [_entity(name.strip()) for name in entities.split(",") if name.strip()]
    if not names:
        raise _missing("entities")
    since = _since(changed_since, now)
    groups, room = [], MOST_OBJECTS
    for entity in names:
        objects = _objects(company, entity, since, room)
        room -= len(objects)
        groups.append(_group(entity, objects))
    return groups


def _entity(name: str) -> str:
    entity = ENTITY_NAMES.get(name.lower())
    if entity is None or entity == "CompanyInfo":
        raise invalid_query(f"invalid context declaration: {name}")
    return entity


def _since(text: str, now: datetime) -> datetime:
    if not text:
        raise _missing("changedSince")
    try:
        since = parse_instant(text.replace(" ", "+"))
    except ValueError:
        message, detail = "Invalid Date", f"Invalid Date : Supplied value: {text}"
        raise Fault("2060", message, detail) from None
    if since < now - FURTHEST:
        # The code of this refusal is not in the reference; 2030 is "invalid value" there.
        detail = "changedSince must be within the last 30 days."
        raise Fault("2030", "Invalid changedSince", detail)
    return since


def _missing(name: str) -> Fault:
    message = "Required param missing, need to supply the required value for the API"
    return Fault("2020", message, f"Required parameter {name} is missing in the request")


def _objects(company: Company, entity: str, since: datetime, room: int) -> list[Any]:
    shelf = company.shelves[entity]
    live = shelf.by_change((since, True))[:room]
    company.check(entity, (record.number for record in live))
    objects: list[Any] = [record.raw for record in live]
    gone = sorted((at, number) for number, at in shelf.deleted.items() if at >= since)
    return objects + [_stub(number, at) for at, number in gone[: room - len(objects)]]


def _stub(number: int, at: datetime) -> Json:
    meta = {"LastUpdatedTime": to_seconds(at)}
    return {"status": "Deleted", "domain": "QBO", "Id": str(number), "MetaData": meta}


def _group(entity: str, objects: list[Any]) -> Json:
    if not objects:
        return {}
    count = len(objects)
    return {entity: objects, "startPosition": 1, "maxResults": count, "totalCount": count}
