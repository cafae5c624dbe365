"""The accounting API: `/v3/company/<realmId>/…`."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import cdc, exact, search
from service.simulator.answers import scripted, simulator_of, to_response
from service.simulator.clock import to_millis
from service.simulator.company import Company
from service.simulator.faults import (
    JSON,
    Answer,
    Fault,
    not_found,
    unauthenticated,
    unauthorized,
    unparsable,
    unsupported,
)
from service.simulator.grants import ACCOUNTING
from service.simulator.properties import ENTITY_NAMES
from service.simulator.query import parse
from service.simulator.records import Json
from service.simulator.script import Call
from service.simulator.simulator import Simulator

Work = Callable[[Company], Json]


async def query(request: Request) -> Response:
    """Answer a SELECT, sent as a parameter or as a body."""
    if request.method == "POST":
        source = (await request.body()).decode(errors="replace")
    else:
        source = request.query_params.get("query", "")

    def work(company: Company) -> Json:
        if not source.strip():
            raise unparsable("<EOF>", 1)
        return {"QueryResponse": search.run(company, parse(source))}

    return await _answer(request, "query", _entity_of(source), work)


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
        return {entity: record.raw}

    return await _answer(request, "read", entity or kind, work)


async def companyinfo(request: Request) -> Response:
    """Answer the company's own record, by the realm id or by its Id."""

    def work(company: Company) -> Json:
        if request.path_params["id"] not in (company.realm, company.info.id):
            raise not_found()
        return {"CompanyInfo": company.info.raw}

    return await _answer(request, "companyinfo", "CompanyInfo", work)


async def changed(request: Request) -> Response:
    """Answer what changed since a moment."""
    simulator, params = simulator_of(request), request.query_params

    def work(company: Company) -> Json:
        since = params.get("changedSince", "")
        groups = cdc.changes(company, params.get("entities", ""), since, simulator.clock.now())
        return {"CDCResponse": [{"QueryResponse": groups}]}

    return await _answer(request, "cdc", params.get("entities"), work)


async def unknown(request: Request) -> Response:
    """Refuse what this API does not have."""

    def work(_: Company) -> Json:
        raise unsupported(f"{request.method} {request.path_params['path']}")

    return await _answer(request, "other", None, work)


async def _answer(request: Request, kind: str, entity: str | None, work: Work) -> Response:
    """Return the scripted answer or the ordinary one, counted either way."""
    simulator = simulator_of(request)
    realm, token = request.path_params["realm"], _bearer(request)
    response = await scripted(simulator, Call(kind, realm, entity, token))
    if response is None:
        with simulator.lock:
            response = to_response(_ordinary(simulator, realm, token, work))
    with simulator.lock:
        simulator.calls.count(realm, kind, response.status_code)
    return response


def _ordinary(simulator: Simulator, realm: str, token: str, work: Work) -> Answer:
    now = simulator.clock.now()
    try:
        company = _authorised(simulator, realm, token)
        body = exact.encode({**work(company), "time": to_millis(now)})
    except Fault as fault:
        return fault.answer(now)
    return Answer(200, body, JSON, {"QBO-Version": "1988.128"})


def _authorised(simulator: Simulator, realm: str, token: str) -> Company:
    grant = simulator.grants.opened_by(token, simulator.clock.now())
    if grant is None:
        raise unauthenticated(token)
    company = simulator.companies.get(realm)
    if grant.realm != realm or company is None or ACCOUNTING not in grant.scope.split():
        raise unauthorized()
    return company


def _entity_of(source: str) -> str | None:
    try:
        return parse(source).entity
    except Fault:
        return None


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


routes = [
    Route("/v3/company/{realm}/query", query, methods=["GET", "POST"]),
    Route("/v3/company/{realm}/cdc", changed),
    Route("/v3/company/{realm}/companyinfo/{id}", companyinfo),
    Route("/v3/company/{realm}/{entity}/{id}", read),
    Route("/v3/company/{realm}/{path:path}", unknown, methods=["GET", "POST", "PUT", "DELETE"]),
]
