"""`POST /v3/company/<realmId>/<entity>`: the writes, and the answers that are given twice."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import exact, refusals
from service.simulator.answers import simulator_of
from service.simulator.clock import to_millis
from service.simulator.company import Company
from service.simulator.faults import unsupported
from service.simulator.gateway import answer
from service.simulator.properties import ENTITY_NAMES
from service.simulator.records import Json
from service.simulator.simulator import Simulator
from service.simulator.writing import Writer

LONGEST_REQUEST_ID = 50
NOT_UTF8 = (
    "com.sun.org.apache.xerces.internal.impl.io.MalformedByteSequenceException: "
    "Invalid byte 1 of 1-byte UTF-8 sequence"
)


async def write(request: Request) -> Response:
    """Create, update, void or delete one object."""
    simulator, kind = simulator_of(request), request.path_params["entity"]
    body = await request.body()
    entity = ENTITY_NAMES.get(kind)
    operation = _operation(request, body)
    request_id = request.query_params.get("requestid", "")

    def work(company: Company) -> Json:
        if entity is None:
            raise unsupported(f"POST {kind}")
        if len(request_id) > LONGEST_REQUEST_ID:
            raise refusals.too_long("requestid", LONGEST_REQUEST_ID, len(request_id))
        if request_id in company.replies:
            return company.replies[request_id]
        written = written_by(simulator, company, entity, operation, decoded(body))
        if request_id:
            written["time"] = to_millis(simulator.clock.now())
            company.reply(request_id, written)
        return written

    return await answer(request, operation, entity or kind, work, reads=0)


def written_by(
    simulator: Simulator, company: Company, entity: str, operation: str, given: Any
) -> Json:
    """Return the envelope of a write that has been done and announced; raises Fault."""
    written, _ = simulator.change(
        company.realm,
        lambda ledger: Writer(ledger, simulator.switches).write(entity, operation, given),
    )
    return written


def decoded(body: bytes) -> Any:
    """Return the JSON of a request; raises Fault."""
    try:
        body.decode()
    except UnicodeDecodeError:
        raise unsupported(NOT_UTF8) from None
    try:
        return exact.decode(body)
    except ValueError:
        raise refusals.unreadable("Unexpected character") from None


def _operation(request: Request, body: bytes) -> str:
    """Return what is wanted; payments are voided by an update that includes it."""
    asked = request.query_params.get("operation", "")
    if asked == "update" and request.query_params.get("include") == "void":
        return "void"
    if asked:
        return asked
    try:
        given = exact.decode(body)
    except ValueError:
        return "create"
    return "update" if isinstance(given, dict) and given.get("Id") else "create"


routes = [Route("/v3/company/{realm}/{entity}", write, methods=["POST"])]
