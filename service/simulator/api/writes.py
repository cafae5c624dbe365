"""The writes, `POST /v3/company/<realmId>/<entity>`, and the replies to repeated request ids."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import exact_json, faults
from service.simulator.api import checks, drafts
from service.simulator.api.gateway import answer
from service.simulator.books.book import record_problem
from service.simulator.books.company import Company
from service.simulator.books.ledger import Ledger
from service.simulator.books.schema import ENTITY_NAMES, shown, with_numbers
from service.simulator.books.totals import money
from service.simulator.clock import to_millis
from service.simulator.faults import unsupported
from service.simulator.records import ENTITIES, NAMES, Json, Record
from service.simulator.responses import simulator_of
from service.simulator.state import Simulator
from service.simulator.switches import Switches

LONGEST_REQUEST_ID = 50
NOT_UTF8 = (
    "com.sun.org.apache.xerces.internal.impl.io.MalformedByteSequenceException: "
    "Invalid byte 1 of 1-byte UTF-8 sequence"
)


class Writer:
    """Carries out one write; a refused one changes nothing."""

    def __init__(self, ledger: Ledger, switches: Switches) -> None:
        self._ledger = ledger
        self._company = ledger.company
        self._switches = switches

    def write(self, entity: str, operation: str, given: Any) -> Json:
        """Return the envelope of what was written; raises Fault."""
        actions: dict[str, Callable[[str, Json], Json]] = {
            "create": self._save,
            "update": self._save,
            "void": self._void,
            "delete": self._delete,
        }
        if operation not in actions or entity not in ENTITIES:
            raise unsupported(f"{operation} {entity}")
        if not isinstance(given, dict):
            raise unsupported(f"{operation} without an object")
        checks.check_shape(entity, given)
        try:
            return actions[operation](entity, with_numbers(given))
        except ValueError as e:
            raise faults.unreadable(str(e)) from e

    def _save(self, entity: str, given: Json) -> Json:
        old = self._current(entity, given) if given.get("Id") else None
        before = old.data if old else {}
        data = drafts.merged(entity, given, before)
        problem = record_problem({**data, "Id": "1"}) or checks.shape_problem(data)
        if problem:
            raise faults.unreadable(problem)
        sparse = given.get("sparse") is True
        data = self._finished(entity, data, before, old.id if old else "", sparse)
        ledger = self._ledger
        record = ledger.update(entity, old, data) if old else ledger.put(entity, data)
        all_fields = self._company.profile.has_all_fields(self._switches)
        return {entity: shown(record, entity, "write", all_fields)}

    def _finished(self, entity: str, data: Json, before: Json, id_: str, sparse: bool) -> Json:
        now = self._ledger.now
        if entity == "Customer":
            data = drafts.customer(self._company, data, before, self._switches)
        if entity == "Vendor":
            data = drafts.vendor(self._company, data, before)
        if entity in NAMES:
            checks.check_name(self._company, entity, data, id_)
            return data
        checks.check_date(data, self._switches)
        if entity == "Payment":
            with self._ledger.without_payment(id_):
                checks.check_payment(self._company, data, before)
                return drafts.payment(self._company, data, now)
        lines = data.get("Line", [])
        data["Line"] = [_priced(line) for line in lines]
        checks.check_sale(self._company, entity, data, id_, self._switches)
        return drafts.sale(self._company, entity, data, before, now, self._switches, sparse=sparse)

    def _void(self, entity: str, given: Json) -> Json:
        if entity in NAMES or entity == "Estimate":
            raise unsupported(f"void {entity}")
        old = self._current(entity, given)
        return {entity: self._ledger.void(old.id, entity).raw}

    def _delete(self, entity: str, given: Json) -> Json:
        if entity in NAMES:
            # Customers are made inactive by an update instead.
            raise unsupported(f"delete {entity}")
        old = self._current(entity, given)
        self._ledger.delete(entity, old.id)
        return {entity: {"domain": "QBO", "status": "Deleted", "Id": old.id}}

    def _current(self, entity: str, given: Json) -> Record:
        if not given.get("Id"):
            raise faults.missing("Id")
        old = self._ledger.find(entity, str(given["Id"]))
        checks.check_version(given, old)
        if entity not in NAMES:
            checks.check_date(old.data, self._switches)
        return old


def _priced(line: Any) -> Any:
    """Return a sales line with its amount, computed from quantity and price."""
    detail = line.get("SalesItemLineDetail") if isinstance(line, dict) else None
    if not isinstance(detail, dict) or "Amount" in line:
        return line
    if "Qty" in detail and "UnitPrice" in detail:
        amount: Decimal = money(detail, "Qty") * money(detail, "UnitPrice")
        return {**line, "Amount": amount}
    return line


async def write(request: Request) -> Response:
    simulator, kind = simulator_of(request), request.path_params["entity"]
    body = await request.body()
    entity = ENTITY_NAMES.get(kind)
    operation = _operation(request, body)
    request_id = request.query_params.get("requestid", "")

    def work(company: Company) -> Json:
        if entity is None:
            raise unsupported(f"POST {kind}")
        if len(request_id) > LONGEST_REQUEST_ID:
            raise faults.too_long("requestid", LONGEST_REQUEST_ID, len(request_id))
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
    """Do and announce the write; return its envelope; raises Fault."""
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
        return exact_json.decode(body)
    except ValueError:
        raise faults.unreadable("Unexpected character") from None


def _operation(request: Request, body: bytes) -> str:
    """Return the operation; a payment is voided by an update with include=void."""
    asked = request.query_params.get("operation", "")
    if asked == "update" and request.query_params.get("include") == "void":
        return "void"
    if asked:
        return asked
    try:
        given = exact_json.decode(body)
    except ValueError:
        return "create"
    return "update" if isinstance(given, dict) and given.get("Id") else "create"


routes = [Route("/v3/company/{realm}/{entity}", write, methods=["POST"])]
