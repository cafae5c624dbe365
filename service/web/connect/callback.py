"""Where QuickBooks sends suppliers back: its answer becomes a connection, or a reason why not.

It carries a code and a company id, so every answer redirects to an address without parameters
(Intuit's security requirements, point 7). Ownership is checked before the code is exchanged, and
again in the transaction that stores the connection. Nothing counts as connected before the company
itself has answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.config.settings import CALLBACK_PATH
from service.database.engine import after_commit
from service.database.tables import Connection, OAuthState
from service.domain import ConnectionState, EventType, OwnNotice, RealmId, RunCause, realm_id_of
from service.errors import Poisoned, SyncError, TransientError
from service.infactor.mapping import addresses, distinct
from service.jobs import Nudges
from service.kit.clock import now
from service.kit.text import one_line
from service.links import LONGEST_LIFE
from service.quickbooks.oauth import Tokens
from service.services import Services
from service.store import (
    connection_lifecycle,
    connections,
    inbox,
    own_notices,
    quickbooks_times,
    runs,
    sessions,
    watermarks,
)
from service.store.tokens import store_tokens
from service.web.connect.identity import still_logged_in
from service.web.connect.problems import ConnectProblem, Problem, explain
from service.web.cookies import cookies_of
from service.web.session import SESSION, session_of
from service.web.state import AppState
from service.web.threads import in_dedicated_threads

log = structlog.get_logger(__name__)

_MAX_CODE = 512  # reference 2.2

_ERRORS = {
    "access_denied": Problem.DENIED,
    "server_error": Problem.UNAVAILABLE,
    "temporarily_unavailable": Problem.UNAVAILABLE,
}
_NAMED_IN_THE_LOG = frozenset({"invalid_scope", "invalid_request", "app_already_purchased"})


@dataclass(frozen=True, slots=True)
class CallbackParameters:
    state: str = field(repr=False)
    code: str = field(repr=False)
    realm_id: str = field(repr=False)
    error: str

    @classmethod
    def of(cls, query: QueryParams) -> "CallbackParameters":
        """Return the parameters of an address; missing ones are empty."""
        return cls(
            state=query.get("state", ""),
            code=query.get("code", ""),
            realm_id=query.get("realmId", ""),
            error=query.get("error", ""),
        )


@dataclass(frozen=True, slots=True)
class Connected:
    """A stored connection, and the browser's new session."""

    connection_id: str
    cookie: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A company that has answered to the tokens received for it."""

    realm_id: RealmId = field(repr=False)
    realm_digest: str
    tokens: Tokens
    name: str
    country: str
    own_emails: Sequence[str] = field(repr=False)
    time: datetime  # by QuickBooks' own clock


def routes() -> list[Route]:
    return [Route(CALLBACK_PATH, in_dedicated_threads()(callback))]


def callback(request: Request[AppState]) -> Response:
    """Store the connection; redirect to its page, or to the page of the problem."""
    try:
        connected = _connect(request)
    except ConnectProblem as e:
        return explain(e.problem, _began_by_button(request), **e.evidence)
    except Exception as e:
        log.exception("connect.crashed")
        return explain(Problem.UNEXPECTED, _began_by_button(request), why=type(e).__name__)
    response = RedirectResponse(f"/quickbook/connected/{connected.connection_id}", 302)
    SESSION.give(response, connected.cookie, request.state["services"].settings)
    return response


def _connect(request: Request[AppState]) -> Connected:
    browser = session_of(request)
    return connect(
        request.state["services"],
        request.state["nudges"],
        browser.digest if browser else None,
        CallbackParameters.of(request.query_params),
        cookies_of(request),
    )


def _began_by_button(request: Request[AppState]) -> bool:
    """Return whether the flow began at Infactor's button; if unknown, it counts as a link."""
    try:
        with request.state["services"].database.read() as session:
            return sessions.began_by_button(
                session, CallbackParameters.of(request.query_params).state
            )
    except SQLAlchemyError:
        return False


def connect(
    services: Services,
    nudges: Nudges,
    browser: str | None,
    answer: CallbackParameters,
    cookies: str,
) -> Connected:
    """Store the connection that QuickBooks' answer is about, and ask for its first work.

    `browser` is the digest of the session that came with the answer. `cookies` prove who is logged
    in to Infactor, if its button began the flow. Raises ConnectProblem.
    """
    consent = _consent(services, browser, answer.state)
    code, realm_id = checked(answer)
    still_logged_in(services, consent, cookies)
    realm_digest = services.vault.digest(realm_id)
    with services.database.read() as session:
        _obtainable(session, consent, realm_digest)
    try:
        tokens = services.oauth.exchange(code, answer.state)
    except SyncError as e:
        raise _problem_of(e) from e
    newcomer = _answering(services, realm_id, realm_digest, tokens)
    try:
        return _store_or_join(services, nudges, consent, newcomer)
    except ConnectProblem:
        _revoke_unless_live(services, realm_digest, tokens)
        raise


def checked(answer: CallbackParameters) -> tuple[str, RealmId]:
    """Return (code, realm id) of a consent; raises ConnectProblem for any other answer."""
    if answer.error:
        problem = _ERRORS.get(answer.error, Problem.REFUSED_BY_QUICKBOOKS)
        named = answer.error in _ERRORS or answer.error in _NAMED_IN_THE_LOG
        raise ConnectProblem(problem, answer.error if named else "an error of an unknown name")
    if not 0 < len(answer.code) <= _MAX_CODE or not answer.code.isprintable():
        raise ConnectProblem(Problem.INCOMPLETE, "no usable code")
    realm_id = realm_id_of(answer.realm_id)
    if realm_id is None:
        raise ConnectProblem(Problem.INCOMPLETE, "no usable company")
    return answer.code, realm_id


def _consent(services: Services, browser: str | None, state: str) -> OAuthState:
    """Return the flow with this state and mark it as used; a refused one stays unused."""
    at = now()
    with services.database.write() as session:
        consent, first = sessions.use_consent(session, state, at)
        if consent is None:
            raise ConnectProblem(Problem.UNKNOWN_ANSWER)
        if consent.session_digest != browser:
            raise ConnectProblem(Problem.OTHER_BROWSER)
        if consent.environment != services.settings.quickbooks_environment:
            raise ConnectProblem(Problem.UNKNOWN_ANSWER, "begun in another environment")
        if not first:
            raise ConnectProblem(Problem.ANSWERED_ALREADY)
        if consent.expires_at <= at:
            raise ConnectProblem(Problem.TOO_LATE)
    return consent


def _obtainable(
    session: Session, consent: OAuthState, realm_digest: str, *, lock: bool = False
) -> Connection | None:
    """Return the company's connection if this supplier may have it; None for a new company.

    That is the supplier's own, or one that an operator has released. A released one follows the
    rules for a new company. Raises ConnectProblem.
    """
    connection = connections.by_realm(session, consent.environment, realm_digest, lock=lock)
    if connection is not None and connection.supplier_id == consent.supplier_id:
        return connection
    if connection is not None and connection.released_at is None:
        raise ConnectProblem(Problem.COMPANY_TAKEN, connection=connection.id)
    others = connections.of_supplier(session, consent.supplier_id, consent.environment)
    if others and not consent.another_company:
        raise ConnectProblem(Problem.OTHER_COMPANY, connection=others[0].id)
    if consent.link_id and sessions.is_spent(session, consent.link_id):
        raise ConnectProblem(Problem.LINK_USED)
    return connection


def _answering(
    services: Services, realm_id: RealmId, realm_digest: str, tokens: Tokens
) -> Newcomer:
    """Return the company once it has answered to its tokens; raises ConnectProblem."""
    try:
        found = services.access.newcomer(realm_id, tokens).company_info()
    except SyncError as e:
        # Not revoked: tokens to which this company does not answer may belong to another one, whose
        # connection would end.
        raise _problem_of(e) from e
    info = found.company_info
    country = one_line(info.get("Country"), 100)
    return Newcomer(
        realm_id=realm_id,
        realm_digest=realm_digest,
        tokens=tokens,
        name=_name(info),
        country=country,
        own_emails=_own_emails(info),
        time=found.time,
    )


def _problem_of(error: SyncError) -> ConnectProblem:
    # A new company is asked for no record that could be the bad one.
    unavailable = isinstance(error, TransientError | Poisoned)
    kind = Problem.UNAVAILABLE if unavailable else Problem.NOT_ACCEPTED
    return ConnectProblem(kind, str(error), intuit_tid=error.intuit_tid)


def _store_or_join(
    services: Services, nudges: Nudges, consent: OAuthState, newcomer: Newcomer
) -> Connected:
    """Store the connection; after losing a race for the same company, check ownership again."""
    try:
        return _store(services, nudges, consent, newcomer)
    except IntegrityError:
        return _store(services, nudges, consent, newcomer)


def _store(
    services: Services, nudges: Nudges, consent: OAuthState, newcomer: Newcomer
) -> Connected:
    at = now()
    with services.database.write() as session:
        connections.lock_supplier(session, consent.supplier_id)
        if not sessions.is_under_way(session, consent.digest):
            raise ConnectProblem(Problem.UNKNOWN_ANSWER, "the supplier was forgotten meanwhile")
        before = _obtainable(session, consent, newcomer.realm_digest, lock=True)
        connection_id = before.id if before else uuid4().hex
        run_id = (
            _renew(session, before, consent, newcomer)
            if before
            else _begin(session, services, connection_id, consent, newcomer)
        )
        tokens = services.access.sealed(connection_id, newcomer.tokens, at)
        store_tokens(session, connection_id, tokens)
        if consent.link_id:
            sessions.spend_link(session, consent.link_id, at + LONGEST_LIFE)
        connection_lifecycle.tell(
            session, EventType.CONNECTED, connection_id, at, again=before is not None
        )
        waited = inbox.link(session, connection_id, newcomer.realm_digest)
        cookie = sessions.replace(session, consent.session_digest, consent.supplier_id, at)
        after_commit(
            session,
            log.info,
            "connection.stored",
            connection=connection_id,
            new=before is None,
            run=run_id,
            notices=waited,
            intuit_tid=newcomer.tokens.intuit_tid,
        )
        if run_id is not None:
            after_commit(session, nudges.run, run_id)
        if waited or before is not None:
            after_commit(session, nudges.sync, connection_id)
    return Connected(connection_id, cookie)


def _begin(
    session: Session,
    services: Services,
    connection_id: str,
    consent: OAuthState,
    newcomer: Newcomer,
) -> int:
    """Store a new company's connection; return the run over its whole past."""
    at, began = now(), quickbooks_times.believed(session, newcomer.time)
    connections.add(
        session,
        Connection(
            id=connection_id,
            supplier_id=consent.supplier_id,
            environment=consent.environment,
            realm_digest=newcomer.realm_digest,
            realm_sealed=services.access.seal_realm_id(connection_id, newcomer.realm_id),
            company_name=newcomer.name,
            country=newcomer.country,
            own_emails=list(newcomer.own_emails),
            state=ConnectionState.CONNECTED,
            connected_at=at,
            renewed_at=at,
            changes_read_until=began,
            reconciled_until=began,
            reconcile_due_at=at + watermarks.RECONCILE_EVERY,
            proved_at=at,
        ),
    )
    if newcomer.time > quickbooks_times.latest(session):
        quickbooks_times.note_ahead(session, connection_id, newcomer.time)
    return runs.create_or_join(session, connection_id, RunCause.CONNECT, None, at)


def _renew(
    session: Session, before: Connection, consent: OAuthState, newcomer: Newcomer
) -> int | None:
    """Renew the connection; return the id of the backfill of what was missed, if any."""
    at, was_connected = now(), before.state == ConnectionState.CONNECTED
    if before.supplier_id != consent.supplier_id:
        connection_lifecycle.hand_over(session, before.id, consent.supplier_id, at)
        after_commit(session, log.info, "connection.handed_over", connection=before.id)
    name = newcomer.name or before.company_name
    connections.renew(
        session,
        before.id,
        name,
        at,
        country=newcomer.country,
        own_emails=newcomer.own_emails,
    )
    # The new consent may fix what has failed.
    runs.hurry_all(session, before.id)
    inbox.hurry(session, before.id, at)
    if was_connected:
        # The access may have failed meanwhile without anybody noticing.
        own_notices.ask_for_changes(session, before.id, OwnNotice.RENEWED, at)
        return None
    # A full one: only that finds what was deleted meanwhile.
    return runs.create_or_join(session, before.id, RunCause.RECONNECT, None, at)


def _revoke_unless_live(services: Services, realm_digest: str, tokens: Tokens) -> None:
    """Revoke unused tokens, unless the company is connected: that would end all its connections."""
    environment = services.settings.quickbooks_environment
    with services.database.read() as session:
        connection = connections.by_realm(session, environment, realm_digest)
    if connection is not None and connection.state == ConnectionState.CONNECTED:
        return
    try:
        services.oauth.revoke(tokens.refresh_token)
    except SyncError as e:
        log.warning("token.not_revoked", error=type(e).__name__, intuit_tid=e.intuit_tid)


def _own_emails(company_info: dict[str, Any]) -> Sequence[str]:
    """Return the company's e-mail addresses: its own, and the one that its customers see."""
    fields = (company_info.get(key) for key in ("Email", "CustomerCommunicationEmailAddr"))
    texts = [field.get("Address") for field in fields if isinstance(field, dict)]
    return distinct(one for text in texts if isinstance(text, str) for one in addresses(text))


def _name(company_info: dict[str, Any]) -> str:
    """Return the company's name as one line that fits its column."""
    for key in ("CompanyName", "LegalName"):
        if name := one_line(company_info.get(key), 200):
            return name
    return ""
