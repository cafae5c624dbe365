"""OAuth 2.0 as Intuit speaks it (reference 2.2 to 2.5), on Authlib."""

import warnings
from typing import Any

import httpx
from authlib.deprecate import AuthlibDeprecationWarning

from service.errors import Disconnected, PermanentError, Refused
from service.quickbooks.discovery import Discovery, discovery_of
from service.quickbooks.endpoints import Endpoints
from service.quickbooks.headers import intuit_tid
from service.quickbooks.tokens import Tokens, refusal_of, tokens_of
from service.quickbooks.wire import no_cookies, reaching_intuit

with warnings.catch_warnings():
    # Authlib would rather have httpx2 and says so on stderr at every start; this project has httpx.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.httpx_client import OAuth2Client

SCOPE = "com.intuit.quickbooks.accounting"

_HEADERS = {
    "Accept": "application/json",
    # Opts in to the end of the whole token chain (reference 2.3).
    "x-include-refresh-token-hard-expires-in": "true",
}


class _Client(OAuth2Client):  # type: ignore[misc]
    """Authlib's client, without the token that it would keep.

    Authlib stores each answer on the client and returns what is stored, so that of two threads
    one could be given the other's tokens: another company's. Here an answer goes to its caller.
    """

    def parse_response_token(self, response: httpx.Response) -> httpx.Response:
        return response


class OAuth:
    """This app at Intuit's authorisation service; usable by several threads at once."""

    def __init__(
        self, endpoints: Endpoints, client_id: str, client_secret: str, redirect_uri: str
    ) -> None:
        self._endpoints = endpoints
        self._client = _Client(
            client_id=client_id,
            client_secret=client_secret,
            token_endpoint_auth_method="client_secret_basic",  # noqa: S106 - a method's name
            redirect_uri=redirect_uri,
            timeout=10,
            follow_redirects=False,
            trust_env=False,
            cookies=no_cookies(),
        )

    def authorize_url(self, state: str) -> str:
        """Return where a supplier consents to having the company's books read."""
        url: str
        url, _ = self._client.create_authorization_url(
            self._endpoints.authorize, state=state, scope=SCOPE
        )
        return url

    def exchange(self, code: str) -> Tokens:
        """Return the tokens for a fresh authorisation code, which is then spent.

        Raises Refused if the code is spent, too old or not one.
        """
        rejected = Refused("the authorisation code was refused")
        return self._fetch(rejected, grant_type="authorization_code", code=code)

    def refresh(self, refresh_token: str) -> Tokens:
        """Return new tokens; the refresh token among them may be the same or a new one.

        Raises Disconnected if QuickBooks says that the refresh token is dead, and only then.
        """
        rejected = Disconnected("QuickBooks no longer accepts the refresh token")
        return self._fetch(rejected, grant_type="refresh_token", refresh_token=refresh_token)

    def revoke(self, token: str) -> None:
        """End the whole connection that a refresh or access token belongs to.

        Raises Refused if QuickBooks does not accept the token, which may already be dead.
        """
        with reaching_intuit():
            response: httpx.Response = self._client.post(
                self._endpoints.revoke,
                json={"token": token},
                headers={"Accept": "application/json"},
                auth=self._client.client_auth("client_secret_basic"),
            )
        if response.is_success:
            return
        rejected = Refused(
            "QuickBooks did not accept the token to revoke",
            intuit_tid=intuit_tid(response.headers),
        )
        if response.status_code == 400:  # documented without a body
            raise rejected
        raise refusal_of(response.status_code, response.headers, response.content, rejected)

    def discovery(self) -> Discovery:
        """Return what Intuit's discovery document says; raises SyncError when it does not come."""
        with reaching_intuit():
            response: httpx.Response = self._client.request(
                "GET",
                self._endpoints.discovery,
                headers={"Accept": "application/json"},
                withhold_token=True,
            )
        return discovery_of(
            response.status_code, response.headers, response.content, self._endpoints
        )

    def close(self) -> None:
        """Close the connections to Intuit."""
        self._client.close()

    def _fetch(self, rejected: PermanentError, **grant: Any) -> Tokens:
        with reaching_intuit():
            response: httpx.Response = self._client.fetch_token(
                self._endpoints.token, headers=_HEADERS, **grant
            )
        if not response.is_success:
            raise refusal_of(response.status_code, response.headers, response.content, rejected)
        return tokens_of(response.headers, response.content)
