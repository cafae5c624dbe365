"""`POST /v3/company/<realmId>/batch`: up to thirty queries and writes in one call."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import refusals, search
from service.simulator.answers import simulator_of
from service.simulator.company import Company
from service.simulator.faults import Fault, unsupported
from service.simulator.gateway import answer
from service.simulator.properties import ENTITY_NAMES
from service.simulator.query import parse
from service.simulator.records import ENTITIES, Json
from service.simulator.simulator import Simulator
from service.simulator.write_api import decoded, written_by


async def batch(request: Request) -> Response:
    """Answer 200 whatever became of the items; each has its own answer under its `bId`."""
    simulator, body = simulator_of(request), await request.body()

    def work(company: Company) -> Json:
        items = _items(decoded(body))
        most = simulator.switches.batch_items
        if len(items) > most:
            raise refusals.business(f"A batch of {len(items)} items is more than {most}.")
        return {"BatchItemResponse": [_answered(simulator, company, item) for item in items]}

    return await answer(request, "batch", None, work, reads=_queries(body))


def _items(given: Any) -> list[Json]:
    items = given.get("BatchItemRequest") if isinstance(given, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise refusals.missing("BatchItemRequest")
    return items


def _queries(body: bytes) -> int:
    """Return how many reads a batch is; the reference does not say how they are counted."""
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
        found = search.run(company, parse(str(item["Query"])), simulator.switches)
        return {"QueryResponse": found}
    entity = next((name for name in item if ENTITY_NAMES.get(name.lower()) in ENTITIES), None)
    if entity is None:
        raise unsupported("batch of this entity")
    operation = str(item.get("operation", ""))
    if operation == "update" and item.get("optionsData") == "void":
        operation = "void"
    return written_by(simulator, company, entity, operation, item[entity])


routes = [Route("/v3/company/{realm}/batch", batch, methods=["POST"])]
