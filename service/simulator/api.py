"""The accounting API: `/v3/company/<realmId>/…`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import batch, cdc, search, write_api
from service.simulator.answers import simulator_of
from service.simulator.company import Company
from service.simulator.faults import Fault, not_found, unparsable, unsupported
from service.simulator.gateway import answer
from service.simulator.properties import ENTITY_NAMES
from service.simulator.query import parse
from service.simulator.records import Json


async def query(request: Request) -> Response:
    """Answer a SELECT, sent as a parameter or as a body."""
    if request.method == "POST":
        source = (await request.body()).decode(errors="replace")
    else:
        source = request.query_params.get("query", "")

    switches = simulator_of(request).switches

    def work(company: Company) -> Json:
        if not source.strip():
            raise unparsable("<EOF>", 1)
        return {"QueryResponse": search.run(company, parse(source), switches)}

    return await answer(request, "query", _entity_of(source), work, what=source)


async def read(request: Request) -> Response:
    """Answer one object by its id."""
    kind = request.path_params["entity"]
    entity = ENTITY_NAMES.get(kind)

    def work(company: Company) -> Json:
        if entity is None:
            raise unsupported(f"{request.method} {kind}")
        record = company.shelves[entity].get(request.path_params["id"])
        if record is None:
            raise not_found()
        if simulator_of(request).switches.poison_fails_reads:
            company.check(entity, (record.number,))
        return {entity: record.raw}

    return await answer(request, "read", entity or kind, work)


async def companyinfo(request: Request) -> Response:
    """Answer the company's own record, by the realm id or by its Id."""

    def work(company: Company) -> Json:
        if request.path_params["id"] not in (company.realm, company.info.id):
            raise not_found()
        return {"CompanyInfo": company.info.raw}

    return await answer(request, "companyinfo", "CompanyInfo", work)


async def changed(request: Request) -> Response:
    """Answer what changed since a moment."""
    simulator, params = simulator_of(request), request.query_params

    def work(company: Company) -> Json:
        since = params.get("changedSince", "")
        groups = cdc.changes(company, params.get("entities", ""), since, simulator.clock.now())
        return {"CDCResponse": [{"QueryResponse": groups}]}

    return await answer(request, "cdc", params.get("entities"), work)


async def unknown(request: Request) -> Response:
    """Refuse what this API does not have."""

    def work(_: Company) -> Json:
        raise unsupported(f"{request.method} {request.path_params['path']}")

    return await answer(request, "other", None, work)


def _entity_of(source: str) -> str | None:
    try:
        return parse(source).entity
    except Fault:
        return None


routes = [
    *batch.routes,
    Route("/v3/company/{realm}/query", query, methods=["GET", "POST"]),
    Route("/v3/company/{realm}/cdc", changed),
    Route("/v3/company/{realm}/companyinfo/{id}", companyinfo),
    Route("/v3/company/{realm}/{entity}/{id}", read),
    *write_api.routes,
    Route("/v3/company/{realm}/{path:path}", unknown, methods=["GET", "POST", "PUT", "DELETE"]),
]
