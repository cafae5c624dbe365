"""The path of every accounting call: script, token, limits, then the meter."""

from collections.abc import Callable
from datetime import datetime
from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response

from service.simulator import exact_json
from service.simulator.books.company import Company
from service.simulator.clock import to_millis
from service.simulator.faults import (
    JSON,
    Answer,
    Fault,
    spoilt,
    throttled,
    unauthenticated,
    unauthorized,
)
from service.simulator.grants import ACCOUNTING
from service.simulator.records import Json
from service.simulator.responses import served, simulator_of, to_response
from service.simulator.script import Call
from service.simulator.state import Simulator

Work = Callable[[Company], Json]
HEADERS = {
    "QBO-Version": "1988.128",
    "Expires": "0",
    "Cache-Control": "max-age=0, no-cache, no-store, must-revalidate, private",
}


async def answer(
    request: Request,
    kind: str,
    entity: str | None,
    work: Work,
    *,
    reads: int = 1,
    what: str = "",
) -> Response:
    """Return the result of `work` in Intuit's envelope, or the fault that it raises."""
    simulator = simulator_of(request)
    realm = request.path_params["realm"]
    call = Call(kind, realm, entity, bearer(request), what or _path(request))
    accepted = request.headers.get("accept", "")
    as_xml = "xml" in accepted and "json" not in accepted

    def ordinary() -> Response:
        now = simulator.clock.now()
        try:
            return to_response(_ordinary(simulator, call, work, reads, now))
        except Fault as fault:
            return to_response(fault.xml(now) if as_xml else fault.answer(now))

    response = await served(request, call, ordinary)
    with simulator.lock:
        simulator.calls.count(realm, kind, response.status_code)
    return response


def bearer(request: Request) -> str:
    """Return the request's access token, or ""."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _path(request: Request) -> str:
    return request.url.path.partition(f"/{request.path_params['realm']}/")[2]


def _ordinary(simulator: Simulator, call: Call, work: Work, reads: int, now: datetime) -> Answer:
    began = perf_counter()
    company = _authorised(simulator, call)
    if not simulator.limits.admit(
        company.used, now, simulator.switches, reads=reads, batch=call.kind == "batch"
    ):
        fault = throttled(simulator.switches.retry_after)
        return fault.xml(now) if simulator.switches.throttled_as == "xml" else fault.answer(now)
    content = work(company)
    body = spoilt(exact_json.encode({**content, "time": content.get("time", to_millis(now))}))
    total = round((perf_counter() - began) * 1000)
    return Answer(200, body, JSON, {**HEADERS, "Service-Time": f"total={total}, db={total // 2}"})


def _authorised(simulator: Simulator, call: Call) -> Company:
    grant = simulator.grants.opened_by(call.token, simulator.clock.now())
    if grant is None:
        raise unauthenticated(call.token)
    company = simulator.companies.get(call.realm or "")
    if grant.realm != call.realm or company is None or ACCOUNTING not in grant.scope.split():
        raise unauthorized()
    return company
