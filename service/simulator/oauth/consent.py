"""Intuit's consent page: who asks, for which company, approve or deny."""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.simulator.pages.render import render
from service.simulator.responses import simulator_of
from service.simulator.state import Simulator

SCOPES = {
    "com.intuit.quickbooks.accounting",
    "com.intuit.quickbooks.payment",
    "openid",
    "profile",
    "email",
    "phone",
    "address",
    "intuit_name",
    "com.intuit.quickbooks.payroll",
    "com.intuit.quickbooks.payroll.timetracking",
    "com.intuit.quickbooks.payroll.benefits",
    "payroll.compensation.read",
    "project-management.project",
    "app-foundations.custom-dimensions.read",
    "app-foundations.custom-field-definitions",
    "time-tracking.time-entry",
    "indirect-tax.tax-calculation.quickbooks",
}


async def authorise(request: Request) -> Response:
    """Show the consent page, or answer at once as `POST /_sim/consent` has ordered."""
    simulator, params = simulator_of(request), request.query_params
    refused = _refused(simulator, params)
    if refused is not None:
        return refused
    with simulator.lock:
        consent = simulator.consent
        if consent.approve is None:
            companies = sorted(simulator.companies.values(), key=lambda c: c.name)
            app = urlsplit(params["redirect_uri"]).netloc
            page = {"companies": companies, "params": params, "app": app}
            shown = render(request, "consent.html", page)
            shown.headers["X-Frame-Options"] = "DENY"
            return shown
        realm = consent.realm or next(iter(simulator.companies), "")
        return _decided(simulator, params, realm if consent.approve else None)


async def decide(request: Request) -> Response:
    """Redirect the browser back with the person's decision."""
    simulator = simulator_of(request)
    form = {key: str(value) for key, value in (await request.form()).items()}
    refused = _refused(simulator, form)
    if refused is not None:
        return refused
    with simulator.lock:
        return _decided(
            simulator, form, form.get("realmId") if form.get("decision") == "approve" else None
        )


def _refused(simulator: Simulator, params: Mapping[str, str]) -> Response | None:
    """Return the answer to an invalid request, or None."""
    config = simulator.config
    known = params.get("client_id") == config.client_id
    if not known or params.get("redirect_uri") != config.redirect_uri:
        # The same page for both, as at Intuit: never a redirect to an unregistered address.
        return render(None, "refused.html", {"what": "client"}, 400)
    if not params.get("state"):
        return render(None, "refused.html", {"what": "state"}, 400)
    if params.get("response_type") != "code":
        return _back(params, {"error": "invalid_request"})
    method = params.get("code_challenge_method")
    if params.get("code_challenge") and method != "S256":
        return _back(params, {"error": "invalid_request"})
    scopes = params.get("scope", "").split()
    if not scopes or not SCOPES.issuperset(scopes):
        return _back(params, {"error": "invalid_scope"})
    return None


def _decided(simulator: Simulator, params: Mapping[str, str], realm: str | None) -> Response:
    if realm is None:
        return _back(params, {"error": "access_denied"})
    if realm not in simulator.companies:
        return render(None, "refused.html", {"what": "company"}, 400)
    scope, redirect = params.get("scope", ""), params["redirect_uri"]
    now, challenge = simulator.clock.now(), params.get("code_challenge") or None
    code = simulator.grants.new_code(realm, redirect, scope, now, challenge)
    answer = {"code": code, "state": params["state"]}
    # Intuit names the company only for the scopes that open one.
    with_company = "com.intuit.quickbooks" in scope
    return _back(params, {**answer, "realmId": realm} if with_company else answer)


def _back(params: Mapping[str, str], answer: dict[str, str]) -> Response:
    target = params["redirect_uri"]
    joint = "&" if urlsplit(target).query else "?"
    answer = {**answer, "state": params["state"]}
    return RedirectResponse(f"{target}{joint}{urlencode(answer)}", status_code=302)


routes = [
    Route("/connect/oauth2", authorise, methods=["GET"]),
    Route("/connect/oauth2", decide, methods=["POST"]),
]
