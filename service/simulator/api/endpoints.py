"""The accounting API, `/v3/company/<realmId>/…`: queries, reads, changes, batches."""

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import faults
from service.simulator.api import writes
from service.simulator.api.gateway import answer
from service.simulator.api.query import parse, run
from service.simulator.api.writes import decoded, written_by
from service.simulator.books.company import Company
from service.simulator.books.schema import ENTITY_NAMES, shown
from service.simulator.clock import parse_instant, to_seconds
from service.simulator.faults import Fault, invalid_query, not_found, unparsable, unsupported
from service.simulator.records import ENTITIES, Json, is_id
from service.simulator.responses import simulator_of
from service.simulator.state import Simulator

MOST_OBJECTS = 1000


async def query(request: Request) -> Response:
    """Answer a SELECT, sent as a parameter or as a body."""
    source = request.query_params.get("query", "")
    if request.method == "POST" and not source:
        source = (await request.body()).decode(errors="replace")

    switches = simulator_of(request).switches

    def work(company: Company) -> Json:
        if not source.strip():
            raise unparsable("<EOF>", 1)
        return {"QueryResponse": run(company, parse(source), switches)}

    return await answer(request, "query", _entity_of(source), work, what=source)


async def read(request: Request) -> Response:
    kind = request.path_params["entity"]
    entity = ENTITY_NAMES.get(kind)

    def work(company: Company) -> Json:
        if entity is None:
            raise unsupported(f"{request.method} {kind}")
        id_, switches = request.path_params["id"], simulator_of(request).switches
        if not is_id(id_):
            raise faults.invalid_id(id_)
        record = company.shelves[entity].get(id_)
        if record is None:
            raise not_found()
        if switches.poison_fails_reads:
            company.check(entity, (record.number,))
        all_fields = company.profile.has_all_fields(switches)
        return {entity: shown(record, entity, "read", all_fields)}

    return await answer(request, "read", entity or kind, work)


async def companyinfo(request: Request) -> Response:
    """Answer the company's own record, by realm id or Id."""

    def work(company: Company) -> Json:
        if request.path_params["id"] not in (company.realm, company.info.id):
            raise not_found()
        return {"CompanyInfo": company.info.raw}

    return await answer(request, "companyinfo", "CompanyInfo", work)


async def changed(request: Request) -> Response:
    simulator, params = simulator_of(request), request.query_params

    def work(company: Company) -> Json:
        since = params.get("changedSince", "")
        now, days = simulator.clock.now(), simulator.switches.changes_days
        groups = changes(company, params.get("entities", ""), since, now, days)
        return {"CDCResponse": [{"QueryResponse": groups}]}

    return await answer(request, "cdc", params.get("entities"), work)


def changes(
    company: Company, entities: str, changed_since: str, now: datetime, days: int | None = None
) -> list[Json]:
    """Return one group for each entity, 1,000 objects in all; raises Fault.

    Further back than `days` is refused: Intuit documents 30, and has answered nine years.
    """
    names = [_entity(name.strip()) for name in entities.split(",") if name.strip()]
    if not names:
        raise _missing("entities")
    since = _since(changed_since)
    if days is not None and since < now - timedelta(days=days):
        # The reference does not name this refusal's code; 2030 is "invalid value" there.
        detail = f"changedSince must be within the last {days} days."
        raise Fault("2030", "Invalid changedSince", detail)
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


def _since(text: str) -> datetime:
    if not text:
        raise _missing("changedSince")
    try:
        return parse_instant(text.replace(" ", "+"))
    except ValueError:
        message, detail = "Invalid Date", f"Invalid Date : Supplied value: {text}"
        raise Fault("2060", message, detail) from None


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
    return {entity: objects, "startPosition": 1, "maxResults": len(objects)}


async def unknown(request: Request) -> Response:
    def work(_: Company) -> Json:
        raise faults.no_resource(request.url.path, str(request.url.replace(query="")))

    return await answer(request, "other", None, work)


def _entity_of(source: str) -> str | None:
    try:
        return parse(source).entity
    except Fault:
        return None


async def batch(request: Request) -> Response:
    """Answer 200 with each item's own answer under its `bId`."""
    simulator, body = simulator_of(request), await request.body()

    def work(company: Company) -> Json:
        items = _items(decoded(body))
        most = simulator.switches.batch_items
        if len(items) > most:
            raise faults.batch_too_large(most, len(items))
        return {"BatchItemResponse": [_answered(simulator, company, item) for item in items]}

    return await answer(request, "batch", None, work, reads=_queries(body))


def _items(given: Any) -> list[Json]:
    items = given.get("BatchItemRequest") if isinstance(given, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise faults.missing("BatchItemRequest")
    return items


def _queries(body: bytes) -> int:
    """Return how many reads a batch counts as; a guess, because the reference does not say."""
    try:
        return sum("Query" in item for item in _items(decoded(body)))
    except Fault:
        return 0


def _answered(simulator: Simulator, company: Company, item: Json) -> Json:
    try:
        return {**_done(simulator, company, item), "bId": str(item.get("bId", ""))}
    except Fault as fault:
        return {"Fault": fault.body, "bId": str(item.get("bId", ""))}


def _done(simulator: Simulator, company: Company, item: Json) -> Json:
    if "Query" in item:
        found = run(company, parse(str(item["Query"])), simulator.switches)
        return {"QueryResponse": found}
    entity = next((name for name in item if ENTITY_NAMES.get(name.lower()) in ENTITIES), None)
    if entity is None:
        raise unsupported("batch of this entity")
    operation = str(item.get("operation", ""))
    if operation == "update" and item.get("optionsData") == "void":
        operation = "void"
    return written_by(simulator, company, entity, operation, item[entity])


batch_routes = [Route("/v3/company/{realm}/batch", batch, methods=["POST"])]

routes = [
    *batch_routes,
    Route("/v3/company/{realm}/query", query, methods=["GET", "POST"]),
    Route("/v3/company/{realm}/cdc", changed),
    Route("/v3/company/{realm}/companyinfo/{id}", companyinfo),
    Route("/v3/company/{realm}/{entity}/{id}", read),
    *writes.routes,
    Route("/v3/company/{realm}/{path:path}", unknown, methods=["GET", "POST", "PUT", "DELETE"]),
]
