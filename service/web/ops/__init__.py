"""The operators' pages, under /ops: never in the prefix that is proxied to the internet."""

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from service.web.ops import addresses, auth, overview
from service.web.ops.guard import OperatorsOnly

_MOST_BYTES = 64 * 1024


def routes() -> list[BaseRoute]:
    """Return the routes of operators: all but the log-in open for nobody else."""
    log_in = Route(addresses.LOGIN, auth.login, methods=["GET"], max_body_size=0)
    try_it = Route(addresses.LOGIN, auth.log_in, methods=["POST"], max_body_size=_MOST_BYTES)
    guarded = [
        ("GET", "/ops", auth.home),
        ("POST", "/ops/logout", auth.log_out),
        ("GET", "/ops/", overview.overview),
        ("GET", "/ops/live", overview.live),
        # Whoever is not logged in learns nothing of which pages there are.
        ("GET", "/ops/{rest:path}", auth.nowhere),
    ]
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
    ]
