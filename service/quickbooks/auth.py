"""The bearer token of one company on every request, renewed once when it is rejected."""

from collections.abc import Callable, Generator

import httpx

from service.quickbooks.faults import wants_new_token


class BearerAuth(httpx.Auth):
    """Signs requests with the token that `token` gives, and a second time with another one.

    `token(None)` gives the current access token; `token(rejected)` gives another one than the
    rejected, refreshing if need be. Both may raise, which ends the request. A second 401 is left
    to the caller.
    """

    requires_response_body = True

    def __init__(self, token: Callable[[str | None], str]) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request; after a 401 once more with another token."""
        token = self._token(None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if wants_new_token(response.status_code, response.content):
            request.headers["Authorization"] = f"Bearer {self._token(token)}"
            yield request
