"""Answers Infactor's own "Connect Quickbook" button, if a proxy sends /quickbook/ here.

Infactor's page opens the returned address in a pop-up, and reports a failure if there is none. So
the answer is always 200, and the reason goes to the log.
"""

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.errors import InfactorAway, NotASupplier
from service.infactor.users import Account
from service.kit.clock import now
from service.store import connections
from service.web.connect.authorise import Consent, begin_consent
from service.web.connect.identity import NotLoggedIn, logged_in
from service.web.cookies import cookies_of
from service.web.state import AppState
from service.web.threads import in_dedicated_threads

log = structlog.get_logger(__name__)

PATH = "/quickbook/setupQuickbook"


def routes() -> list[Route]:
    return [Route(PATH, in_dedicated_threads()(set_up), methods=["POST"])]


def set_up(request: Request[AppState]) -> Response:
    """Answer with the address of QuickBooks' consent, for the supplier logged in to Infactor."""
    services = request.state["services"]
    if not _is_of_our_own_origin(request, services.settings.public_url):
        return _refused("not a request of a page at PUBLIC_URL")
    if services.settings.infactor_session_secret is None:
        return _refused("INFACTOR_SESSION_SECRET is not set")
    try:
        consent = _begun(request, logged_in(services, cookies_of(request)))
    except NotASupplier as e:
        return _refused(f"the account is refused: {e.refusal}")
    except (NotLoggedIn, InfactorAway) as e:
        return _refused(str(e))
    except Exception:
        log.exception("setup.crashed")
        return JSONResponse({"status": False})
    response = JSONResponse({"status": True, "authUrl": consent.url})
    consent.remember(response, services.settings)
    return response


def _begun(request: Request[AppState], account: Account) -> Consent:
    with request.state["services"].database.write() as session:
        supplier_id = connections.upsert_supplier(
            session, account.email, account.name, account.address, now()
        )
    return begin_consent(request, supplier_id, None, infactor_user=account.id)


def _refused(why: str) -> Response:
    log.warning("setup.refused", why=why)
    return JSONResponse({"status": False})


def _is_of_our_own_origin(request: Request[AppState], public_url: str) -> bool:
    """Return whether a page of our own origin sent this; every browser says so with a POST."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    said = site is not None or origin is not None
    return said and site in (None, "same-origin") and origin in (None, public_url)
