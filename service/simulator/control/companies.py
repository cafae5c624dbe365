"""`/_sim/companies`: changes the books, as a person in QuickBooks would."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.kit.tls import public_authorities
from service.simulator import exact_json
from service.simulator.books.book import record_problem
from service.simulator.books.ledger import Ledger
from service.simulator.books.schema import ENTITY_NAMES
from service.simulator.faults import Fault
from service.simulator.records import ENTITIES
from service.simulator.responses import json_response, simulator_of


async def companies(request: Request) -> Response:
    simulator = simulator_of(request)
    with simulator.lock:
        now = simulator.clock.now()
        found = [
            {
                "realmId": realm,
                "name": company.name,
                "connected": simulator.grants.connected(realm, now),
                **{entity: len(company.shelves[entity]) for entity in ENTITIES},
            }
            for realm, company in simulator.companies.items()
        ]
    return json_response({"companies": found})


async def put(request: Request) -> Response:
    """Create or replace one record, or a list of them in one delivery."""
    entity = _entity(request)
    if entity is None:
        return _unknown_entity(request)
    try:
        given = exact_json.decode(await request.body())
    except ValueError as e:
        return json_response({"error": str(e)}, 400)
    records = given if isinstance(given, list) else [given]
    for index, data in enumerate(records):
        problem = record_problem({"Id": "1", **data} if isinstance(data, dict) else data)
        if problem:
            return json_response({"error": f"{entity}[{index}]: {problem}"}, 400)

    def work(ledger: Ledger) -> Any:
        kept = [ledger.put(entity, data).raw for data in records]
        return kept if isinstance(given, list) else kept[0]

    return change(request, entity, work, create=True)


async def show(request: Request) -> Response:
    entity = _entity(request)
    if entity is None:
        return _unknown_entity(request)
    simulator = simulator_of(request)
    with simulator.lock:
        company = simulator.companies.get(request.path_params["realm"])
        record = company.shelves[entity].get(request.path_params["id"]) if company else None
    if record is None:
        return json_response({"error": "no such record"}, 404)
    return json_response({entity: record.raw})


async def delete(request: Request) -> Response:
    """Delete a transaction, make a customer inactive, or merge it into another one."""
    entity, id_ = _entity(request), request.path_params["id"]
    survivor = request.query_params.get("mergedInto")
    if entity is None:
        return _unknown_entity(request)
    if survivor and entity != "Customer":
        return json_response({"error": "only customers can be merged"}, 400)

    def work(ledger: Ledger) -> Any:
        return (ledger.merge(id_, survivor) if survivor else ledger.delete(entity, id_)).raw

    return change(request, entity, work)


async def act(request: Request) -> Response:
    id_, action = request.path_params["id"], request.path_params["action"]
    if action == "pay":
        try:
            amount = await _amount(request)
        except ValueError as e:
            return json_response({"error": str(e)}, 400)
        return change(request, "Payment", lambda ledger: ledger.pay(id_, amount).raw)
    entity = _entity(request)
    if action not in ("void", "emailed") or entity not in _VOIDABLE:
        return json_response({"error": f"unknown action {action!r}"}, 404)
    if action == "emailed":
        return change(request, "Invoice", lambda ledger: ledger.email(id_).raw)
    return change(request, entity, lambda ledger: ledger.void(id_, entity).raw)


async def disconnect(request: Request) -> Response:
    """Disconnect the app as a user inside QuickBooks would."""
    simulator, realm = simulator_of(request), request.path_params["realm"]
    with simulator.lock:
        done = simulator.grants.disconnect(realm)
        address = simulator.disconnect_address(realm)
    if not done or address is None:
        return json_response({"disconnected": done})
    try:
        async with httpx.AsyncClient(
            verify=public_authorities(), trust_env=False, timeout=10
        ) as browser:
            visited: int | None = (await browser.get(address)).status_code
    except httpx.HTTPError:
        visited = None
    return json_response({"disconnected": done, "disconnect_url": visited})


def change(
    request: Request, entity: str, work: Callable[[Ledger], Any], *, create: bool = False
) -> Response:
    """Do the work under the lock, announce its events, and answer the record."""
    simulator, realm = simulator_of(request), request.path_params["realm"]
    with simulator.lock:
        if not create and realm not in simulator.companies:
            return json_response({"error": f"no company {realm}"}, 404)
        try:
            record, webhook = simulator.change(realm, work)
        except Fault as fault:
            return json_response({"error": fault.message}, 404)
        except ValueError as e:
            return json_response({"error": str(e)}, 400)
    return json_response({entity: record, "webhook": webhook})


async def _amount(request: Request) -> Decimal | None:
    body = await request.body()
    given = exact_json.decode(body) if body.strip() else {}
    amount = given.get("amount") if isinstance(given, dict) else given
    try:
        return None if amount is None else Decimal(amount)
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError(f"amount is not a number: {amount!r}") from None


def _entity(request: Request) -> str | None:
    return ENTITY_NAMES.get(request.path_params["entity"].lower())


def _unknown_entity(request: Request) -> Response:
    known = ", ".join(ENTITY_NAMES.values())
    wanted = request.path_params["entity"]
    return json_response({"error": f"unknown entity {wanted!r}; known: {known}"}, 404)


_VOIDABLE = ("Invoice", "Payment", "CreditMemo")
_COMPANY = "/_sim/companies/{realm}"

routes = [
    Route("/_sim/companies", companies),
    Route(f"{_COMPANY}/disconnect", disconnect, methods=["POST"]),
    Route(f"{_COMPANY}/{{entity}}", put, methods=["PUT"]),
    Route(f"{_COMPANY}/{{entity}}/{{id}}", show),
    Route(f"{_COMPANY}/{{entity}}/{{id}}", delete, methods=["DELETE"]),
    Route(f"{_COMPANY}/{{entity}}/{{id}}/{{action}}", act, methods=["POST"]),
]
