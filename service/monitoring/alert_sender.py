"""Sends alerts to ALERT_URL, signed (standardwebhooks.com), and to ALERT_URLS by Apprise."""

import json
import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from importlib import import_module
from secrets import token_hex
from types import ModuleType
from typing import Any

from service.config.settings import Settings
from service.domain import Severity
from service.errors import ConfigurationError
from service.kit.clock import now
from service.kit.signed_post import NotSent, SignedPost

TEST = "alert.test"
"""The type of a message that only tries the way."""


class Channel(ABC):
    """One place to which alerts are sent.

    `name` is for people and holds no secret; `key` stays the same for the same address.
    """

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.key = sha256(address.encode()).hexdigest()[:12]
        self._last_id = ""

    @abstractmethod
    def send(self, message_id: str, kind: str, at: datetime, data: Mapping[str, Any]) -> None:
        """Send one message; raises NotSent unless it is accepted. A retry keeps the id."""

    def send_once(self, message_id: str, kind: str, at: datetime, data: Mapping[str, Any]) -> None:
        """Send one message as `send` does, unless this process has just sent it."""
        if message_id != self._last_id:
            self.send(message_id, kind, at, data)
            self._last_id = message_id

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Give back what is open."""


def channels(settings: Settings) -> tuple[Channel, ...]:
    """Return where alerts are sent; raises ConfigurationError for an address of no use."""
    found: list[Channel] = []
    if settings.alert_url is not None and settings.alert_secret is not None:
        url, secret = settings.alert_url, settings.alert_secret
        found.append(AlertSender(url.get_secret_value(), secret.get_secret_value()))
    found += [AppriseSender(address.get_secret_value()) for address in settings.alert_urls]
    return tuple(found)


def send_test(channel: Channel, settings: Settings) -> None:
    """Send a message that says that alerts arrive; raises NotSent unless it is accepted."""
    at = now()
    data = {
        "alert": None,
        "cause": TEST,
        "severity": Severity.WARNING,
        "connection": None,
        "company": None,
        "since": at.isoformat(),
        "ended_at": None,
        "text": f"This is a test: alerts of {settings.public_url} arrive here. What is wrong comes"
        " in messages of its own.",
        "command": "infactor-quickbooks status",
        "title": "Test of the alerts",
        "link": f"{settings.operators_url}/ops/",
    }
    channel.send(f"{TEST}-{token_hex(8)}", TEST, at, data)


class AlertSender(Channel):
    """Sends messages to ALERT_URL; follows no redirect, and waits five seconds for an answer."""

    def __init__(self, url: str, secret: str) -> None:
        super().__init__("ALERT_URL", url)
        self._listener = SignedPost(url, secret)

    def send(self, message_id: str, kind: str, at: datetime, data: Mapping[str, Any]) -> None:
        """Send one message; raises NotSent unless the answer is 2xx."""
        message = {"type": kind, "timestamp": at.isoformat(), "data": data}
        body = json.dumps(message).encode()
        self._listener.send(message_id, body, "application/json")

    def close(self) -> None:
        self._listener.close()


class AppriseSender(Channel):
    """Sends messages to one address of Apprise, in words for people."""

    def __init__(self, address: str) -> None:
        scheme = address.partition("://")[0]
        super().__init__(f"{scheme}:// in ALERT_URLS", address)
        apprise = _apprise()
        # Its log lines may quote addresses.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        self._types = apprise.NotifyType
        # Names of buyers and companies come from QuickBooks: no service may take them for HTML.
        self._format = apprise.NotifyFormat.TEXT
        with warnings.catch_warnings():
            # Some plugins use what Python is going to drop.
            warnings.simplefilter("ignore", DeprecationWarning)
            plugin = apprise.Apprise.instantiate(address)
        if plugin is None:
            raise ConfigurationError(
                f"ALERT_URLS: the {scheme}:// address is not one that Apprise understands; see"
                " https://appriseit.com/services/"
            )
        self._plugin = plugin

    def send(self, message_id: str, kind: str, at: datetime, data: Mapping[str, Any]) -> None:
        """Send one message; raises NotSent unless the service accepted it."""
        try:
            sent = self._plugin.notify(
                title=title_for_people(kind, data),
                body=body_for_people(data),
                notify_type=self._type(data),
                body_format=self._format,
            )
        except Exception as e:
            # A plugin's; without the cause, which may repeat the address.
            raise NotSent(f"failed ({type(e).__name__})") from None
        if not sent:
            raise NotSent("did not accept the message")

    def _type(self, data: Mapping[str, Any]) -> Any:
        if data.get("ended_at"):
            return self._types.SUCCESS
        critical = data.get("severity") == Severity.CRITICAL
        return self._types.FAILURE if critical else self._types.WARNING


def _apprise() -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            # Optional, and it takes half a second.
            return import_module("apprise")
    except ImportError:
        raise ConfigurationError(
            "ALERT_URLS: needs Apprise; run `pip install 'infactor-quickbooks[apprise]'`"
        ) from None


def title_for_people(kind: str, data: Mapping[str, Any]) -> str:
    """Return one line: what is wrong, or over, and for which company."""
    title = data.get("title") or kind
    company = f": {data['company']}" if data.get("company") else ""
    if data.get("ended_at"):
        return f"Over: {title}{company}"
    severity = data.get("severity")
    return f"{str(severity).capitalize()}: {title}{company}" if severity else f"{title}{company}"


def body_for_people(data: Mapping[str, Any]) -> str:
    """Return the alert's text, the command to run about it, and the pages that help."""
    lines = [data.get("text"), data.get("link")]
    if data.get("command") and not data.get("ended_at"):
        lines.insert(1, f"Run: {data['command']}")
        lines.append(f"What to do: {data['guide']}" if data.get("guide") else None)
    return "\n".join(str(line) for line in lines if line)
