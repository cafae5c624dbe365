"""`/_sim`: consent, calls, faults, settings, webhooks and the clock."""

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import exact
from service.simulator.answers import json_response, simulator_of
from service.simulator.clock import to_zulu
from service.simulator.records import Json
from service.simulator.script import presets
from service.simulator.simulator import Consent, Simulator

ORDERS = {
    "GET /_sim": "this list",
    "GET /_sim/companies": "the companies, what they hold, whether they are connected",
    "PUT /_sim/companies/<realmId>/<Entity>": "create or replace by Id; a list: one delivery",
    "GET /_sim/companies/<realmId>/<Entity>/<id>": "one record as it is now",
    "DELETE /_sim/companies/<realmId>/<Entity>/<id>": "delete; a customer: make inactive, or "
    "with ?mergedInto=<id> merge",
    "POST /_sim/companies/<realmId>/Invoice/<id>/void": "void",
    "POST /_sim/companies/<realmId>/Invoice/<id>/pay": '{"amount"?: number}, else all that is open',
    "POST /_sim/companies/<realmId>/Invoice/<id>/emailed": "sent by e-mail",
    "POST /_sim/companies/<realmId>/disconnect": "the user disconnects inside QuickBooks",
    "POST /_sim/consent": '{"approve": true | false | null, "realmId"?: id}',
    "GET /_sim/calls": "accounting calls served, by kind, company and status",
    "DELETE /_sim/calls": "count from nothing again",
    "GET /_sim/faults": "the rules in force",
    "POST /_sim/faults": "one rule or a list: preset or status, headers, body, drop, delay; "
    "for company, kind, entity; count (null: until cleared). Without kind: accounting calls",
    "DELETE /_sim/faults": "no faults",
    "GET /_sim/settings": "the switches",
    "POST /_sim/settings": "change some of them",
    "GET /_sim/webhooks": "the last deliveries, newest first; ?last=<n>",
    "POST /_sim/webhooks": "deliver this body as it is, signed",
    "POST /_sim/webhooks/<id>/redeliver": "send that delivery once more",
    "DELETE /_sim/webhooks": "forget what is queued and what was sent",
    "GET /_sim/clock": "the simulator's time",
    "POST /_sim/clock": '{"advance": seconds}',
}


async def orders(_: Request) -> Response:
    """List what can be asked for here."""
    return json_response({"orders": ORDERS, "presets": list(presets())})


async def set_consent(request: Request) -> Response:
    """Decide how the consent page behaves from now on."""

    def work(simulator: Simulator, given: Any) -> Json:
        wanted = exact.convert(given, _ConsentOrder)
        if wanted.realmId is not None and wanted.realmId not in simulator.companies:
            raise ValueError(f"no company {wanted.realmId}")
        simulator.consent = Consent(wanted.approve, wanted.realmId)
        return {"approve": wanted.approve, "realmId": wanted.realmId}

    return await _changed(request, work)


async def calls(request: Request) -> Response:
    """Show, or with DELETE clear, the meter."""
    simulator = simulator_of(request)
    with simulator.lock:
        if request.method == "DELETE":
            simulator.calls.clear()
        return json_response(simulator.calls.summary())


async def show_faults(request: Request) -> Response:
    """Show, or with DELETE clear, the rules."""
    simulator = simulator_of(request)
    with simulator.lock:
        if request.method == "DELETE":
            simulator.script.clear()
        return json_response({"faults": simulator.script.rules})


async def add_faults(request: Request) -> Response:
    """Add rules after the ones in force."""

    def work(simulator: Simulator, given: Any) -> Json:
        simulator.script.add(given)
        return {"faults": simulator.script.rules}

    return await _changed(request, work)


async def settings(request: Request) -> Response:
    """Show the switches."""
    simulator = simulator_of(request)
    return json_response(simulator.switches)


async def set_settings(request: Request) -> Response:
    """Change some switches."""

    def work(simulator: Simulator, given: Any) -> Any:
        simulator.switch(given)
        return simulator.switches

    return await _changed(request, work)


async def webhooks(request: Request) -> Response:
    """Show the last deliveries."""
    simulator, last = simulator_of(request), request.query_params.get("last", "")
    if request.method == "DELETE":
        simulator.sender.clear()
    shown = simulator.sender.last(int(last)) if last.isdigit() else simulator.sender.last()
    return json_response({"idle": simulator.sender.idle(), "webhooks": shown})


async def deliver(request: Request) -> Response:
    """Queue any body at all, signed like the others."""
    delivery = simulator_of(request).deliver(await request.body(), ["by hand"])
    return json_response(delivery.shown())


async def redeliver(request: Request) -> Response:
    """Queue the body of an earlier delivery again, as a retry after a lost answer would."""
    simulator = simulator_of(request)
    earlier = simulator.sender.find(request.path_params["id"])
    if earlier is None:
        return json_response({"error": "no such delivery"}, 404)
    return json_response(simulator.deliver(earlier.body, earlier.events).shown())


async def clock(request: Request) -> Response:
    """Show the simulator's time."""
    return json_response({"now": to_zulu(simulator_of(request).clock.now())})


async def move_clock(request: Request) -> Response:
    """Let time pass."""

    def work(simulator: Simulator, given: Any) -> Json:
        simulator.clock.advance(exact.convert(given, _ClockOrder).advance)
        return {"now": to_zulu(simulator.clock.now())}

    return await _changed(request, work)


class _ConsentOrder(msgspec.Struct, forbid_unknown_fields=True):
    approve: bool | None
    realmId: str | None = None


class _ClockOrder(msgspec.Struct, forbid_unknown_fields=True):
    advance: float


async def _changed(request: Request, work: Callable[[Simulator, Any], Any]) -> Response:
    """Do the work on the JSON that came in; what is wrong with it is answered with 400."""
    simulator = simulator_of(request)
    try:
        given = exact.decode(await request.body())
        with simulator.lock:
            return json_response(work(simulator, given))
    except ValueError as e:
        return json_response({"error": str(e)}, 400)


routes = [
    Route("/_sim", orders),
    Route("/_sim/consent", set_consent, methods=["POST"]),
    Route("/_sim/calls", calls, methods=["GET", "DELETE"]),
    Route("/_sim/faults", show_faults, methods=["GET", "DELETE"]),
    Route("/_sim/faults", add_faults, methods=["POST"]),
    Route("/_sim/settings", settings),
    Route("/_sim/settings", set_settings, methods=["POST"]),
    Route("/_sim/webhooks", webhooks, methods=["GET", "DELETE"]),
    Route("/_sim/webhooks", deliver, methods=["POST"]),
    Route("/_sim/webhooks/{id:int}/redeliver", redeliver, methods=["POST"]),
    Route("/_sim/clock", clock),
    Route("/_sim/clock", move_clock, methods=["POST"]),
]
