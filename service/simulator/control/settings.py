"""`/_sim`: consent, calls, faults, poison, limits, settings and the clock."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import exact_json
from service.simulator.clock import to_zulu
from service.simulator.faults import CATALOGUE
from service.simulator.records import ENTITIES, Json, is_id
from service.simulator.responses import json_response, simulator_of
from service.simulator.script import presets
from service.simulator.state import Consent, Simulator

ORDERS = {
    "GET /_sim": "this list",
    "GET /_sim/companies": "the companies, what they hold, whether they are connected",
    "PUT /_sim/companies/<realmId>/<Entity>": "create or replace by Id; a list: one delivery",
    "GET /_sim/companies/<realmId>/<Entity>/<id>": "one record as it is now",
    "DELETE /_sim/companies/<realmId>/<Entity>/<id>": "delete; a customer: make inactive, or "
    "with ?mergedInto=<id> merge",
    "POST /_sim/companies/<realmId>/Invoice/<id>/void": "void; a Payment or CreditMemo likewise",
    "POST /_sim/companies/<realmId>/Invoice/<id>/pay": '{"amount"?: number}, else all that is open',
    "POST /_sim/companies/<realmId>/Invoice/<id>/emailed": "sent by e-mail",
    "POST /_sim/companies/<realmId>/disconnect": "the user disconnects inside QuickBooks; the "
    "app's disconnect address is called, if it has one",
    "POST /_sim/consent": '{"approve": true | false | null, "realmId"?: id}',
    "GET /_sim/calls": "accounting calls served, by kind, company and status",
    "GET /_sim/calls/last": "the last calls of any kind, newest first; ?last=<n>",
    "DELETE /_sim/calls": "count from nothing again",
    "GET /_sim/faults": "the rules in force",
    "POST /_sim/faults": "one rule or a list: preset, fault (a code; format: json, xml, gateway, "
    "list or batch) or status, headers, body; drop (no answer), lose (done, but no answer), "
    "cut (half an answer), adds (objects by entity that nobody asked for), says (its own time), "
    "drip (seconds before each byte), endless (blanks after it), delay; for company, kind, entity; "
    "count (null: until cleared). Without kind: accounting calls",
    "DELETE /_sim/faults": "no faults, and what is delayed comes at once",
    "GET /_sim/poison": "the records that QuickBooks cannot show",
    "POST /_sim/poison": 'one or a list: {"company", "entity"?: "Invoice", "id", "fault"?: "4002"};'
    " every query, cdc and (switch) read that would bring it fails",
    "DELETE /_sim/poison": "every record can be shown",
    "GET /_sim/limits": "calls of the last second and minute by company, reads of this month",
    "POST /_sim/limits": '{"reads": n}: so many reads count as made in this month',
    "DELETE /_sim/limits": "as if nothing had been called",
    "GET /_sim/settings": "the switches",
    "POST /_sim/settings": "change some of them",
    "POST /_sim/behave": "no faults, poison or tricks, limits unused, every switch as usual",
    "GET /_sim/webhooks": "the last deliveries, newest first; ?last=<n>",
    "POST /_sim/webhooks": "deliver this body as it is, signed; ?signature=wrong|missing",
    "POST /_sim/webhooks/events": 'deliver in one POST: a list of {"company", "entity", "id", '
    '"operation", "loser"?}; companies may be mixed and need not exist',
    "POST /_sim/webhooks/next": 'one or a list: {"action": "drop" | "duplicate" | "hold" | "forge",'
    ' "count"?: 1, "company"?, "entity"?} for the next deliveries; hold: until the next one has '
    "overtaken it, 300 s at most; forge: signed wrongly",
    "POST /_sim/webhooks/test": "the portal's test event, of a company that nobody knows",
    "POST /_sim/webhooks/<id>/redeliver": "send that delivery once more",
    "DELETE /_sim/webhooks": "forget what is queued, ordered and sent",
    "GET /_sim/clock": "the simulator's time",
    "POST /_sim/clock": '{"advance": seconds}',
}


async def obeyed(
    request: Request, work: Callable[[Simulator, Any], Any], *, empty: Any = None
) -> Response:
    """Do the work on the request's JSON; answer 400 if it raises ValueError."""
    simulator = simulator_of(request)
    try:
        body = await request.body()
        given = exact_json.decode(body) if body.strip() or empty is None else empty
        with simulator.lock:
            return json_response(work(simulator, given))
    except ValueError as e:
        return json_response({"error": str(e)}, 400)


async def orders(_: Request) -> Response:
    return json_response({"orders": ORDERS, "presets": list(presets()), "faults": list(CATALOGUE)})


async def set_consent(request: Request) -> Response:
    def work(simulator: Simulator, given: Any) -> Json:
        wanted = exact_json.convert(given, _ConsentOrder)
        if wanted.realmId is not None and wanted.realmId not in simulator.companies:
            raise ValueError(f"no company {wanted.realmId}")
        simulator.consent = Consent(wanted.approve, wanted.realmId)
        return {"approve": wanted.approve, "realmId": wanted.realmId}

    return await obeyed(request, work)


async def calls(request: Request) -> Response:
    """Show the meter, or clear it with DELETE."""
    simulator = simulator_of(request)
    with simulator.lock:
        if request.method == "DELETE":
            simulator.calls.clear()
        return json_response(simulator.calls.summary())


async def show_faults(request: Request) -> Response:
    """Show the rules, or clear them with DELETE."""
    simulator = simulator_of(request)
    with simulator.lock:
        if request.method == "DELETE":
            simulator.script.clear()
        return json_response({"faults": simulator.script.rules})


async def add_faults(request: Request) -> Response:
    def work(simulator: Simulator, given: Any) -> Json:
        simulator.script.add(given)
        return {"faults": simulator.script.rules}

    return await obeyed(request, work)


async def settings(request: Request) -> Response:
    simulator = simulator_of(request)
    return json_response(simulator.switches)


async def set_settings(request: Request) -> Response:
    def work(simulator: Simulator, given: Any) -> Any:
        simulator.switch(given)
        return simulator.switches

    return await obeyed(request, work)


async def last_calls(request: Request) -> Response:
    simulator, last = simulator_of(request), request.query_params.get("last", "")
    with simulator.lock:
        shown = simulator.calls.last(int(last)) if last.isdigit() else simulator.calls.last()
    return json_response({"calls": shown})


async def limits(request: Request) -> Response:
    """Show what is used of the limits, or clear it with DELETE."""
    simulator = simulator_of(request)
    with simulator.lock:
        if request.method == "DELETE":
            simulator.forget_limits()
        return json_response(simulator.limits_shown())


async def set_limits(request: Request) -> Response:
    def work(simulator: Simulator, given: Any) -> Json:
        now = simulator.clock.now()
        simulator.limits.set_reads(exact_json.convert(given, _LimitsOrder).reads, now)
        return simulator.limits_shown()

    return await obeyed(request, work)


async def poison(request: Request) -> Response:
    """Show the unreadable records, or make all readable with DELETE."""
    simulator = simulator_of(request)
    with simulator.lock:
        if request.method == "DELETE":
            for company in simulator.companies.values():
                company.poison.clear()
        return json_response(_poisoned(simulator))


async def add_poison(request: Request) -> Response:
    def work(simulator: Simulator, given: Any) -> Json:
        orders = exact_json.convert(
            given if isinstance(given, list) else [given], list[_PoisonOrder]
        )
        for order in orders:
            if order.fault not in CATALOGUE:
                raise ValueError(f"unknown fault {order.fault!r}; known: {', '.join(CATALOGUE)}")
            if order.entity not in ENTITIES or not is_id(order.id):
                raise ValueError(f"no such record: {order.entity} {order.id}")
            poison = simulator.company(order.company).poison
            poison[order.entity, int(order.id)] = CATALOGUE[order.fault]("")
        return _poisoned(simulator)

    return await obeyed(request, work)


def _poisoned(simulator: Simulator) -> Json:
    found = [
        {"company": realm, "entity": entity, "id": str(number), "fault": fault.code}
        for realm, company in simulator.companies.items()
        for (entity, number), fault in company.poison.items()
    ]
    return {"poison": found}


async def behave(request: Request) -> Response:
    simulator = simulator_of(request)
    with simulator.lock:
        simulator.behave()
        return json_response(simulator.switches)


async def clock(request: Request) -> Response:
    return json_response({"now": to_zulu(simulator_of(request).clock.now())})


async def move_clock(request: Request) -> Response:
    def work(simulator: Simulator, given: Any) -> Json:
        simulator.clock.advance(exact_json.convert(given, _ClockOrder).advance)
        return {"now": to_zulu(simulator.clock.now())}

    return await obeyed(request, work)


class _ConsentOrder(msgspec.Struct, forbid_unknown_fields=True):
    approve: bool | None
    realmId: str | None = None


class _ClockOrder(msgspec.Struct, forbid_unknown_fields=True):
    advance: float


class _LimitsOrder(msgspec.Struct, forbid_unknown_fields=True):
    reads: Annotated[int, msgspec.Meta(ge=0)]


class _PoisonOrder(msgspec.Struct, forbid_unknown_fields=True):
    company: str
    id: str
    entity: str = "Invoice"
    fault: str = "4002"


routes = [
    Route("/_sim", orders),
    Route("/_sim/consent", set_consent, methods=["POST"]),
    Route("/_sim/calls", calls, methods=["GET", "DELETE"]),
    Route("/_sim/faults", show_faults, methods=["GET", "DELETE"]),
    Route("/_sim/faults", add_faults, methods=["POST"]),
    Route("/_sim/settings", settings),
    Route("/_sim/settings", set_settings, methods=["POST"]),
    Route("/_sim/calls/last", last_calls),
    Route("/_sim/limits", limits, methods=["GET", "DELETE"]),
    Route("/_sim/limits", set_limits, methods=["POST"]),
    Route("/_sim/poison", poison, methods=["GET", "DELETE"]),
    Route("/_sim/poison", add_poison, methods=["POST"]),
    Route("/_sim/behave", behave, methods=["POST"]),
    Route("/_sim/clock", clock),
    Route("/_sim/clock", move_clock, methods=["POST"]),
]
