"""OpenID Connect: the keys and the person's own particulars."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator.answers import json_response, served, simulator_of, to_response
from service.simulator.faults import unauthenticated
from service.simulator.identity import CLAIMS, SUBJECT
from service.simulator.script import Call


async def jwks(request: Request) -> Response:
    """Show the keys that id tokens are checked with."""
    simulator = simulator_of(request)
    with simulator.lock:
        return json_response(simulator.openid.keys())


async def userinfo(request: Request) -> Response:
    """Tell about the person as far as the consent's scopes go."""
    simulator = simulator_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""

    def ordinary() -> Response:
        now = simulator.clock.now()
        grant = simulator.grants.opened_by(bearer, now)
        if grant is None or "openid" not in grant.scope.split():
            return to_response(unauthenticated(bearer).answer(now))
        parts = (CLAIMS.get(scope, {}) for scope in grant.scope.split())
        return json_response({"sub": SUBJECT, **{k: v for part in parts for k, v in part.items()}})

    with simulator.lock:
        realm = simulator.grants.realm_of(bearer)
    return await served(request, Call("userinfo", realm, token=bearer), ordinary)


routes = [
    Route("/op/v1/jwks", jwks),
    Route("/v1/openid_connect/userinfo", userinfo),
]
