"""`/_sim/webhooks`: shows, sends and disturbs deliveries."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import exact_json
from service.simulator.control.settings import obeyed
from service.simulator.events import OPERATIONS, Event, payload
from service.simulator.records import Json
from service.simulator.responses import json_response, simulator_of
from service.simulator.state import Simulator

SIGNATURES = ("right", "wrong", "missing")


class _EventOrder(msgspec.Struct, forbid_unknown_fields=True):
    company: str
    entity: str
    id: str
    operation: str = "updated"
    loser: str | None = None


async def webhooks(request: Request) -> Response:
    """Show the last deliveries, or clear them and the queue with DELETE."""
    simulator, last = simulator_of(request), request.query_params.get("last", "")
    if request.method == "DELETE":
        simulator.sender.clear()
    shown = simulator.sender.last(int(last)) if last.isdigit() else simulator.sender.last()
    return json_response({"idle": simulator.sender.idle(), "webhooks": shown})


async def deliver(request: Request) -> Response:
    """Queue any body."""
    signature = request.query_params.get("signature", "right")
    if signature not in SIGNATURES:
        return json_response({"error": f"signature is one of {', '.join(SIGNATURES)}"}, 400)
    body = await request.body()
    return json_response(simulator_of(request).sender.post(body, signature=signature).shown())


async def deliver_events(request: Request) -> Response:
    """Queue one delivery of these events, without any change of records."""

    def work(simulator: Simulator, given: Any) -> Json:
        now = simulator.clock.now()
        events = [
            Event(order.company, order.entity, order.id, order.operation, now, order.loser)
            for order in exact_json.convert(given, list[_EventOrder])
        ]
        bad = next((e.operation for e in events if e.operation not in OPERATIONS), None)
        if bad is not None:
            raise ValueError(f"operation {bad!r} is not one of {', '.join(OPERATIONS)}")
        body = payload(events, simulator.switches)
        return simulator.sender.post(body, events).shown()

    return await obeyed(request, work)


async def misbehave(request: Request) -> Response:
    def work(simulator: Simulator, given: Any) -> Json:
        simulator.sender.mischief.add(given)
        return {"next": simulator.sender.mischief.tricks}

    return await obeyed(request, work)


async def test_event(request: Request) -> Response:
    """Queue what the portal's "Send test events" posts."""
    return json_response(simulator_of(request).sender.test().shown())


async def redeliver(request: Request) -> Response:
    """Queue the body of an earlier delivery again, as a retry after a lost answer."""
    simulator = simulator_of(request)
    earlier = simulator.sender.find(request.path_params["id"])
    if earlier is None:
        return json_response({"error": "no such delivery"}, 404)
    return json_response(simulator.sender.post(earlier.body, earlier.facts).shown())


routes = [
    Route("/_sim/webhooks", webhooks, methods=["GET", "DELETE"]),
    Route("/_sim/webhooks", deliver, methods=["POST"]),
    Route("/_sim/webhooks/events", deliver_events, methods=["POST"]),
    Route("/_sim/webhooks/next", misbehave, methods=["POST"]),
    Route("/_sim/webhooks/test", test_event, methods=["POST"]),
    Route("/_sim/webhooks/{id:int}/redeliver", redeliver, methods=["POST"]),
]
