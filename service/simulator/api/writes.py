"""The writes, `POST /v3/company/<realmId>/<entity>`: their checks, and replies to repeated ids."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import exact_json, faults
from service.simulator.api import drafts
from service.simulator.api.gateway import answer
from service.simulator.books.book import record_problem
from service.simulator.books.company import Company
from service.simulator.books.ledger import Ledger
from service.simulator.books.schema import (
    ADDRESS_LENGTH,
    ENTITY_NAMES,
    LENGTHS,
    SCHEMA,
    shown,
    with_numbers,
)
from service.simulator.books.totals import money, unapplied
from service.simulator.clock import to_millis
from service.simulator.faults import not_found, unsupported
from service.simulator.records import NAMES, WRITABLE, Json, Record, is_id
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
        if operation not in actions or entity not in WRITABLE:
            raise unsupported(f"{operation} {entity}")
        if not isinstance(given, dict):
            raise unsupported(f"{operation} without an object")
        check_shape(entity, given)
        try:
            return actions[operation](entity, with_numbers(given))
        except ValueError as e:
            raise faults.unreadable(str(e)) from e

    def _save(self, entity: str, given: Json) -> Json:
        old = self._current(entity, given) if given.get("Id") else None
        before = old.data if old else {}
        data = drafts.merged(entity, given, before)
        problem = record_problem({**data, "Id": "1"}) or shape_problem(data)
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
            check_name(self._company, entity, data, id_)
            return data
        check_date(data, self._switches)
        if entity == "Payment":
            with self._ledger.without_payment(id_):
                check_payment(self._company, data, before)
                return drafts.payment(self._company, data, now)
        lines = data.get("Line", [])
        data["Line"] = [_priced(line) for line in lines]
        check_sale(self._company, entity, data, id_, self._switches)
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
        check_version(given, old)
        if entity not in NAMES:
            check_date(old.data, self._switches)
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


def check_shape(entity: str, given: Json) -> None:
    """Refuse unknown properties, texts that are too long, and ids that are not numbers."""
    known = SCHEMA[entity]
    for name in given:
        if name not in known:
            raise faults.unknown_property(name, entity, known)
    if given.get("Id") not in (None, "") and not is_id(str(given["Id"])):
        raise faults.invalid_id(given["Id"])
    for name, most in LENGTHS.items():
        _check_length(name, given.get(name), most)
    for name in ("BillEmail", "PrimaryEmailAddr"):
        if isinstance(given.get(name), dict):
            _check_length(f"{name}.Address", given[name].get("Address"), ADDRESS_LENGTH)


def shape_problem(data: Json) -> str | None:
    """Return which part of an object has the wrong type, or None."""
    for name, value in data.items():
        if name.endswith(("Ref", "Addr", "Memo", "Email")) and not isinstance(value, dict):
            return f"{name} must be an object"
        if name in LENGTHS and not isinstance(value, str):
            return f"{name} must be a text"
    for line in data.get("Line", []):
        links = line.get("LinkedTxn", [])
        if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
            return "LinkedTxn must be a list of objects"
        for name, value in line.items():
            if name.endswith("Detail") and not isinstance(value, dict):
                return f"{name} must be an object"
    return None


def check_version(given: Json, old: Record) -> None:
    """Refuse an old SyncToken."""
    if given.get("SyncToken") in (None, ""):
        raise faults.missing("SyncToken")
    if str(given["SyncToken"]) != old.data["SyncToken"]:
        raise faults.stale()


def check_date(data: Json, switches: Switches) -> None:
    """Refuse a transaction dated in closed books."""
    closed = switches.books_closed_until
    if closed is not None and str(data.get("TxnDate", "9")) <= closed.isoformat():
        raise faults.books_closed()


def check_sale(company: Company, entity: str, data: Json, id_: str, switches: Switches) -> None:
    """Refuse an invoice or credit memo without lines or customer, or with a used number."""
    if not data.get("Line"):
        raise faults.missing("Line")
    for line in data["Line"]:
        if not isinstance(line, dict) or not line.get("DetailType"):
            raise faults.missing("DetailType")
        if line["DetailType"] == "SalesItemLineDetail" and "Amount" not in line:
            raise faults.missing("Amount")
    check_customer(company, data)
    number = data.get("DocNumber")
    if switches.unique_numbers and number and _is_taken(company, entity, "DocNumber", number, id_):
        raise faults.duplicate_number(number)


def check_customer(company: Company, data: Json) -> None:
    """Refuse a transaction without customer, or of an unknown or inactive one."""
    ref = data.get("CustomerRef")
    if not isinstance(ref, dict) or not ref.get("value"):
        raise faults.missing("CustomerRef")
    customer = company.shelves["Customer"].get(str(ref["value"]))
    if customer is None:
        raise faults.invalid_reference(ref["value"])
    if customer.data.get("Active") is False:
        raise not_found()


def check_payment(company: Company, data: Json, before: Json) -> None:
    """Refuse a payment without amount, or of more than is open or paid.

    What it paid before the change may be of kinds that the simulator does not have.
    """
    check_customer(company, data)
    if "TotalAmt" not in data:
        raise faults.business("You must set a transaction amount.")
    applied: dict[str, Decimal] = {}
    as_before = [_paid(line) for line in before.get("Line", [])]
    for line in data.get("Line", []):
        if _paid(line) in as_before:
            continue
        if not line.get("LinkedTxn"):
            raise faults.missing("LinkedTxn")
        for link in line["LinkedTxn"]:
            record = _linked(company, link)
            amount = applied.get(record.id, Decimal(0)) + money(line, "Amount")
            applied[record.id] = amount
            name = "RemainingCredit" if link["TxnType"] == "CreditMemo" else "Balance"
            if amount > money(record.data, name):
                raise faults.business("You can't apply more than the open balance.")
    if unapplied(data) < 0:
        raise faults.business("The amount applied is more than the amount of the payment.")


def _paid(line: Json) -> tuple[Any, Any]:
    return line.get("LinkedTxn"), line.get("Amount")


def check_name(company: Company, entity: str, data: Json, id_: str) -> None:
    """Refuse a customer without a name, with a used name, or under an unknown parent."""
    if not data.get("DisplayName"):
        raise faults.missing("DisplayName")
    if _is_taken(company, entity, "DisplayName", data["DisplayName"], id_):
        raise faults.duplicate_name()
    parent = data.get("ParentRef")
    if parent and company.shelves["Customer"].get(str(parent.get("value"))) is None:
        raise faults.invalid_reference(parent.get("value"))


def _linked(company: Company, link: Json) -> Record:
    kind, id_ = link.get("TxnType"), str(link.get("TxnId", ""))
    if kind not in ("Invoice", "CreditMemo"):
        raise faults.invalid_reference(id_)
    record = company.shelves[kind].get(id_)
    if record is None:
        raise not_found()
    return record


def _is_taken(company: Company, entity: str, name: str, value: str, id_: str) -> bool:
    wanted = value.casefold()
    others = (r.data for r in company.shelves[entity].by_id() if r.id != id_)
    return any(str(other.get(name, "")).casefold() == wanted for other in others)


def _check_length(name: str, value: Any, most: int) -> None:
    if isinstance(value, str) and len(value) > most:
        raise faults.too_long(name, most, len(value))
