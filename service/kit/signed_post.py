"""POSTs messages to one listener, signed as standardwebhooks.com describes."""

from contextlib import suppress

import httpx

from service.errors import ServiceError
from service.kit.bounded_http import BoundedTransport
from service.kit.clock import now
from service.kit.standard_webhooks import signed_headers
from service.kit.version import user_agent

_TIMEOUT_SECONDS = 5.0
_LONGEST_ANSWER = 2**16


class NotSent(ServiceError):
    """The message was not accepted; it may be sent again under the same id."""


class SignedPost:
    """Sends messages to one address; follows no redirect, and waits five seconds for an answer."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._secret = secret
        self._http = httpx.Client(
            transport=BoundedTransport(_LONGEST_ANSWER),
            timeout=_TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": user_agent()},
        )

    def send(self, message_id: str, body: bytes, content_type: str) -> None:
        """Send one message; raises NotSent unless the answer is 2xx."""
        headers = signed_headers(self._secret, message_id, now(), body)
        try:
            with self._http.stream(
                "POST",
                self._url,
                content=body,
                headers={**headers, "content-type": content_type},
            ) as response:
                status = response.status_code
                _finish(response)
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            # Without the cause: it may repeat the address, which may hold a password.
            raise NotSent(f"did not answer ({type(e).__name__})") from None
        if not 200 <= status < 300:
            raise NotSent(f"answered {status}")

    def close(self) -> None:
        self._http.close()


def _finish(response: httpx.Response) -> None:
    """Read the rest of an answer, so that the next message can use its connection.

    The status has said everything: a body that is too long or breaks off costs the connection only.
    """
    with suppress(httpx.HTTPError):
        response.read()
