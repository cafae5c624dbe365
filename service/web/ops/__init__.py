"""The operators' pages, under /ops: never in the prefix that is proxied to the internet."""

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route, request_response

from service.web.ops import (
    addresses,
    auth,
    connections,
    decisions,
    findings,
    link,
    notices,
    orders,
    overview,
)
from service.web.ops.forms import posted
from service.web.ops.guard import OperatorsOnly

_MOST_BYTES = 64 * 1024


def routes() -> list[BaseRoute]:
    """Return the routes of operators: all but the log-in open for nobody else."""
    log_in = Route(addresses.LOGIN, auth.login, methods=["GET"], max_body_size=0)
    try_it = Route(addresses.LOGIN, auth.log_in(), methods=["POST"], max_body_size=_MOST_BYTES)
    guarded = [
        ("GET", "/ops", auth.home),
        ("POST", "/ops/logout", auth.log_out),
        ("GET", "/ops/", overview.overview),
        ("GET", "/ops/live", overview.live),
        ("GET", connections.LIST, connections.listing),
        ("POST", connections.LIST, posted(connections.search)),
        ("GET", "/ops/connections/{id}", connections.detail),
        ("GET", "/ops/connections/{id}/live", connections.live),
        ("GET", "/ops/connections/{id}/link", link.again),
        ("POST", "/ops/connections/{id}/link", posted(link.make)),
        ("GET", "/ops/connections/{id}/{order}", orders.confirmation),
        ("POST", "/ops/connections/{id}/{order}", posted(orders.order)),
        ("GET", "/ops/runs/{id}", decisions.question),
        ("POST", "/ops/runs/{id}/confirm", posted(decisions.confirm)),
        ("POST", "/ops/runs/{id}/drop", posted(decisions.drop)),
        ("GET", notices.LIST, notices.listing),
        ("POST", notices.LIST, posted(notices.search)),
        ("GET", notices.NEWS, notices.news),
        ("POST", "/ops/notices/replay", posted(notices.replay)),
        ("GET", findings.LIST, findings.listing),
        ("POST", "/ops/findings/{id}/acknowledge", posted(findings.acknowledge)),
    ]
    # For any method: whoever is not logged in learns nothing of which pages and orders there are.
    nowhere = OperatorsOnly(request_response(auth.nowhere))
    return [
        log_in,
        try_it,
        *(
            Route(
                path,
                endpoint,
                methods=[method],
                middleware=[Middleware(OperatorsOnly)],
                max_body_size=_MOST_BYTES,
            )
            for method, path, endpoint in guarded
        ),
        *(Route(path, nowhere, max_body_size=_MOST_BYTES) for path in ("/ops", "/ops/{rest:path}")),
    ]
