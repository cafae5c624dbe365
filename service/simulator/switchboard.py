"""`/_sim`: consent, calls, faults, poison, limits, settings and the clock."""

from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import exact
from service.simulator.answers import json_response, simulator_of
from service.simulator.catalogue import CATALOGUE
from service.simulator.clock import to_zulu
from service.simulator.orders import ORDERS, obeyed
from service.simulator.records import ENTITIES, Json, is_id
from service.simulator.script import presets
from service.simulator.simulator import Consent, Simulator


async def orders(_: Request) -> Response:
    """List what can be asked for here."""
    return json_response({"orders": ORDERS, "presets": list(presets()), "faults": list(CATALOGUE)})


async def set_consent(request: Request) -> Response:
    """Decide how the consent page behaves from now on."""

    def work(simulator: Simulator, given: Any) -> Json:
        wanted = exact.convert(given, _ConsentOrder)
        if wanted.realmId is not None and wanted.realmId not in simulator.companies:
            raise ValueError(f"no company {wanted.realmId}")
        simulator.consent = Consent(wanted.approve, wanted.realmId)
        return {"approve": wanted.approve, "realmId": wanted.realmId}

    return await obeyed(request, work)


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

    return await obeyed(request, work)


async def settings(request: Request) -> Response:
    """Show the switches."""
    simulator = simulator_of(request)
    return json_response(simulator.switches)


async def set_settings(request: Request) -> Response:
    """Change some switches."""

    def work(simulator: Simulator, given: Any) -> Any:
        simulator.switch(given)
        return simulator.switches

    return await obeyed(request, work)


async def last_calls(request: Request) -> Response:
    """Show the last calls."""
    simulator, last = simulator_of(request), request.query_params.get("last", "")
    with simulator.lock:
        shown = simulator.calls.last(int(last)) if last.isdigit() else simulator.calls.last()
    return json_response({"calls": shown})


async def limits(request: Request) -> Response:
    """Show, or with DELETE clear, what is used of the limits."""
    simulator = simulator_of(request)
    with simulator.lock:
        if request.method == "DELETE":
            simulator.forget_limits()
        return json_response(simulator.limits_shown())


async def set_limits(request: Request) -> Response:
    """Let so many reads be made already."""

    def work(simulator: Simulator, given: Any) -> Json:
        now = simulator.clock.now()
        simulator.limits.set_reads(exact.convert(given, _LimitsOrder).reads, now)
        return simulator.limits_shown()

    return await obeyed(request, work)


async def poison(request: Request) -> Response:
    """Show, or with DELETE heal, the poisoned records."""
    simulator = simulator_of(request)
    with simulator.lock:
        if request.method == "DELETE":
            for company in simulator.companies.values():
                company.poison.clear()
        return json_response(_poisoned(simulator))


async def add_poison(request: Request) -> Response:
    """Let records be such that QuickBooks cannot show them."""

    def work(simulator: Simulator, given: Any) -> Json:
        orders = exact.convert(given if isinstance(given, list) else [given], list[_PoisonOrder])
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
    """End every misbehaviour."""
    simulator = simulator_of(request)
    with simulator.lock:
        simulator.behave()
        return json_response(simulator.switches)


async def clock(request: Request) -> Response:
    """Show the simulator's time."""
    return json_response({"now": to_zulu(simulator_of(request).clock.now())})


async def move_clock(request: Request) -> Response:
    """Let time pass."""

    def work(simulator: Simulator, given: Any) -> Json:
        simulator.clock.advance(exact.convert(given, _ClockOrder).advance)
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
