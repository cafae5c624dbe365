"""Sends alerts to ALERT_URL, in signed messages (standardwebhooks.com)."""

import json
from datetime import datetime
from typing import Any

import httpx

from service.config.settings import Settings
from service.errors import ServiceError
from service.kit.bounded_http import BoundedTransport
from service.kit.clock import now
from service.kit.standard_webhooks import signed_headers

_TIMEOUT_SECONDS = 5.0
_LONGEST_ANSWER = 2**16


class NotSent(ServiceError):
    """The message was not accepted; it may be sent again under the same id."""


class AlertSender:
    """Sends messages to one address; follows no redirect, and waits five seconds for an answer."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._last_id = ""
        self._secret = secret
        self._http = httpx.Client(
            transport=BoundedTransport(_LONGEST_ANSWER),
            timeout=_TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
        )

    @classmethod
    def of(cls, settings: Settings) -> "AlertSender | None":
        """Return the sender of these settings, or None without ALERT_URL."""
        if settings.alert_url is None or settings.alert_secret is None:
            return None
        return cls(settings.alert_url.get_secret_value(), settings.alert_secret.get_secret_value())

    def send(self, message_id: str, kind: str, at: datetime, data: dict[str, Any]) -> None:
        """Send one message; raises NotSent unless the answer is 2xx. A retry keeps the id."""
        message = {"type": kind, "timestamp": at.isoformat(), "data": data}
        body = json.dumps(message).encode()
        headers = signed_headers(self._secret, message_id, now(), body)
        try:
            # The answer's body is not read, so its length does not matter.
            with self._http.stream(
                "POST",
                self._url,
                content=body,
                headers={**headers, "content-type": "application/json"},
            ) as response:
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            # Without the cause: it may repeat the address, which may hold a password.
            raise NotSent(f"no answer ({type(e).__name__})") from None
        if not 200 <= status < 300:
            raise NotSent(f"answered {status}")

    def send_once(self, message_id: str, kind: str, at: datetime, data: dict[str, Any]) -> None:
        """Send one message as `send` does, unless this process has just sent it."""
        if message_id != self._last_id:
            self.send(message_id, kind, at, data)
            self._last_id = message_id

    def close(self) -> None:
        self._http.close()
