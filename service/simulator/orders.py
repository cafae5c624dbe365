"""What can be ordered at `/_sim`, in words, and how an order is read."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from service.simulator import exact
from service.simulator.answers import json_response, simulator_of
from service.simulator.simulator import Simulator

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
    "POST /_sim/faults": "one rule or a list: preset, fault (a code; format: json or xml) or "
    "status, headers, body; drop (no answer), lose (done, but no answer), cut (half an answer), "
    "delay; for company, kind, entity; count (null: until cleared). Without kind: accounting calls",
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
    """Do the work on the JSON that came in; what is wrong with it is answered with 400."""
    simulator = simulator_of(request)
    try:
        body = await request.body()
        given = exact.decode(body) if body.strip() or empty is None else empty
        with simulator.lock:
            return json_response(work(simulator, given))
    except ValueError as e:
        return json_response({"error": str(e)}, 400)
