"""Asks Infactor's database, if configured, who a supplier is."""

from dataclasses import replace

from service.database.tables import OAuthState
from service.errors import InfactorAway, NotASupplier, Refusal, ServiceError
from service.infactor.logins import Logins, session_id
from service.infactor.users import Account, Users, verified_supplier
from service.kit.clock import now
from service.links import Link
from service.services import Services
from service.web.connect.problems import ConnectProblem, Problem

_PROBLEMS = {
    Refusal.UNKNOWN: Problem.NOT_IN_INFACTOR,
    Refusal.NOT_A_SUPPLIER: Problem.NOT_A_SUPPLIER,
    Refusal.NOT_VERIFIED: Problem.NOT_VERIFIED,
}


class NotLoggedIn(ServiceError):
    """Nobody is logged in to Infactor in this browser; the message says how that shows."""


def vouched(services: Services, link: Link) -> Link:
    """Return the link with the supplier's name and address as Infactor has them.

    Without a database of Infactor's the link is returned as it is. Raises ConnectProblem if
    Infactor has no such supplier or does not answer.
    """
    if services.infactor is None:
        return link
    try:
        account = verified_supplier(Users(services.infactor).supplier(link.email))
    except NotASupplier as e:
        raise ConnectProblem(_PROBLEMS[e.refusal]) from None
    except InfactorAway as e:
        raise ConnectProblem(Problem.INFACTOR_AWAY, str(e)) from None
    return replace(link, name=account.name, address=account.address)


def logged_in(services: Services, cookies: str) -> Account:
    """Return the supplier logged in to Infactor; raises NotLoggedIn, NotASupplier, InfactorAway."""
    secret = services.settings.infactor_session_secret
    if secret is None or services.infactor is None:
        raise NotLoggedIn("INFACTOR_SESSION_SECRET is not set")
    session = session_id(cookies, secret.get_secret_value())
    if session is None:
        raise NotLoggedIn(
            "no cookie of Infactor's, or not with the signature that the secret makes"
        )
    user_id = Logins(services.infactor).user_id(session, now())
    if user_id is None:
        raise NotLoggedIn("no such session, or one that has ended, or a visitor's")
    return verified_supplier(Users(services.infactor).by_id(user_id))


def still_logged_in(services: Services, consent: OAuthState, cookies: str) -> None:
    """Raise ConnectProblem unless the account that pressed the button is still logged in."""
    if consent.infactor_user is None:
        return
    try:
        account = logged_in(services, cookies)
    except (NotLoggedIn, NotASupplier) as e:
        raise ConnectProblem(Problem.LOGGED_OUT, str(e)) from None
    except InfactorAway as e:
        raise ConnectProblem(Problem.INFACTOR_AWAY, str(e)) from None
    if account.id != consent.infactor_user:
        raise ConnectProblem(Problem.LOGGED_OUT, "somebody else is logged in now")
