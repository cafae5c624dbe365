"""The closed list of problems of the connect flow, and the page of each.

The page's address contains only the kind and a reference number. So no code, token or company id
stays in the address bar or the history.
"""

from enum import StrEnum
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.database.tables import Supplier
from service.domain import ConnectionState
from service.errors import ServiceError
from service.store import connections
from service.web.error_references import is_reference, new_reference
from service.web.session import supplier_if_any
from service.web.state import AppState
from service.web.templating import render

log = structlog.get_logger(__name__)


class Problem(StrEnum):
    """Each has its text in templates/problem.html."""

    LINK_INVALID = "link-invalid"
    LINK_EXPIRED = "link-expired"
    LINK_USED = "link-used"
    NOT_IN_INFACTOR = "not-in-infactor"
    NOT_A_SUPPLIER = "not-a-supplier"
    NOT_VERIFIED = "not-verified"
    INFACTOR_AWAY = "infactor-away"
    LOGGED_OUT = "logged-out"
    UNKNOWN_ANSWER = "unknown-answer"
    OTHER_BROWSER = "other-browser"
    TOO_LATE = "too-late"
    ANSWERED_ALREADY = "answered-already"
    DENIED = "denied"
    REFUSED_BY_QUICKBOOKS = "refused-by-quickbooks"
    INCOMPLETE = "incomplete"
    COMPANY_TAKEN = "company-taken"
    OTHER_COMPANY = "other-company"
    NOT_ACCEPTED = "not-accepted"
    UNAVAILABLE = "unavailable"
    UNEXPECTED = "unexpected"


class ConnectProblem(ServiceError):
    """The connect flow ends with this problem's page; `why` and `connection` are for the log."""

    def __init__(
        self,
        problem: Problem,
        why: str | None = None,
        *,
        intuit_tid: str | None = None,
        connection: str | None = None,
    ) -> None:
        super().__init__(problem.value)
        self.problem = problem
        self.evidence = {"why": why, "intuit_tid": intuit_tid, "connection": connection}


def explain(problem: Problem, by_button: bool = False, /, **evidence: Any) -> Response:
    """Redirect to the problem's page, and log it; `by_button`: it leads back to the button."""
    reference = new_reference()
    known = {name: value for name, value in evidence.items() if value is not None}
    log.warning("connect.failed", kind=problem.value, reference=reference, **known)
    # 302: Intuit's security requirements for addresses that receive codes (point 7).
    way_back = "/button" if by_button else ""
    return RedirectResponse(f"/quickbook/problem/{problem}/{reference}{way_back}", 302)


def problem_page(request: Request[AppState]) -> Response:
    """Show what happened and what to do next, from the address alone."""
    return _page(request, by_button=False)


def problem_page_of_button(request: Request[AppState]) -> Response:
    """The same, for those who came by Infactor's own button."""
    return _page(request, by_button=True)


def _page(request: Request[AppState], *, by_button: bool) -> Response:
    kind, reference = request.path_params["kind"], request.path_params["reference"]
    if kind not in list(Problem) or not is_reference(reference):
        raise HTTPException(404)
    supplier = supplier_if_any(request)
    context = {
        "kind": kind,
        "reference": reference,
        "by_button": by_button,
        "openers": request.state["services"].settings.opener_origins,
        "supplier": supplier,
        "live": supplier is not None and _has_live_company(request, supplier),
    }
    return render(request, "problem.html", context)


def _has_live_company(request: Request[AppState], supplier: Supplier) -> bool:
    services = request.state["services"]
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        mine = connections.of_supplier(session, supplier.id, environment)
    return any(one.state == ConnectionState.CONNECTED for one in mine)


routes = [
    Route("/quickbook/problem/{kind}/{reference}", problem_page),
    Route("/quickbook/problem/{kind}/{reference}/button", problem_page_of_button),
]
