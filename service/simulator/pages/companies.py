"""The simulator's pages: companies, invoices, and actions on them."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.simulator.api.drafts import next_number
from service.simulator.books.company import Company
from service.simulator.books.ledger import Ledger
from service.simulator.books.totals import money
from service.simulator.clock import pacific
from service.simulator.faults import Fault
from service.simulator.pages import invoice_form
from service.simulator.pages.invoice_form import FormError
from service.simulator.pages.render import render
from service.simulator.records import Json
from service.simulator.responses import simulator_of
from service.simulator.state import Simulator

PAGE = 50
DONE = {
    "created": "Invoice created.",
    "saved": "Invoice saved.",
    "pay": "Payment recorded.",
    "void": "Invoice voided.",
    "delete": "Invoice deleted.",
    "emailed": "Invoice marked as sent.",
    "poison": "QuickBooks can show that invoice no more, or again.",
    "disconnect": "The app is disconnected from this company.",
}


async def home(request: Request) -> Response:
    simulator = simulator_of(request)
    with simulator.lock:
        now = simulator.clock.now()
        companies = [
            {"company": company, "connected": simulator.grants.connected(realm, now)}
            for realm, company in simulator.companies.items()
        ]
        calls = simulator.calls.summary()
    page = {"companies": companies, "calls": calls, "webhooks": simulator.sender.last(25)}
    return _page(request, "home.html", {**page, "config": simulator.config})


async def company(request: Request) -> Response:
    """Show one company's invoices, newest change first."""
    simulator = simulator_of(request)
    with simulator.lock:
        found = _company(simulator, request)
        if found is None:
            return _missing(request, "company")
        invoices = found.shelves["Invoice"].by_change(descending=True)
        number = request.query_params.get("page", "1")
        pages = max(1, -(-len(invoices) // PAGE))
        current = min(max(int(number), 1), pages) if number.isdigit() else 1
        newest = invoices[(current - 1) * PAGE : current * PAGE]
        today = pacific(simulator.clock.now()).date().isoformat()
        rows = [_row(record.data, today) for record in newest]
        connected = simulator.grants.connected(found.realm, simulator.clock.now())
    page = {"company": found, "rows": rows, "page": current, "pages": pages}
    page |= {"total": len(invoices), "connected": connected}
    return _page(request, "company.html", {**page, "webhooks": simulator.sender.last(8)})


async def edit(request: Request) -> Response:
    """Show the form of an invoice, or of a new one."""
    simulator = simulator_of(request)
    with simulator.lock:
        found = _company(simulator, request)
        data = _invoice(found, request)
        if found is None or data is None:
            return _missing(request, "invoice")
        view = invoice_form.shown(data)
        if not data:
            view |= _suggested(found, pacific(simulator.clock.now()).date())
        return _form(request, found, data, view)


async def save(request: Request) -> Response:
    simulator = simulator_of(request)
    form = {key: str(value) for key, value in (await request.form()).items()}
    id_ = request.path_params.get("id")
    with simulator.lock:
        found = _company(simulator, request)
        data = _invoice(found, request)
        if found is None or data is None:
            return _missing(request, "invoice")
        try:
            fields = invoice_form.fields(form, data, _customers(found))
        except FormError as e:
            view = invoice_form.typed(form, data)
            return _form(request, found, data, view, problem=str(e), status=400)

        def work(ledger: Ledger) -> Any:
            if id_:
                return ledger.revise("Invoice", id_, fields)
            given = {name: value for name, value in fields.items() if value is not None}
            return ledger.put("Invoice", _NEW | given)

        simulator.change(found.realm, work)
    return _back(request, found.realm, "saved" if id_ else "created")


async def act(request: Request) -> Response:
    simulator, id_ = simulator_of(request), request.path_params["id"]
    action = request.path_params["action"]
    form = await request.form()
    actions: dict[str, Callable[[Ledger], Any]] = {
        "pay": lambda ledger: ledger.pay(id_, _amount(str(form.get("amount", "")))),
        "void": lambda ledger: ledger.void(id_),
        "delete": lambda ledger: ledger.delete("Invoice", id_),
        "emailed": lambda ledger: ledger.email(id_),
    }
    with simulator.lock:
        found = _company(simulator, request)
        data = _invoice(found, request)
        if found is None or data is None or action not in (*actions, "poison"):
            return _missing(request, "invoice")
        if action == "poison":
            found.turn_poison("Invoice", id_)
            return _back(request, found.realm, action)
        try:
            simulator.change(found.realm, actions[action])
        except (Fault, ValueError) as e:
            view = invoice_form.shown(data)
            return _form(request, found, data, view, problem=str(e), status=400)
    return _back(request, found.realm, action)


async def disconnect(request: Request) -> Response:
    simulator = simulator_of(request)
    with simulator.lock:
        found = _company(simulator, request)
        if found is None:
            return _missing(request, "company")
        simulator.grants.disconnect(found.realm)
        address = simulator.disconnect_address(found.realm)
    if address:
        return RedirectResponse(address, status_code=303)
    return _back(request, found.realm, "disconnect")


_NEW: Json = {"domain": "QBO", "sparse": False, "EmailStatus": "NotSet"}


def status_of(data: Json, today: str) -> str:
    """Return the status as in QuickBooks' own list; the API has no such field."""
    total, balance = money(data, "TotalAmt"), money(data, "Balance")
    if total == 0 and str(data.get("PrivateNote", "")).startswith("Voided"):
        return "Void"
    if balance == 0:
        return "Paid"
    if data.get("DueDate", today) < today:
        return "Overdue"
    return "Partly paid" if balance < total else "Open"


def _row(data: Json, today: str) -> Json:
    return {
        "id": data["Id"],
        "number": data.get("DocNumber", ""),
        "customer": data.get("CustomerRef", {}).get("name", ""),
        "email": data.get("BillEmail", {}).get("Address", ""),
        "due": data.get("DueDate", ""),
        "currency": data.get("CurrencyRef", {}).get("value", ""),
        "total": data.get("TotalAmt"),
        "balance": data.get("Balance"),
        "status": status_of(data, today),
        "changed": data["MetaData"]["LastUpdatedTime"][:16].replace("T", " "),
    }


def _company(simulator: Simulator, request: Request) -> Company | None:
    return simulator.companies.get(request.path_params["realm"])


def _invoice(found: Company | None, request: Request) -> Json | None:
    """Return the invoice of the address, {} for a new one, None for an unknown one."""
    if found is None or "id" not in request.path_params:
        return None if found is None else {}
    record = found.shelves["Invoice"].get(request.path_params["id"])
    return record.data if record else None


def _suggested(found: Company, today: date) -> Json:
    """Return the defaults of a new invoice: the next number, today, due in thirty days."""
    due = today + timedelta(days=30)
    number = next_number(found, "Invoice")
    return {"doc_number": number, "txn_date": today.isoformat(), "due_date": due.isoformat()}


def _customers(found: Company) -> dict[str, str]:
    live = (r.data for r in found.shelves["Customer"].by_id() if r.data.get("Active", True))
    names = {c["Id"]: c.get("DisplayName") or f"Customer {c['Id']}" for c in live}
    return dict(sorted(names.items(), key=lambda item: item[1].casefold()))


def _amount(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", "")) if text.strip() else None
    except InvalidOperation:
        raise ValueError(f"The amount is not a number: {text}") from None


def _form(
    request: Request, found: Company, data: Json, view: Json, problem: str = "", status: int = 200
) -> Response:
    customers = _customers(found)
    if view["customer"] and view["customer"] not in customers:
        name = data.get("CustomerRef", {}).get("name", "")
        customers[view["customer"]] = name or f"Customer {view['customer']}"
    page = {"company": found, "invoice": data, "view": view, "customers": customers}
    page["poisoned"] = bool(data) and ("Invoice", int(data["Id"])) in found.poison
    today = pacific(simulator_of(request).clock.now()).date().isoformat()
    state = status_of(data, today) if data else "New"
    return _page(request, "invoice.html", {**page, "problem": problem, "state": state}, status)


def _missing(request: Request, what: str) -> Response:
    return _page(request, "missing.html", {"what": what}, 404)


def _back(request: Request, realm: str, done: str) -> Response:
    path = request.app.url_path_for("company", realm=realm)
    return RedirectResponse(f"{path}?{urlencode({'done': done})}", status_code=303)


def _page(request: Request, template: str, context: dict[str, Any], status: int = 200) -> Response:
    done = DONE.get(request.query_params.get("done", ""), "")
    return render(request, template, {"done": done, **context}, status)


_COMPANY = "/companies/{realm}"

routes = [
    Route("/", home),
    Route(_COMPANY, company, name="company"),
    Route(f"{_COMPANY}/disconnect", disconnect, methods=["POST"]),
    Route(f"{_COMPANY}/invoices/new", edit, methods=["GET"]),
    Route(f"{_COMPANY}/invoices/new", save, methods=["POST"]),
    Route(f"{_COMPANY}/invoices/{{id}}", edit, methods=["GET"]),
    Route(f"{_COMPANY}/invoices/{{id}}", save, methods=["POST"]),
    Route(f"{_COMPANY}/invoices/{{id}}/{{action}}", act, methods=["POST"]),
]
