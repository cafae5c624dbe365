"""The token endpoints: exchange, refresh, revoke; the discovery documents, and OpenID."""

import base64
import binascii
import hmac
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.simulator import exact_json
from service.simulator.faults import KEY_CHALLENGE, unauthenticated
from service.simulator.grants import ACCESS_LIFE, CLAIMS, IDLE_END, SUBJECT, Grant, InvalidGrant
from service.simulator.records import Json
from service.simulator.responses import json_response, served, simulator_of, to_response
from service.simulator.script import Call
from service.simulator.state import Simulator

NO_STORE = {"cache-control": "no-cache, no-store", "pragma": "no-cache"}
# Intuit's newest JavaScript client takes no other one, whatever the discovery document says.
ISSUER = "https://oauth.platform.intuit.com/op/v1"
HARD_END_OPT_IN = "x-include-refresh-token-hard-expires-in"


async def bearer(request: Request) -> Response:
    simulator = simulator_of(request)
    form = {key: str(value) for key, value in (await request.form()).items()}
    with_hard_end = request.headers.get(HARD_END_OPT_IN) == "true"
    token, switches = form.get("refresh_token", ""), simulator.switches

    def ordinary() -> Response:
        if not _is_client(simulator, request, form):
            return _error("invalid_client", status=401)
        if racing and simulator.switches.racing_refresh != "served":
            if simulator.switches.racing_refresh == "revokes":
                simulator.grants.doom(token)
            return _error("invalid_grant", "Token invalid")
        return _grant(simulator, form, with_hard_end)

    now = simulator.clock.now()
    with simulator.grants.refreshing(token, now, switches.racing_seconds) as racing:
        realm, what = simulator.grants.realm_of(token), form.get("grant_type", "")
        call = Call("token", realm, what=what)
        return await served(request, call, ordinary)


async def revoke(request: Request) -> Response:
    """Disconnect the company that a token belongs to."""
    simulator = simulator_of(request)
    form = await _revocation(request)
    token = form.get("token", "")

    def ordinary() -> Response:
        if not _is_client(simulator, request, form):
            return _error("invalid_client", status=401)
        if not simulator.grants.revoke(token):
            return _error("invalid_request")
        return Response(status_code=200, headers=NO_STORE)

    with simulator.lock:
        realm = simulator.grants.realm_of(token)
    return await served(request, Call("revoke", realm), ordinary)


async def discovery(request: Request) -> Response:
    """Answer the discovery document, with all endpoints on this host."""
    base = str(request.base_url).rstrip("/")
    return json_response(
        {
            "issuer": ISSUER,
            "authorization_endpoint": f"{base}/connect/oauth2",
            "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
            "userinfo_endpoint": f"{base}/v1/openid_connect/userinfo",
            "revocation_endpoint": f"{base}/v2/oauth2/tokens/revoke",
            "jwks_uri": f"{base}/op/v1/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile", "address", "phone"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
        }
    )


def _grant(simulator: Simulator, form: Mapping[str, str], with_hard_end: bool) -> Response:
    now, kind = simulator.clock.now(), form.get("grant_type")
    needed = {"authorization_code": ("code", "redirect_uri"), "refresh_token": ("refresh_token",)}
    if kind not in needed:
        return _error("unsupported_grant_type" if kind else "invalid_request")
    if any(not form.get(name) for name in needed[kind]):
        return _error("invalid_request")
    try:
        if kind == "authorization_code":
            access, grant = simulator.grants.exchange(
                form["code"],
                form["redirect_uri"],
                now,
                form.get("code_verifier", ""),
                second_revokes=simulator.switches.second_exchange == "revokes",
            )
        else:
            grace = simulator.switches.old_refresh_grace
            access, grant = simulator.grants.refresh(form["refresh_token"], now, grace)
    except InvalidGrant as e:
        return _error("invalid_grant", str(e))
    answer = _tokens(access, grant)
    if "openid" in grant.scope.split():
        client = simulator.config.client_id
        answer["id_token"] = simulator.openid.id_token(ISSUER, client, grant.realm, now)
    if with_hard_end:
        answer["x_refresh_token_hard_expires_in"] = int((grant.hard_end - now).total_seconds())
    return json_response(answer, headers=NO_STORE)


def _tokens(access: str, grant: Grant) -> Json:
    return {
        "token_type": "bearer",
        "expires_in": int(ACCESS_LIFE.total_seconds()),
        "access_token": access,
        "refresh_token": grant.refresh_token,
        "x_refresh_token_expires_in": int(IDLE_END.total_seconds()),
    }


def _error(error: str, description: str | None = None, status: int = 400) -> Response:
    body = {"error_description": description} if description else {}
    challenge = {"WWW-Authenticate": KEY_CHALLENGE} if status == 401 else {}
    return json_response({**body, "error": error}, status, {**NO_STORE, **challenge})


def _is_client(simulator: Simulator, request: Request, form: Mapping[str, str]) -> bool:
    """Return whether the request has the app's keys, in the header or in the form."""
    config = simulator.config
    wanted = f"{config.client_id}:{config.client_secret}"
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
    else:
        given = f"{form.get('client_id', '')}:{form.get('client_secret', '')}"
    return hmac.compare_digest(given.encode(), wanted.encode())


async def _revocation(request: Request) -> dict[str, str]:
    if "json" not in request.headers.get("content-type", ""):
        return {key: str(value) for key, value in (await request.form()).items()}
    try:
        body = exact_json.decode(await request.body())
    except ValueError:
        return {}
    return {k: v for k, v in body.items() if isinstance(v, str)} if isinstance(body, dict) else {}


async def jwks(request: Request) -> Response:
    simulator = simulator_of(request)
    with simulator.lock:
        return json_response(simulator.openid.keys())


async def userinfo(request: Request) -> Response:
    """Answer the person's claims, as far as the scopes go."""
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


openid_routes = [
    Route("/op/v1/jwks", jwks),
    Route("/v1/openid_connect/userinfo", userinfo),
]

routes = [
    Route("/oauth2/v1/tokens/bearer", bearer, methods=["POST"]),
    Route("/v2/oauth2/tokens/revoke", revoke, methods=["POST"]),
    Route("/.well-known/openid_configuration", discovery),
    Route("/.well-known/openid_configuration/", discovery),
    Route("/.well-known/openid_sandbox_configuration", discovery),
    Route("/.well-known/openid_sandbox_configuration/", discovery),
]
