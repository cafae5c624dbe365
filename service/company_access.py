"""Who may call QuickBooks for which company, how fast, and with which token.

One process refreshes a connection's tokens at a time. New tokens are stored before they are used. A
connection is declared dead only after its row was read once more (reference 2.4).
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.coordination import leases, rate_limit
from service.database.engine import Database
from service.database.tables import Connection
from service.domain import RealmId
from service.errors import (
    Barred,
    BudgetSpent,
    ConfigurationError,
    Disconnected,
    KeysRefused,
    Refused,
    TransientError,
)
from service.kit.clock import now
from service.kit.vault import Vault
from service.quickbooks.client import BearerAuth, CompanyClient
from service.quickbooks.oauth import REFUSALS, OAuth, Tokens
from service.store import connections
from service.store.tokens import (
    SealedTokens,
    disconnect,
    is_dead,
    replace_tokens,
    revival_failed,
    revived,
)

log = structlog.get_logger(__name__)

_EARLY = timedelta(seconds=60)
# Nobody extends this lease: it outlasts every time-out of two calls, with the new refresh token and
# with the one before it, and the saving after them.
_REFRESH_LEASE_SECONDS = 120.0
_REFRESH_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.1
_SAVE_SECONDS = 30.0
_LONGEST_SAVE_PAUSE = 3.0
_LONGEST_WAIT_FOR_PLACE = 30.0


Purpose = Literal["notice", "backfill", "reconcile"]
"""What a read is for. When the month's reads run short, the least urgent purpose waits first."""

SHARES: Mapping[Purpose, float] = {"backfill": 0.90, "reconcile": 0.97}
"""The share of the month's reads after which reads for this purpose wait."""

_ASK_AGAIN_SECONDS = 3600.0


class CompanyAccess:
    """Opens companies' accounting APIs, each with its own token and rate limit."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        oauth: OAuth,
        http: httpx.Client,
        api_url: str,
        reads_per_month: int,
        call_interval: float = rate_limit.INTERVAL,
        when_lost: Callable[[str], None] = lambda connection_id: None,
    ) -> None:
        """`when_lost` is called with the id of each connection that QuickBooks has ended."""
        self._when_lost = when_lost
        self._reads_per_month = reads_per_month
        self._call_interval = call_interval
        self._database = database
        self._vault = vault
        self._oauth = oauth
        self._http = http
        self._api_url = api_url

    def check_keys(self) -> None:
        """Raise ConfigurationError unless both keys fit a stored connection, if there is one."""
        with self._database.read() as session:
            connection = connections.any_one(session)
        if connection is None:
            return
        if self._vault.digest(self.realm_id(connection)) != connection.realm_digest:
            raise ConfigurationError(
                "SECRET_KEY: is not the one that this database was made with, so no webhook would"
                " find its company; restore it from your backup, or, if you changed it on purpose,"
                " run `infactor-quickbooks rekey`"
            )

    def company(self, connection: Connection, purpose: Purpose = "notice") -> CompanyClient:
        """Return a client of the company of this connection, whose row was just read.

        Its reads count for `purpose`.
        """
        return CompanyClient(
            self._http,
            self._api_url,
            self.realm_id(connection),
            BearerAuth(self._tokens(connection)),
            self.permit(connection.id, purpose),
            partial(self._note_unasked, connection.id),
        )

    def _tokens(self, connection: Connection) -> Callable[[str | None], str]:
        """Return what gives each call its token: the first one this row's, later ones the newest.

        Most clients make one call, right after the row was read.
        """
        just_read = [connection]

        def token(rejected: str | None) -> str:
            known = self._usable(just_read.pop(), rejected) if just_read else None
            return known or self.access_token(connection.id, rejected)

        return token

    def newcomer(self, realm_id: RealmId, tokens: Tokens) -> CompanyClient:
        """Return a client of a company without a connection; no limit and no meter apply to it."""

        def token(rejected: str | None) -> str:
            if rejected is not None:
                raise Disconnected("QuickBooks refused the token that it had just given")
            return tokens.access_token

        return CompanyClient(
            self._http, self._api_url, realm_id, BearerAuth(token), lambda kind: None
        )

    def _note_unasked(self, connection_id: str, kind: str, count: int, tid: str | None) -> None:
        """Keep for an operator that an answer held what was not asked for, and was dropped."""
        log.warning(
            "answer.unasked", connection=connection_id, kind=kind, dropped=count, intuit_tid=tid
        )
        with self._database.write() as session:
            connections.count_unasked(session, connection_id, count, now())

    def realm_id(self, connection: Connection) -> RealmId:
        return RealmId(self._vault.open(connection.realm_sealed, f"{connection.id}:realm"))

    def seal_realm_id(self, connection_id: str, realm_id: RealmId) -> str:
        return self._vault.seal(realm_id, f"{connection_id}:realm")

    def permit(self, connection_id: str, purpose: Purpose = "notice") -> Callable[[str], None]:
        """Return a function that waits for the company's next free call and counts it by kind.

        It raises BudgetSpent when the reads left this month are kept for more urgent purposes. It
        raises TransientError when the wait would be longer than 30 seconds.
        """

        def wait(kind: str) -> None:
            with self._database.write() as session:
                self._check_budget(session, purpose)
                seconds = rate_limit.reserve(
                    session, connection_id, _LONGEST_WAIT_FOR_PLACE, self._call_interval
                )
                if seconds is not None:
                    rate_limit.count_read(session, connection_id, _month(), kind)
            if seconds is None:
                raise TransientError("too many calls of this company are waiting for their turn")
            time.sleep(seconds)

        return wait

    def _check_budget(self, session: Session, purpose: Purpose) -> None:
        share = SHARES.get(purpose)
        if (
            share is None
            or rate_limit.reads_used(session, _month()) < share * self._reads_per_month
        ):
            return
        raise BudgetSpent(
            f"{share:.0%} of this month's {self._reads_per_month:,} reads are used:"
            f" a {purpose} waits for the next month, or for a higher QUICKBOOKS_READS_PER_MONTH",
            retry_after=_ASK_AGAIN_SECONDS,
        )

    def sealed(
        self, connection_id: str, tokens: Tokens, at: datetime, previous: str | None = None
    ) -> SealedTokens:
        """Return the tokens sealed for the connection's row; their lifetimes count from `at`.

        `previous` is the sealed refresh token to go back to if QuickBooks refuses the new one.
        """
        hard = tokens.hard_expires_in
        idle = tokens.refresh_expires_in
        return SealedTokens(
            access=self._vault.seal(tokens.access_token, f"{connection_id}:access"),
            access_expires_at=at + timedelta(seconds=tokens.expires_in),
            refresh=self._vault.seal(tokens.refresh_token, f"{connection_id}:refresh"),
            previous=previous,
            refresh_expires_at=None if idle is None else at + timedelta(seconds=idle),
            hard_expires_at=None if hard is None else at + timedelta(seconds=hard),
        )

    def access_token(self, connection_id: str, rejected: str | None = None) -> str:
        """Return an access token that is valid now and is not the `rejected` one.

        Raises Disconnected when only a new consent helps, TransientError when Intuit or the process
        that is refreshing does not answer.
        """
        deadline = time.monotonic() + _REFRESH_WAIT_SECONDS
        lease = f"refresh:{connection_id}"
        owner = leases.new_owner()
        while True:
            current = self._current(connection_id)
            token = self._usable(current, rejected)
            if token is not None:
                return token
            with self._database.statement() as session:
                mine = leases.acquire(session, lease, owner, seconds=_REFRESH_LEASE_SECONDS)
            if mine:
                try:
                    return self._refresh(connection_id, rejected)
                finally:
                    with self._database.statement() as session:
                        leases.release(session, lease, owner)
            if time.monotonic() > deadline:
                raise TransientError("another process has been refreshing this token for too long")
            time.sleep(_POLL_SECONDS)

    def _current(self, connection_id: str) -> Connection:
        with self._database.read() as session:
            return connections.connected(session, connection_id)

    def _usable(self, connection: Connection, rejected: str | None) -> str | None:
        expires_at = connection.access_expires_at
        if connection.access_sealed is None or expires_at is None or expires_at - _EARLY <= now():
            return None
        token = self._vault.open(connection.access_sealed, f"{connection.id}:access")
        return None if token == rejected else token

    def _refresh(self, connection_id: str, rejected: str | None) -> str:
        connection = self._current(connection_id)
        token = self._usable(connection, rejected)
        if token is not None:  # another process was faster
            return token
        if connection.refresh_sealed is None:
            raise Disconnected("the connection has no refresh token")
        used = connection.refresh_sealed
        try:
            tokens, sealed = self._renewed(connection_id, used, connection.previous_refresh_sealed)
        except Disconnected as e:
            return self._after_refusal(connection_id, used, e)
        except KeysRefused:
            with self._database.write() as session:
                connections.refuse_keys(session, connection_id, now())
            raise
        if not self._save(connection_id, sealed, used):
            return self._newer(connection_id)
        log.info("token.refreshed", connection=connection_id)
        return tokens.access_token

    def _renewed(
        self, connection_id: str, used: str, previous: str | None
    ) -> tuple[Tokens, SealedTokens]:
        """Return new tokens, which the refresh token gives, or else the one before it.

        A new refresh token may be wrong, or Intuit may have forgotten that it gave one. So the one
        that it replaced is kept until the new one has been good for something, and is tried once.
        Once the new token has worked, the old one is deleted and never sent: Intuit takes a reused
        token for theft.
        """
        opened = partial(self._vault.open, owner=f"{connection_id}:refresh")
        try:
            tokens = self._renew(opened(used))
        except Disconnected as e:
            if previous is None:
                raise
            log.warning("token.refused", connection=connection_id, intuit_tid=e.intuit_tid)
            used = previous
            tokens = self._renew(opened(used))
        rotated = tokens.refresh_token != opened(used)
        previous = used if rotated else None
        return tokens, self.sealed(connection_id, tokens, now(), previous)

    def _renew(self, refresh_token: str) -> Tokens:
        try:
            return self._oauth.refresh(refresh_token)
        except Barred:
            raise
        except Refused as e:
            # QuickBooks refuses the app, not this company: an operator fixes it for all.
            error = KeysRefused if e.code in REFUSALS else TransientError
            raise error(str(e), intuit_tid=e.intuit_tid, code=e.code) from e

    def revive(self, connection_id: str) -> None:
        """Make a dead connection live again if its last token is good, and ask for what it missed.

        Intuit has called good tokens invalid before. Raises Disconnected where the token is dead,
        or where whoever ended the connection on purpose has left none.
        """
        lease, owner = f"refresh:{connection_id}", leases.new_owner()
        with self._database.write() as session:
            if not leases.acquire(session, lease, owner, seconds=_REFRESH_LEASE_SECONDS):
                raise TransientError("another process is refreshing this token")
        try:
            self._revive(connection_id)
        finally:
            with self._database.write() as session:
                leases.release(session, lease, owner)

    def _revive(self, connection_id: str) -> None:
        with self._database.read() as session:
            connection = connections.get(session, connection_id)
        if connection is None or not is_dead(connection) or connection.refresh_sealed is None:
            raise Disconnected("there is no token left to try; its supplier has to connect again")
        used = connection.refresh_sealed
        try:
            # Not with the token before it: Intuit ended that within a day of giving the last one.
            tokens, sealed = self._renewed(connection_id, used, None)
        except Disconnected:
            with self._database.write() as session:
                revival_failed(session, connection_id, now())
            raise
        if not self._save(connection_id, sealed, used, also=revived):
            raise Disconnected("the connection was ended, or connected again, meanwhile")
        log.warning("connection.revived", connection=connection_id, intuit_tid=tokens.intuit_tid)

    def _after_refusal(self, connection_id: str, used: str, refusal: Disconnected) -> str:
        """Return a token that another process stored meanwhile, or mark the connection as dead."""
        with self._database.write() as session:
            dead = disconnect(session, connection_id, used, str(refusal), now())
        if dead:
            log.warning("connection.lost", connection=connection_id, intuit_tid=refusal.intuit_tid)
            self._when_lost(connection_id)
            raise refusal
        return self._newer(connection_id)

    def _newer(self, connection_id: str) -> str:
        token = self._usable(self._current(connection_id), None)
        if token is None:
            raise TransientError("the tokens were replaced while they were being refreshed")
        return token

    def _save(
        self,
        connection_id: str,
        tokens: SealedTokens,
        used: str,
        also: Callable[[Session, str, datetime], None] = lambda session, connection_id, at: None,
    ) -> bool:
        """Store the tokens and call `also`; return False if the used ones were replaced meanwhile.

        The old refresh token may be dead, so a failed save is tried again for as long as a database
        takes to start.
        """
        deadline = time.monotonic() + _SAVE_SECONDS
        attempt = 1
        while True:
            try:
                with self._database.write() as session:
                    replaced = replace_tokens(session, connection_id, tokens, used)
                    if replaced:
                        also(session, connection_id, now())
                    return replaced
            except SQLAlchemyError:
                if time.monotonic() > deadline:
                    raise
                log.warning("token.save_failed", connection=connection_id, attempt=attempt)
                time.sleep(min(0.2 * 2**attempt, _LONGEST_SAVE_PAUSE))
                attempt += 1


def _month() -> str:
    return now().strftime("%Y-%m")
